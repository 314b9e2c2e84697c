package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/store/mem"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bench is a runtime with models on it.
type bench struct {
	*bide.Runtime
	t      *testing.T
	store  bide.Store
	clock  *bidetest.Clock
	models *llm.Models
	log    bytes.Buffer
}

func newBench(t *testing.T, store bide.Store, models *llm.Models) *bench {
	t.Helper()
	b := &bench{t: t, store: store, clock: bidetest.NewClock(noon), models: models}
	rt, err := bide.New(store, &bide.Options{Clock: b.clock, Logger: slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	rt.Handle(llm.Type, models.Handle)
	b.Runtime = rt
	return b
}

func (b *bench) run(wf bide.Workflow, input any) *bide.Run {
	b.t.Helper()
	run, err := b.Run(b.t.Context(), wf, input, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return run
}

func (b *bench) tick(run *bide.Run) *bide.Run {
	b.t.Helper()
	run, err := b.Tick(b.t.Context(), run.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return run
}

// ledger is the text of a run's records.
func (b *bench) ledger(runID string) string {
	b.t.Helper()
	var out strings.Builder
	for rec, err := range b.Ledger(b.t.Context(), runID, 1) {
		if err != nil {
			b.t.Fatal(err)
		}
		out.Write(append(rec.Raw, '\n'))
	}
	return out.String()
}

func get[T any](t *testing.T, r *bide.Run, path string) T {
	t.Helper()
	v, err := bide.Get[T](r.Vars, path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// once is a workflow that makes one effect and completes with its result.
func once(e bide.Effect) bide.Workflow {
	return bide.Workflow{ID: "once", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(e.As("answer")).ThenCompleteWith("answer"), nil },
	}}
}

func TestTheResponseIsOnRecordAndItsDeltasAreNot(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		script := append([]string{d.startCounted(), d.text("Hel"), d.text("lo")}, d.end(d.reasons[llm.FinishStop], "all")...)
		b := newBench(t, mem.New(), modelsAt(t, d.kind, serve(t, events(script...)), nil))
		run := b.run(once(llm.Call(ask("hi"))), nil)
		var resp llm.Response
		if err := json.Unmarshal(run.Output, &resp); err != nil || run.Status != bide.StatusCompleted || resp.Text() != "Hello" {
			t.Fatalf("the run is %s with %s (%v)", run.Status, run.Output, err)
		}
		if text := b.ledger(run.ID); strings.Contains(text, `"Hel"`) || strings.Count(text, "Hello") != 2 { // the result and the output
			t.Errorf("the ledger has not the answer alone: %s", text)
		}
		if n := strings.Count(b.ledger(run.ID), "\n"); n != 4 {
			t.Errorf("%d records for one call, want 4", n)
		}
	})
}

func TestWhatMayPassIsTriedAgainNoSoonerThanTheProviderAsks(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		soon := []string{"Retry-After", "90"}
		byDate := []string{"Date", "Sun, 22 Nov 2026 11:00:00 GMT", "Retry-After", "Sun, 22 Nov 2026 11:01:30 GMT"}
		for code, headers := range map[llm.Code][]string{llm.CodeRateLimited: soon, llm.CodeOverloaded: byDate} {
			s := serve(t, refuses(d.refusals[code], headers...), events(d.answer("at last")...))
			b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
			run := b.run(once(llm.Call(ask("hi"))), nil)
			if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitRetry || run.Waits[0].Until.Before(noon.Add(90*time.Second)) {
				t.Fatalf("after %s the waits are %+v", code, run.Waits)
			}
			b.clock.Advance(80 * time.Second)
			if run = b.tick(run); run.Status != bide.StatusWaiting || len(s.requests()) != 1 {
				t.Fatalf("it was tried too soon: %s, %d requests", run.Status, len(s.requests()))
			}
			b.clock.Advance(time.Minute)
			if run = b.tick(run); run.Status != bide.StatusCompleted || len(s.requests()) != 2 {
				t.Errorf("the run is %s after %d requests: %+v", run.Status, len(s.requests()), run.Error)
			}
		}
	})
}

