package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

// journey asks, books two things at once (one of them at its second attempt), fails and is retried, waits for a
// child, three more children, a timer and an event, and completes.
func journey() []bide.Workflow {
	then := func(next string, effects ...bide.Effect) bide.NodeFunc {
		return func(*bide.Run) (bide.StepPlan, error) { return bide.Do(effects...).Then(next), nil }
	}
	again := bide.RetryPolicy{Attempts: 2, Backoff: bide.Duration(time.Minute), Jitter: -1}
	return []bide.Workflow{{ID: "journey", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": then("book", bide.Call("look", "map").As("seen"), bide.Ask("Go?", nil).As("answer")),
		"book": then("pay", bide.Call("seat", 12).Once().As("seat"), bide.Call("flaky", "hotel").WithRetry(again).As("hotel"),
			bide.Ask("Window?", nil).As("window")),
		"pay":   then("child", bide.Call("pay", 99).Once().WithRetry(bide.RetryPolicy{Attempts: 1}).As("paid"), bide.Call("look", "receipt").As("receipt")),
		"child": then("fan", bide.StartRun("leg", "train", nil).As("leg")),
		"fan":   then("rest", bide.FanOut("leg", []string{"a", "b", "c"}, &bide.FanOutOptions{AtOnce: 2}).As("legs")),
		"rest":  then("hear", bide.SleepFor(time.Hour)),
		"hear":  then("end", bide.WaitEvent("arrived", nil).As("arrived"), bide.Call("look", "home").As("home")),
		"end": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Go("done").Set("steps", r.Step).Append("log", "home"), nil
		},
		"done": func(r *bide.Run) (bide.StepPlan, error) { return bide.CompleteWith("steps"), nil },
	}}, {ID: "leg", Version: "1", Entry: "go", Nodes: bide.Nodes{
		"go": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("ride", nil)).ThenComplete("there"), nil
		},
	}}}
}

// place is an effect of a run.
type place struct {
	Step   int64
	Effect int
	Type   string
}

// traveller drives journeys to their ends, and remembers what was called for whom.
type traveller struct {
	t      *testing.T
	rt     *bide.Runtime
	clock  *bidetest.Clock
	mu     sync.Mutex
	calls  map[string]map[place]bool // by run
	refuse map[string]bool           // runs whose payment is refused
	last   int                       // the effect of the origin's payment step that ends last
	ended  chan struct{}             // closed when the other one has
}

func newTraveller(t *testing.T, last int) *traveller {
	tr := &traveller{t: t, last: last, ended: make(chan struct{}), clock: bidetest.NewClock(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)), calls: map[string]map[place]bool{}, refuse: map[string]bool{}}
	tr.rt = newRuntime(t, mem.New(), &bide.Options{Clock: tr.clock, Limits: bide.Limits{Concurrency: 2}}, journey()...)
	for _, typ := range []string{"look", "seat", "flaky", "pay", "ride"} {
		tr.rt.Handle(typ, tr.handle)
	}
	first := sync.OnceFunc(func() { close(tr.ended) })
	tr.rt.Observe(func(n bide.Notice) {
		for _, rec := range n.Commit.Records {
			if n.Commit.RunID == "origin" && rec.Step == 3 && (rec.Kind == bide.KindEffectCompleted || rec.Kind == bide.KindEffectFailed) {
				first()
			}
		}
	})
	return tr
}

