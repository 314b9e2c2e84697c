package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

const (
	callCount   = 100
	clientCount = 10
)

// A hundred calls wait for decisions. Ten clients send theirs at once: some the
// same twice, some against each other, some forged, some with other arguments;
// the process dies at any commit. Then every call has one result, none that was not let pass has
// run, none has run twice, and what ran had the arguments that are on record.
func TestAHundredPendingCallsAndTenClients(t *testing.T) {
	// One check is some hundred commits. -rapid.checks asks for more of them.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(f.DefValue)
	}
	rapid.Check(t, func(t *rapid.T) {
		o := &office{t: t, store: mem.New(), ran: map[string][]string{}}
		o.crashes = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) crash {
			return crash{rapid.IntRange(0, 80).Draw(t, "commits"), rapid.Bool().Draw(t, "applied")}
		}), 0, 6).Draw(t, "crashes")
		answers := make([][]attempt, clientCount)
		for i := range answers {
			answers[i] = rapid.SliceOfN(rapid.Custom(drawAttempt), 5, 25).Draw(t, fmt.Sprintf("client %d", i))
		}
		o.boot()
		defer o.stop()
		o.open()
		o.decide(answers)
		o.finish()
		o.check()
	})
}

type crash struct {
	commits int
	applied bool
}

// attempt is one answer that a client sends.
type attempt struct {
	call int
	kind string
}

// forged are the kinds of answers that must be refused, with the error.
var forged = map[string]error{
	"hash":   bide.ErrArgsChanged,
	"args":   bide.ErrInvalidAnswer,
	"call":   bide.ErrInvalidAnswer,
	"string": bide.ErrInvalidAnswer,
	"agent":  bide.ErrForbidden,
	"nobody": bide.ErrForbidden,
}

func drawAttempt(t *rapid.T) attempt {
	return attempt{rapid.IntRange(0, callCount-1).Draw(t, "call"),
		rapid.SampledFrom([]string{"approve", "approve", "edit", "reject", "respond", "hash", "args", "call", "string", "agent", "nobody"}).Draw(t, "kind")}
}

func (a attempt) answer(w *bide.Wait) (string, bide.Command) {
	id, sum := w.Items[0].ToolCallID, w.Items[0].ArgsSHA256
	one := func(format string, args ...any) string { return `{"decisions":[` + fmt.Sprintf(format, args...) + `]}` }
	who := bide.Command{Actor: "anna", Groups: []string{"group:ops"}}
	switch a.kind {
	case "edit":
		return one(`{"tool_call_id":%q,"args_sha256":%q,"type":"edit","args":{"to":"e%d"}}`, id, sum, a.call), who
	case "reject":
		return one(`{"tool_call_id":%q,"type":"reject","message":"no"}`, id), who
	case "respond":
		return one(`{"tool_call_id":%q,"type":"respond","message":"r%d"}`, id, a.call), who
	case "hash":
		return one(`{"tool_call_id":%q,"args_sha256":%q,"type":"approve"}`, id, strings.Repeat("0", 64)), who
	case "args":
		return one(`{"tool_call_id":%q,"args_sha256":%q,"type":"edit","args":{"from":"me"}}`, id, sum), who
	case "call":
		return one(`{"tool_call_id":"c%d","args_sha256":%q,"type":"approve"}`, (a.call+1)%callCount, sum), who
	case "string":
		return `{"approved":"true"}`, who
	case "agent":
		who.Actor = "agent:writer"
	case "nobody":
		who = bide.Command{Actor: "mallory"}
	}
	return one(`{"tool_call_id":%q,"args_sha256":%q,"type":"approve"}`, id, sum), who
}

// office is a process that dies now and then, what is outside, and the clients.
type office struct {
	t       *rapid.T
	store   *mem.Store
	crashes []crash
	mortal  *mortal
	rt      *bide.Runtime
	set     *tool.Set
	waits   []bide.Wait // by call

	mu       sync.Mutex
	ran      map[string][]string // arguments of the calls that happened, by key
	accepted []string            // wait and answer of those that were
}