func TestWhatCannotPassFailsAtOnceWithItsCode(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		for _, code := range []llm.Code{llm.CodeAuth, llm.CodeContextTooLong, llm.CodeContentFilter, llm.CodeQuota, llm.CodeInvalidRequest} {
			s := serve(t, refuses(d.refusals[code]))
			b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
			run := b.run(once(llm.Call(ask("hi"))), nil)
			if run.Status != bide.StatusFailed || run.Error.Code != string(code) || len(s.requests()) != 1 {
				t.Errorf("%s: the run is %s with %+v after %d requests", code, run.Status, run.Error, len(s.requests()))
			}
		}
	})
}

func TestStoppingARunStopsItsRequest(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		began, gone := make(chan struct{}), make(chan struct{})
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			events(d.start, d.text("half"))(w, r)
			close(began)
			<-r.Context().Done()
			close(gone)
		}, events(d.answer("again")...))
		b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := b.Run(ctx, once(llm.Call(ask("hi"))), nil, &bide.StartOptions{RunID: "r"})
			done <- err
		}()
		<-began
		cancel()
		<-gone
		if err := <-done; err == nil {
			t.Fatal("Run went on after its context ended")
		}
		run, err := b.Get(t.Context(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if run.Effects[0].Status != bide.StateInterrupted {
			t.Errorf("the call is %s, want interrupted", run.Effects[0].Status)
		}
		if run = b.tick(run); run.Status != bide.StatusCompleted {
			t.Errorf("the run is %s: %+v", run.Status, run.Error)
		}
	})
}

func TestAnAnswerThatDoesNotFitIsRepairedOnRecord(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		s := serve(t, events(d.answer(`{"priority":"soon"}`)...), events(d.answer("```json\n{\"priority\": 2}\n```")...))
		b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
		req := ask("how urgent?")
		req.Output = &llm.Output{Schema: bide.JSON(`{"type":"object","properties":{"priority":{"type":"integer"}},"required":["priority"]}`)}
		run := b.run(once(llm.Call(req)), nil)
		b.clock.Advance(time.Hour)
		run = b.tick(run)
		if got := string(get[bide.JSON](t, run, "answer.output")); run.Status != bide.StatusCompleted || got != `{"priority":2}` {
			t.Fatalf("the run is %s with %s: %+v", run.Status, got, run.Error)
		}
		bodies := s.requests()
		if len(bodies) != 2 || strings.Contains(bodies[0], "could not be used") || !strings.Contains(bodies[1], "could not be used") || !strings.Contains(bodies[1], "soon") {
			t.Errorf("the model was not told what was wrong: %q", bodies)
		}
		var faulty *bide.EffectFailed
		for rec, err := range b.Ledger(t.Context(), run.ID, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if data, err := rec.Decode(); err != nil {
				t.Fatal(err)
			} else if f, ok := data.(*bide.EffectFailed); ok {
				faulty = f
			}
		}
		var said llm.Response
		if faulty == nil || faulty.Error.Code != string(llm.CodeInvalidOutput) || json.Unmarshal(faulty.Result, &said) != nil || said.Text() != `{"priority":"soon"}` {
			t.Errorf("the first answer is not on record: %+v", faulty)
		}
		spent, err := llm.Spent(b.Ledger(t.Context(), run.ID, 1))
		if err != nil || spent.Calls != 2 || spent.Output != 40 {
			t.Errorf("Spent = %+v, %v, want both answers", spent, err)
		}
	})
}

func TestRepairsAreBoundedByTheRetryPolicy(t *testing.T) {
	d := chat("openai")
	s := serve(t, events(d.answer("no JSON at all")...))
	b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
	req := ask("how urgent?")
	req.Output = &llm.Output{Schema: bide.JSON(`{"type":"object"}`), Prompt: true}
	run := b.run(once(llm.Call(req).WithRetry(bide.RetryPolicy{Attempts: 3})), nil)
	for range 5 {
		b.clock.Advance(time.Hour)
		run = b.tick(run)
	}
	if run.Status != bide.StatusFailed || run.Error.Code != string(llm.CodeInvalidOutput) || len(s.requests()) != 3 {
		t.Errorf("the run is %s with %+v after %d requests, want 3", run.Status, run.Error, len(s.requests()))
	}
	if body := s.requests()[0]; !strings.Contains(body, "JSON Schema") || strings.Contains(body, "response_format") {
		t.Errorf("the schema is not in the instructions alone: %s", body)
	}
}

