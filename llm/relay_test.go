package llm_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
)

// wire connects processes, and passes texts on when it is told to.
type wire struct {
	mu      sync.Mutex
	offers  []func(anew bool) []string
	listens []*func(string)
	asked   int  // how often somebody was asked for what is new
	lost    bool // what is passed on does not come
}

// near is the end of the processes that make calls, and far that of those that follow.
type (
	near struct{ *wire }
	far  struct{ *wire }
)

func (near) Listen(string, func(string)) func() { return func() {} }

func (w near) Offer(_ string, next func(anew bool) []string) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offers = append(w.offers, next)
	return func() { w.pass(false) }
}

func (far) Offer(string, func(bool) []string) func() { return func() {} }

func (w far) Listen(_ string, f func(string)) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listens = append(w.listens, &f)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.listens = slices.DeleteFunc(slices.Clone(w.listens), func(p *func(string)) bool { return p == &f })
	}
}

// pass passes on what is new.
func (w *wire) pass(anew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.listens) == 0 {
		return
	}
	for _, next := range w.offers {
		w.asked++
		for _, text := range next(anew) {
			for _, f := range w.listens {
				if !w.lost {
					(*f)(text)
				}
			}
		}
	}
}

// said is a model that says each word that it is given.
type said chan string

func (s said) Generate(ctx context.Context, _ *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	a := llm.NewAssembler(emit)
	for {
		select {
		case word, more := <-s:
			if !more {
				return &llm.Response{Message: a.Message(), Finish: llm.FinishStop}, nil
			}
			if word == "fail" {
				return nil, llm.Errorf(llm.CodeOverloaded, "no more")
			}
			if err := a.Add("0", llm.Text(word)); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// talk is a run of one call, in a process of its own.
type talk struct {
	*bench
	words said
	run   bide.Workflow
}

func newTalk(t *testing.T, w *wire) *talk {
	words := make(said)
	models, err := llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"test": {Kind: "said"}}},
		llm.Kinds{"said": func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return words, nil }}, &llm.Options{Relay: near{w}})
	if err != nil {
		t.Fatal(err)
	}
	return &talk{newBench(t, mem.New(), models), words, once(llm.Call(llm.Request{Model: "test/x", Messages: []llm.Message{llm.User("hi")}}))}
}

// begin makes an attempt, and returns how to wait for its end.
func (k *talk) begin() (ended func()) {
	k.t.Helper()
	if _, err := k.Start(k.t.Context(), k.run, nil, &bide.StartOptions{RunID: "r"}); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := k.Tick(k.t.Context(), "r")
		done <- err
	}()
	return func() {
		k.t.Helper()
		if err := <-done; err != nil {
			k.t.Error(err)
		}
	}
}

// say has the model say words, and waits until its process has heard them.
func (k *talk) say(words ...string) {
	k.t.Helper()
	sub := k.models.Deltas().Subscribe("r")
	defer sub.Close()
	for _, word := range words {
		k.words <- word
	}
	n := 0
	for e := range sub.Events(k.t.Context()) {
		if e.Kind == llm.EventDelta && e.Delta.Part.Text == words[len(words)-1] {
			return
		}
		if n++; n > 1000 {
			k.t.Fatalf("the model did not say %q", words)
		}
	}
}

// heard reads n events.
func heard(t *testing.T, sub *llm.Subscription, n int) (out []string) {
	t.Helper()
	for e := range sub.Events(t.Context()) {
		line := fmt.Sprintf("#%d %s", e.Attempt.Attempt, e.Kind)
		if e.Delta != nil {
			line += " " + e.Delta.Part.Text
		}
		if e.Error != nil {
			line += " " + string(e.Error.Code)
		}
		if out = append(out, line); len(out) == n {
			break
		}
	}
	return out
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherProcessSeesAnAnswerComeAndStartOverOnARetry(t *testing.T) {
	w := &wire{}
	k, reader := newTalk(t, w), llm.NewDeltas(far{w})
	sub := reader.Subscribe("r")
	defer sub.Close()
	ended := k.begin()
	k.say("Go", "o")
	w.pass(false)
	k.say("d")
	k.words <- "fail"
	ended()
	want(t, heard(t, sub, 4), "#1 started", "#1 delta Goo", "#1 delta d", "#1 ended overloaded")
	k.clock.Advance(time.Hour)
	ended = k.begin()
	k.say("Hello")
	close(k.words)
	ended()
	want(t, heard(t, sub, 3), "#2 started", "#2 delta Hello", "#2 ended")
}

func TestWhoComesLateHearsAllAndTheOthersOnlyWhatIsNew(t *testing.T) {
	w := &wire{}
	k := newTalk(t, w)
	early := llm.NewDeltas(far{w}).Subscribe("r")
	defer early.Close()
	ended := k.begin()
	k.say("a")
	w.pass(false)
	lateProcess := llm.NewDeltas(far{w})
	late := lateProcess.Subscribe("r")
	defer late.Close()
	k.say("b")
	w.pass(true)
	k.say("c")
	another := lateProcess.Subscribe("r") // gets what came to its process
	defer another.Close()
	close(k.words)
	ended()
	w.pass(true) // the answer has ended: nobody hears it twice
	want(t, heard(t, early, 5), "#1 started", "#1 delta a", "#1 delta b", "#1 delta c", "#1 ended")
	want(t, heard(t, late, 4), "#1 started", "#1 delta ab", "#1 delta c", "#1 ended")
	want(t, heard(t, another, 4), "#1 started", "#1 delta ab", "#1 delta c", "#1 ended")
}

func TestAHoleIsNeverHeardAsAnAnswer(t *testing.T) {
	for again, wanted := range map[bool][]string{
		false: {"#1 started", "#1 delta a", "#1 ended"},
		true:  {"#1 started", "#1 delta a", "#1 started", "#1 delta abc", "#1 ended"},
	} {
		w := &wire{}
		k := newTalk(t, w)
		sub := llm.NewDeltas(far{w}).Subscribe("r")
		ended := k.begin()
		k.say("a")
		w.pass(false)
		k.say("b")
		w.lost = true
		w.pass(false)
		w.lost = false
		k.say("c")
		w.pass(again)
		close(k.words)
		ended()
		want(t, heard(t, sub, len(wanted)), wanted...)
		sub.Close()
	}
}

func TestWhoHasLostACallIsNotHeardAnyMore(t *testing.T) {
	w := &wire{}
	old, now := newTalk(t, w), newTalk(t, w)
	sub := llm.NewDeltas(far{w}).Subscribe("r")
	defer sub.Close()
	oldEnded := old.begin()
	old.say("a")
	w.pass(false)
	ended := now.begin()
	now.say("x")
	w.pass(false)
	old.say("b")
	close(old.words)
	oldEnded()
	now.say("y")
	close(now.words)
	ended()
	want(t, heard(t, sub, 6), "#1 started", "#1 delta a", "#1 started", "#1 delta x", "#1 delta y", "#1 ended")
}

// Nothing is made ready for others when nobody follows, or nobody any more.
func TestNobodyIsAskedWhenNobodyFollows(t *testing.T) {
	w := &wire{}
	k, reader := newTalk(t, w), llm.NewDeltas(far{w})
	one, two := reader.Subscribe("r"), reader.Subscribe("r")
	ended := k.begin()
	k.say("a")
	one.Close()
	w.pass(false)
	asked := w.asked
	two.Close()
	k.say("b")
	w.pass(false)
	close(k.words)
	ended()
	if asked != 1 || w.asked != asked {
		t.Errorf("asked %d times with a reader, and %d times without, want 1 and 0", asked, w.asked-asked)
	}
}