func (o *office) mail() tool.Tool {
	m := tool.Func("mail", "Sends a mail.", tool.Once, func(context.Context, mailArgs) (any, error) { return nil, nil })
	m.Run = func(_ context.Context, req *tool.Request) (tool.Reply, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ran[req.Key] = append(o.ran[req.Key], string(req.Args))
		return tool.Reply{Content: string(req.Args)}, nil
	}
	return m
}

func (o *office) workflow() bide.Workflow {
	return bide.Workflow{ID: "office", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(*bide.Run) (bide.StepPlan, error) {
			plan, err := o.set.Plan(mails(callCount), "results")
			return plan.Then("observe"), err
		},
		"observe": func(r *bide.Run) (bide.StepPlan, error) {
			results, err := tool.Results(r.Vars, "results", mails(callCount))
			return bide.Complete(results), err
		},
	}}
}

// boot is a new process.
func (o *office) boot() {
	o.mortal = &mortal{Store: o.store, left: -1}
	if len(o.crashes) > 0 {
		o.mortal.left, o.mortal.applied, o.crashes = o.crashes[0].commits, o.crashes[0].applied, o.crashes[1:]
	}
	o.set = bide.Must(tool.New(&tool.Options{Approval: tool.Approval{Assignees: []string{"group:ops"}}}, o.mail()))
	o.rt = bide.Must(bide.New(o.mortal, &bide.Options{NewID: func() string { return "r" }, Grace: time.Minute}))
	o.set.Register(o.rt)
	if err := o.rt.Register(o.workflow()); err != nil {
		o.t.Fatal(err)
	}
}

// stop ends the process for good: nothing of it is at work after that.
func (o *office) stop() {
	if err := errors.Join(o.rt.Close(ctx), o.set.Close(ctx)); err != nil {
		o.t.Fatal(err)
	}
}

// again reports whether err is the death of the process, and begins a new one.
func (o *office) again(err error) bool {
	if !errors.Is(err, bide.ErrStoreClosed) {
		return false
	}
	o.stop()
	o.boot()
	return true
}

// tick drives the run until only people can go on.
func (o *office) tick() *bide.Run {
	for range 100 {
		run, err := o.rt.Tick(ctx, "r")
		if err == nil {
			return run
		}
		if !o.again(err) {
			o.t.Fatal(err)
		}
	}
	o.t.Fatal("the run does not get on")
	return nil
}

// open starts the run, until every call waits for its decision.
func (o *office) open() {
	for {
		_, err := o.rt.Start(ctx, o.workflow(), nil, &bide.StartOptions{RunID: "r"})
		if err == nil {
			break
		}
		if !o.again(err) {
			o.t.Fatal(err)
		}
	}
	o.waits = make([]bide.Wait, callCount)
	for _, w := range o.tick().Waits {
		if w.Kind != bide.WaitToolApproval {
			o.t.Fatalf("a wait of kind %s before anything was decided", w.Kind)
		}
		i, err := strconv.Atoi(w.Items[0].ToolCallID[1:])
		if err != nil {
			o.t.Fatal(err)
		}
		o.waits[i] = w
	}
	for i, w := range o.waits {
		if w.ID == "" {
			o.t.Fatalf("call %d waits for no decision", i)
		}
	}
}

// decide lets every client send its answers, all at once, while the run is driven. After a death
// they send again what they got no reply to.
func (o *office) decide(answers [][]attempt) {
	for range 100 {
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = o.client(answers[i]) })
		}
		var err error
		all.Go(func() { _, err = o.rt.Tick(ctx, "r") })
		all.Wait()
		left := 0
		for _, a := range answers {
			left += len(a)
		}
		if err != nil && !o.again(err) {
			o.t.Fatal(err)
		}
		if err == nil && left > 0 { // it died after the Tick
			o.stop()
			o.boot()
		}
		if left == 0 {
			return
		}
	}
	o.t.Fatal("the clients do not get on")
}