func TestSubscribersSeeAnAnswerComeAndStartOverOnARetry(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		seen := make(chan struct{})
		s := serve(t,
			func(w http.ResponseWriter, r *http.Request) {
				events(d.start, d.text("Goo"))(w, r)
				<-seen // the first piece is there while the answer is not complete
				events(d.errEvent)(w, r)
			},
			events(d.answer("Hello")...))
		b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
		sub := b.models.Deltas().Subscribe("r")
		defer sub.Close()
		done := make(chan *bide.Run, 1)
		go func() {
			run, err := b.Run(t.Context(), once(llm.Call(ask("hi"))), nil, &bide.StartOptions{RunID: "r"})
			if err != nil {
				t.Error(err)
			}
			done <- run
		}()
		var got []string
		note := func(e llm.Event) {
			line := fmt.Sprintf("%d/%d#%d %s", e.Step, e.Effect, e.Attempt.Attempt, e.Kind)
			if e.Delta != nil {
				line += " " + e.Delta.Part.Text
			}
			if e.Error != nil {
				line += " " + string(e.Error.Code)
			}
			got = append(got, line)
		}
		for e := range sub.Events(t.Context()) {
			note(e)
			if e.Kind == llm.EventDelta && e.Delta.Part.Text == "Goo" {
				close(seen)
			}
			if e.Kind == llm.EventEnded {
				break
			}
		}
		run := <-done
		b.clock.Advance(time.Hour)
		if run = b.tick(run); run.Status != bide.StatusCompleted {
			t.Fatalf("the run is %s", run.Status)
		}
		for e := range sub.Events(t.Context()) {
			note(e)
			if e.Kind == llm.EventEnded {
				break
			}
		}
		want := []string{"1/0#1 started", "1/0#1 delta Goo", "1/0#1 ended overloaded", "1/0#2 started", "1/0#2 delta Hello", "1/0#2 ended"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALateSubscriberGetsWhatCameSoFar(t *testing.T) {
	d := chat("openai")
	began, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		events(d.start, d.text("Hel"))(w, r)
		<-finish
		events(append([]string{d.text("lo")}, d.end("stop", "")...)...)(w, r)
	})
	b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
	early := b.models.Deltas().Subscribe("r")
	done := make(chan error, 1)
	go func() {
		_, err := b.Run(t.Context(), once(llm.Call(ask("hi"))), nil, &bide.StartOptions{RunID: "r"})
		done <- err
	}()
	go func() {
		for e := range early.Events(t.Context()) {
			if e.Kind == llm.EventDelta {
				break
			}
		}
		early.Close()
		close(began)
	}()
	<-began
	late := b.models.Deltas().Subscribe("r")
	defer late.Close()
	close(finish)
	text := ""
	for e := range late.Events(t.Context()) {
		if e.Delta != nil {
			text += e.Delta.Part.Text
		}
		if e.Kind == llm.EventEnded {
			break
		}
	}
	if err := <-done; err != nil || text != "Hello" {
		t.Errorf("the late subscriber saw %q (%v)", text, err)
	}
}

// chatty is an agent's loop: each turn an observation of half the size comes, and an answer of the other half.
func chatty(turns int, size int) bide.Workflow {
	return bide.Workflow{ID: "chatty", Version: "1", Entry: "begin", Nodes: bide.Nodes{
		"begin": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Go("observe").Set("request", llm.Request{Model: "p/m", System: "You are thorough.",
				Tools: []llm.Tool{{Name: "read", Description: strings.Repeat("reads ", 100), Schema: bide.JSON(`{"type":"object"}`)}}}), nil
		},
		"observe": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Go("think").Append("messages", llm.User(strings.Repeat("o", size/2))), nil
		},
		"think": func(r *bide.Run) (bide.StepPlan, error) {
			call, err := llm.CallFrom(r, llm.Request{}, llm.From{Request: "request", Messages: "messages"})
			p := bide.Do(call.AppendTo("messages"))
			if r.Step >= int64(2*turns) {
				return p.ThenComplete(nil), err
			}
			return p.Then("observe"), err
		},
	}}
}