func (tr *traveller) handle(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
	if call.Run == "origin" && call.Step == 3 && call.Effect == tr.last {
		<-tr.ended
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.calls[call.Run] == nil {
		tr.calls[call.Run] = map[place]bool{}
	}
	tr.calls[call.Run][place{call.Step, call.Effect, call.Type}] = true
	switch {
	case call.Type == "flaky" && call.Attempt == 1:
		return bide.Outcome{}, errors.New("full")
	case call.Type == "pay" && tr.refuse[call.Run]:
		tr.refuse[call.Run] = false
		return bide.Outcome{}, bide.Permanent(errors.New("no money"))
	}
	return bide.Completed(call.Payload), nil
}

// drive moves a run, and what it started, to its end. A failed one is retried.
func (tr *traveller) drive(id string) *bide.Run {
	tr.t.Helper()
	for range 100 {
		run := must[*bide.Run](tr.t)(tr.rt.Tick(ctx, id))
		switch {
		case run.Status == bide.StatusFailed:
			must[*bide.Run](tr.t)(tr.rt.Retry(ctx, id))
			continue
		case run.Status.Final():
			return run
		}
		for _, w := range run.Waits {
			tr.settle(run.ID, &w)
		}
	}
	tr.t.Fatalf("run %s does not come to its end", id)
	return nil
}

// settle does what a wait waits for.
func (tr *traveller) settle(id string, w *bide.Wait) {
	tr.t.Helper()
	switch w.Kind {
	case bide.WaitQuestion:
		must[*bide.Run](tr.t)(tr.rt.Resume(ctx, id, w.ID, "yes"))
	case bide.WaitChild:
		tr.drive(w.Key[len("run:"):])
	case bide.WaitForEvent:
		if err := tr.rt.Send(ctx, bide.Event{ScopeID: id, Name: "arrived", Payload: "safe"}); err != nil {
			tr.t.Fatal(err)
		}
	case bide.WaitTimer, bide.WaitRetry:
		tr.clock.Set(w.Until)
	default:
		tr.t.Fatalf("nobody expected a wait of kind %s", w.Kind)
	}
}

// began lists the effects that began in a run after its first record: what was called, and the waits that were opened
// and the children that were started.
func (tr *traveller) began(id string, from int64) map[place]bool {
	tr.t.Helper()
	types := map[[2]int64]string{} // by step and effect
	first := must[*bide.Run](tr.t)(tr.rt.StateAt(ctx, id, from))
	for i, e := range first.Effects {
		types[[2]int64{first.Step, int64(i)}] = e.Type
	}
	out := maps.Clone(tr.calls[id])
	if out == nil {
		out = map[place]bool{}
	}
	for rec, err := range tr.rt.Ledger(ctx, id, from+1) {
		if err != nil {
			tr.t.Fatal(err)
		}
		switch d := must[any](tr.t)(rec.Decode()).(type) {
		case *bide.StepPlanned:
			for i, e := range d.Plan.Effects {
				types[[2]int64{rec.Step, int64(i)}] = e.Type
			}
		case *bide.Wait:
			out[place{rec.Step, d.Effect, types[[2]int64{rec.Step, int64(d.Effect)}]}] = true
		}
	}
	return out
}

// kept is what a fork takes over from its origin: all but who it is, what is open and what has to be done again.
func kept(run *bide.Run) map[string]any {
	vars := bide.Must(bide.Get[map[string]any](run.Vars, ""))
	effects := map[int]string{}
	for i, e := range run.Effects {
		switch {
		case e.Status == bide.StateCompleted:
			effects[i] = e.Type + " completed"
		case e.Type == bide.TypeFanOut:
			delete(vars, e.Result) // its children start anew
		}
	}
	return map[string]any{"workflow": run.Workflow, "version": run.Version, "definition": run.Definition, "step": run.Step, "node": run.Node,
		"session": run.Session, "labels": run.Labels, "max_steps": run.MaxSteps, "caught": run.Caught, "exits": string(bide.Must(json.Marshal(run.Plan))), "vars": vars, "completed": effects}
}

// A fork at every record of a run: it begins with the state that its origin had there, and what happens in it is what
// the preview said, no more and no less.
func TestAForkAtEveryRecordIsWhatItWasAndDoesWhatItSaid(t *testing.T) {
	for last, name := range []string{"the failed effect ends last", "the failed effect ends first"} {
		t.Run(name, func(t *testing.T) { forkEverywhere(t, newTraveller(t, last)) })
	}
}

func forkEverywhere(t *testing.T, tr *traveller) {
	wf := journey()[0]
	tr.refuse["origin"] = true
	must[*bide.Run](t)(tr.rt.Start(ctx, wf, map[string]string{"to": "Rome"}, &bide.StartOptions{RunID: "origin", Session: "s", Labels: map[string]string{"a": "b"}}))
	origin := tr.drive("origin")
	if origin.Status != bide.StatusCompleted {
		t.Fatalf("the origin is %s: %v", origin.Status, origin.Error)
	}
	kinds := map[bide.Kind]int{}
	for seq := int64(1); seq <= origin.Seq; seq++ {
		was := must[*bide.Run](t)(tr.rt.StateAt(ctx, "origin", seq))
		rec := recordAt(t, tr.rt, "origin", seq)
		kinds[rec.Kind]++
		at := fmt.Sprintf("record %d (%s)", seq, rec.Kind)
		if was.Status == bide.StatusCompleted {
			if _, err := tr.rt.Fork(ctx, "origin", seq, nil); !errors.Is(err, bide.ErrWrongStatus) {
				t.Errorf("%s: Fork = %v, want ErrWrongStatus", at, err)
			}
			continue
		}
		preview := must[[]bide.ForkEffect](t)(tr.rt.ForkPreview(ctx, "origin", seq))
		id := fmt.Sprintf("fork-%d", seq)
		fork := must[*bide.Run](t)(tr.rt.Fork(ctx, "origin", seq, &bide.ForkOptions{RunID: id}))
		if diff := cmp.Diff(kept(was), kept(fork)); diff != "" {
			t.Errorf("%s: the fork begins otherwise than its origin was (-origin +fork):\n%s", at, diff)
		}
		if len(fork.Waits) > 0 {
			t.Errorf("%s: the fork begins with the waits of its origin", at)
		}
		if end := tr.drive(id); end.Status != bide.StatusCompleted || string(end.Output) != string(origin.Output) {
			t.Errorf("%s: the fork ends %s with %s, want as its origin: %s", at, end.Status, end.Output, origin.Output)
		}
		said := map[place]bool{}
		for _, e := range preview {
			p := place{e.Step, e.Effect, e.Type}
			if said[p] {
				t.Errorf("%s: the preview says %v twice", at, p)
			}
			said[p] = true
			if once := e.Delivery == bide.AtMostOnce; e.Unsafe != (once && tr.calls["origin"][p] && (!e.Certain || announced(was, e.Effect))) {
				t.Errorf("%s: the preview says unsafe %v of %v", at, e.Unsafe, p)
			}
		}
		if diff := cmp.Diff(said, tr.began(id, 1)); diff != "" {
			t.Errorf("%s: what happened is not what the preview said (-said +happened):\n%s", at, diff)
		}
		must[bide.Position](t)(tr.rt.Verify(ctx, id))
		if d := must[*bide.Divergence](t)(tr.rt.Replay(ctx, id)); d != nil {
			t.Errorf("%s: the fork replays as %s", at, d)
		}
	}
	for _, kind := range []bide.Kind{bide.KindEffectStarted, bide.KindEffectFailed, bide.KindWaitOpened, bide.KindWaitResolved, bide.KindRunFailed, bide.KindRunRetried} {
		if kinds[kind] == 0 {
			t.Errorf("the origin has no record %s: %v", kind, slices.Collect(maps.Keys(kinds)))
		}
	}
	if now := must[*bide.Run](t)(tr.rt.Get(ctx, "origin")); now.Seq != origin.Seq {
		t.Errorf("the origin has grown to %d records", now.Seq)
	}
	forks := must[*bide.RunPage](t)(tr.rt.Runs(ctx, bide.RunQuery{Origin: "origin", Limit: 1000})).Runs
	if len(forks) != int(origin.Seq)-1 {
		t.Errorf("%d forks name their origin, want %d", len(forks), origin.Seq-1)
	}
}

// announced reports whether an attempt of an effect may have happened by then.
func announced(run *bide.Run, effect int) bool {
	return effect < len(run.Effects) && run.Effects[effect].Attempt > 0
}

// recordAt is one record of a run.
func recordAt(t *testing.T, rt *bide.Runtime, id string, seq int64) bide.Record {
	t.Helper()
	for rec, err := range rt.Ledger(ctx, id, seq) {
		return must[bide.Record](t)(rec, err)
	}
	t.Fatalf("run %s has no record %d", id, seq)
	return bide.Record{}
}

// A fan-out that failed is made again as a whole when its run is retried.
func TestAFailedFanOutIsRetried(t *testing.T) {
	ill := true
	leg := bide.Workflow{ID: "leg", Version: "1", Entry: "go", Nodes: bide.Nodes{"go": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("ride", nil)).ThenComplete("there"), nil
	}}}
	store := mem.New()
	rt := newRuntime(t, store, nil, leg)
	rt.Handle("ride", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		if ill {
			return bide.Outcome{}, bide.Permanent(errors.New("ill"))
		}
		return bide.Completed(nil), nil
	})
	wf := bide.Workflow{ID: "fan", Version: "1", Entry: "all", Nodes: bide.Nodes{"all": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.FanOut("leg", []int{1, 2}, nil).As("legs")).ThenCompleteWith("legs"), nil
	}}}
	run := must[*bide.Run](t)(rt.Start(ctx, wf, nil, nil))
	driveAll(t, rt, store)
	if run = must[*bide.Run](t)(rt.Get(ctx, run.ID)); run.Status != bide.StatusFailed {
		t.Fatalf("the run is %s, want failed", run.Status)
	}
	ill = false
	must[*bide.Run](t)(rt.Retry(ctx, run.ID))
	driveAll(t, rt, store)
	if run = must[*bide.Run](t)(rt.Get(ctx, run.ID)); run.Status != bide.StatusCompleted {
		t.Errorf("after Retry the run is %s: %v", run.Status, run.Error)
	}
}