// client sends answers and returns those without a reply.
func (o *office) client(answers []attempt) []attempt {
	for n, a := range answers {
		w := &o.waits[a.call]
		answer, who := a.answer(w)
		_, err := o.rt.Resume(ctx, "r", w.ID, json.RawMessage(answer), who)
		if errors.Is(err, bide.ErrStoreClosed) {
			return answers[n:]
		}
		o.mu.Lock()
		switch want := forged[a.kind]; {
		case want == nil && err == nil:
			o.accepted = append(o.accepted, w.ID+" "+answer)
		case errors.Is(err, bide.ErrAlreadyDecided):
		case want == nil || !errors.Is(err, want) && !o.sameAsDecided(a):
			o.t.Errorf("%s of call %d = %v, want %v", a.kind, a.call, err, want)
		}
		o.mu.Unlock()
	}
	return nil
}

// sameAsDecided says whether a forged answer has the text of a true one: that of a
// stranger who repeats what was decided gets the reply of the first, and changes nothing.
func (o *office) sameAsDecided(a attempt) bool { return a.kind == "agent" || a.kind == "nobody" }

// finish approves what nobody decided about and says of the calls in doubt what
// is known outside.
func (o *office) finish() {
	for range 10 * callCount {
		run := o.tick()
		if run.Status.Final() {
			return
		}
		for _, w := range run.Waits {
			answer := any(bide.Approval{Approved: new(true)})
			if w.Kind == bide.WaitAttention {
				o.mu.Lock()
				ran := o.ran[fmt.Sprintf("r/1/%d", w.Effect)]
				o.mu.Unlock()
				answer = bide.Attention{Type: bide.AttentionAgain}
				if len(ran) > 0 {
					answer = bide.Attention{Type: bide.AttentionDone, Result: bide.Must(json.Marshal(ran[0]))}
				}
			}
			_, err := o.rt.Resume(ctx, "r", w.ID, answer, bide.Command{Actor: "anna", Groups: []string{"group:ops"}})
			if err != nil && !o.again(err) && !errors.Is(err, bide.ErrAlreadyDecided) {
				o.t.Fatal(err)
			}
		}
	}
	o.t.Fatal("the run does not end")
}

// check holds the results and what happened outside against the ledger.
func (o *office) check() {
	run := bide.Must(o.rt.Get(ctx, "r"))
	if run.Status != bide.StatusCompleted {
		o.t.Fatalf("run = %s %v", run.Status, run.Error)
	}
	bide.Must(o.rt.Verify(ctx, "r"))
	decided := map[string]string{} // by wait: the answer on record
	for rec, err := range o.rt.Ledger(ctx, "r", 1) {
		if err != nil {
			o.t.Fatal(err)
		}
		if rec.Kind == bide.KindWaitResolved {
			d := bide.Must(rec.Decode()).(*bide.WaitResolved)
			if d.By != bide.ByAnswer || rec.Actor != "anna" {
				o.t.Fatalf("wait %s was resolved by %s, %q", d.WaitID, d.By, rec.Actor)
			}
			decided[d.WaitID] = string(d.Answer)
		}
	}
	for _, a := range o.accepted {
		wait, answer, _ := strings.Cut(a, " ")
		if decided[wait] != answer {
			o.t.Fatalf("the answer %s to wait %s was accepted; on record is %s", answer, wait, decided[wait])
		}
	}
	var results []tool.Result
	if err := json.Unmarshal(run.Output, &results); err != nil || len(results) != callCount {
		o.t.Fatalf("%d results, %v; want one for each call", len(results), err)
	}
	for i, res := range results {
		w := &o.waits[i]
		want, args := tool.StatusOK, string(w.Items[0].Args)
		switch answer := decided[w.ID]; {
		case strings.Contains(answer, `"edit"`):
			args = fmt.Sprintf(`{"to":"e%d"}`, i)
		case strings.Contains(answer, `"reject"`):
			want, args = tool.StatusRejected, ""
		case strings.Contains(answer, `"respond"`):
			want, args = tool.StatusResponded, ""
		}
		if res.ToolCallID != fmt.Sprintf("c%d", i) || res.Status != want {
			o.t.Fatalf("result %d = %s %s, want %s after %s", i, res.ToolCallID, res.Status, want, decided[w.ID])
		}
		ran := o.ran[fmt.Sprintf("r/1/%d", i)]
		if args == "" && len(ran) > 0 || args != "" && (len(ran) != 1 || ran[0] != args) {
			o.t.Fatalf("call %d ran with %q, want %q after %s", i, ran, args, decided[w.ID])
		}
	}
}