// A conversation is stored once (K4): 200 turns of 4 KiB take at most 1.5 times their text, and the last turns no more than the first.
func TestAConversationIsStoredOnce(t *testing.T) {
	const turns, size = 200, 4 << 10
	d := chat("openai")
	s := serve(t, events(d.answer(strings.Repeat("a", size/2))...))
	dir := t.TempDir()
	store, err := file.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, store, modelsAt(t, d.kind, s, nil))
	records := 0
	perTurn := map[int64]int{}
	defer b.Observe(func(n bide.Notice) {
		for _, rec := range n.Commit.Records {
			records += len(rec.Raw)
			perTurn[(rec.Step-2)/2] += len(rec.Raw)
		}
	})()
	run := b.run(chatty(turns, size), nil)
	if run.Status != bide.StatusCompleted || len(s.requests()) != turns {
		t.Fatalf("the run is %s after %d calls: %+v", run.Status, len(s.requests()), run.Error)
	}
	if last := s.requests()[turns-1]; strings.Count(last, `"role":"assistant"`) != turns-1 || !strings.Contains(last, "You are thorough.") || !strings.Contains(last, `"read"`) {
		t.Error("the last request does not have the whole conversation")
	}
	text := turns * size
	if first, last := perTurn[5], perTurn[turns-5]; last > first+32 {
		t.Errorf("turn 5 has %d bytes, turn %d has %d", first, turns-5, last)
	}
	if _, err := b.Verify(t.Context(), run.ID); err != nil {
		t.Error(err)
	}
	if d, err := b.Replay(t.Context(), run.ID); err != nil || d != nil {
		t.Errorf("Replay = %v, %v", d, err)
	}
	if len(s.requests()) != turns {
		t.Error("verification or replay called the model")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	onDisk := 0
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			onDisk += int(info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("text %d, records %d (%.2f), on disk %d (%.2f)", text, records, float64(records)/float64(text), onDisk, float64(onDisk)/float64(text))
	if records > text*3/2 || onDisk > text*3/2 {
		t.Errorf("%d bytes of records and %d on disk for %d bytes of text", records, onDisk, text)
	}
}

func TestACallFromVarsSendsWhatWasPlanned(t *testing.T) {
	d := chat("openai")
	s := serve(t, events(d.answer("ok")...))
	b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
	list := []llm.Message{llm.User("one"), llm.Assistant("two"), llm.User("three")}
	wf := func(plan func(bide.StepPlan) bide.StepPlan) bide.Workflow {
		return bide.Workflow{ID: "from", Version: "1", Entry: "think", Nodes: bide.Nodes{"think": func(r *bide.Run) (bide.StepPlan, error) {
			call, err := llm.CallFrom(r, llm.Request{Model: "p/m", ToolChoice: "none", Messages: []llm.Message{llm.User("summary")}}, llm.From{Request: "input.base", Messages: "input.list", First: 1})
			return plan(bide.Do(call.As("answer"))).ThenCompleteWith("answer"), err
		}}}
	}
	input := map[string]any{"list": list, "base": llm.Request{Model: "p/other", System: "be kind", ToolChoice: "auto"}}
	grow := func(p bide.StepPlan) bide.StepPlan { return p.Append("input.list", llm.User("four")) }
	if run := b.run(wf(grow), input); run.Status != bide.StatusCompleted {
		t.Fatalf("the run is %s: %+v", run.Status, run.Error)
	}
	var sent struct {
		Model    string
		Messages []struct{ Content string }
	}
	if err := json.Unmarshal([]byte(s.requests()[0]), &sent); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range sent.Messages {
		texts = append(texts, m.Content)
	}
	if diff := cmp.Diff([]string{"be kind", "summary", "two", "three"}, texts); diff != "" || sent.Model != "m" {
		t.Errorf("model %q, messages %s", sent.Model, diff)
	}
	change := func(p bide.StepPlan) bide.StepPlan { return p.Set("input.list.1", llm.Assistant("forged")) }
	w := wf(change)
	w.Version = "2"
	if run := b.run(w, input); run.Status != bide.StatusFailed || run.Error.Code != string(llm.CodeConversation) || len(s.requests()) != 1 {
		t.Errorf("after a change the run is %s with %+v, and there were %d requests", run.Status, run.Error, len(s.requests()))
	}
}

func TestACallFromVarsThatAreNotThereFailsTheNode(t *testing.T) {
	run := &bide.Run{}
	if err := json.Unmarshal([]byte(`{"list":[1],"text":"x"}`), &run.Vars); err != nil {
		t.Fatal(err)
	}
	for want, from := range map[string]llm.From{
		`vars "text": there is a string, not a list`: {Messages: "text"},
		`there are no messages at "none"`:            {Messages: "none"},
		`no request at "list"`:                       {Request: "list"},
		`has an empty part`:                          {Messages: "a..b"},
		`has 1 messages`:                             {Messages: "list", First: 2},
	} {
		if _, err := llm.CallFrom(run, llm.Request{}, from); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CallFrom(%+v) = %v, want %q", from, err, want)
		}
	}
}

func TestAPayloadWithSomethingUnknownIsRefused(t *testing.T) {
	s := serve(t, events())
	b := newBench(t, mem.New(), modelsAt(t, "openai", s, nil))
	run := b.run(once(bide.Call(llm.Type, map[string]any{"modle": "p/m"})), nil)
	if run.Status != bide.StatusFailed || run.Error.Code != string(llm.CodeInvalidRequest) || !strings.Contains(run.Error.Message, "modle") {
		t.Errorf("the run is %s with %+v", run.Status, run.Error)
	}
}

// A server may repeat the key wherever it likes; it must not get into anything that is kept.
func TestTheKeyIsInNoLedgerLogErrorOrEvent(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		leak := append(append([]string{strings.ReplaceAll(d.start, "m-served", secret)}, d.text("your key is "+secret), d.callBegin(0, secret, secret), d.callArgs(0, `{"k":"`+secret+`"}`)), d.end(d.reasons[llm.FinishToolCalls], "")...)
		scripts := []http.HandlerFunc{
			refuses(d.refusals[llm.CodeRateLimited], "X-Request-Id", secret, "Request-Id", secret),
			refuses(refusal{500, "no route for " + secret}), events(d.start, strings.Replace(d.errEvent, "too much to do", secret, 1)),
			events(d.start, "data: "+secret), events(leak...),
		}
		s := serve(t, scripts...)
		b := newBench(t, mem.New(), modelsAt(t, d.kind, s, nil))
		sub := b.models.Deltas().Subscribe("r")
		run, err := b.Run(t.Context(), once(llm.Call(ask("hi"))), nil, &bide.StartOptions{RunID: "r"})
		for range len(scripts) {
			if err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Hour)
			run, err = b.Tick(t.Context(), "r")
		}
		if run.Status != bide.StatusCompleted || len(s.requests()) != len(scripts) {
			t.Fatalf("the run is %s after %d requests: %+v", run.Status, len(s.requests()), run.Error)
		}
		for _, key := range s.keys {
			if !strings.Contains(key, secret) {
				t.Error("the key was not used")
			}
		}
		raw, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"ledger": b.ledger("r"), "log": b.log.String(), "run": string(raw)} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has the key in it: %s", name, text)
			}
		}
		for e := range sub.Events(t.Context()) {
			if raw, err := json.Marshal(e); err != nil || strings.Contains(string(raw), secret) {
				t.Errorf("an event has the key in it: %s (%v)", raw, err)
			}
			if e.Kind == llm.EventEnded && e.Error == nil {
				break
			}
		}
	})
}
