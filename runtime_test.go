package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

func newRuntime(t *testing.T, store bide.Store, opts *bide.Options, workflows ...bide.Workflow) *bide.Runtime {
	t.Helper()
	rt, err := bide.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Register(workflows...); err != nil {
		t.Fatal(err)
	}
	return rt
}

// one is a workflow of one step, whose result is the output.
func one(effect bide.Effect) bide.Workflow {
	return bide.Workflow{ID: "one", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(effect.As("result")).ThenCompleteWith("result"), nil
		},
	}}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var ctx = context.Background()

func TestTwoRuntimesOverOneStoreSeeEachOther(t *testing.T) {
	store, wf := mem.New(), one(bide.Ask("?", nil))
	a, b := newRuntime(t, store, nil, wf), newRuntime(t, store, nil, wf)
	run := must[*bide.Run](t)(a.Start(ctx, wf, nil, nil))
	run = must[*bide.Run](t)(b.Tick(ctx, run.ID)) // a still remembers the run as it began
	if got := must[*bide.Run](t)(a.Tick(ctx, run.ID)); got.Status != bide.StatusWaiting {
		t.Errorf("Tick of the other runtime = %s, want waiting", got.Status)
	}
	must[*bide.Run](t)(b.Resume(ctx, run.ID, run.Waits[0].ID, "x"))
	if _, err := a.Resume(ctx, run.ID, run.Waits[0].ID, "y"); !errors.Is(err, bide.ErrAlreadyDecided) {
		t.Errorf("second answer = %v, want ErrAlreadyDecided", err)
	}
	if got := must[*bide.Run](t)(a.Tick(ctx, run.ID)); got.Status != bide.StatusCompleted {
		t.Errorf("Tick = %s, want completed", got.Status)
	}
	if got := must[*bide.Run](t)(b.Get(ctx, run.ID)); got.Status != bide.StatusCompleted {
		t.Errorf("Get of the other runtime = %s, want completed", got.Status)
	}
	keyed := &bide.StartOptions{Key: "k"}
	run = must[*bide.Run](t)(a.Start(ctx, wf, nil, keyed))
	must[*bide.Run](t)(b.Cancel(ctx, run.ID))
	if got := must[*bide.Run](t)(a.Start(ctx, wf, nil, keyed)); got.Status != bide.StatusCancelled {
		t.Errorf("Start of a run that another runtime cancelled = %s, want cancelled", got.Status)
	}
}

func TestACommandIsAppliedOnceAndEverySenderGetsTheSameResult(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	rt := newRuntime(t, mem.New(), nil, wf)
	run := must[*bide.Run](t)(rt.Start(ctx, wf, nil, nil))
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	same := cmpopts.IgnoreUnexported(bide.Run{}, bide.Effect{}, bide.StepPlan{})

	first := must[*bide.Run](t)(rt.Pause(ctx, run.ID, bide.Command{ID: "p1", Actor: "anna", Reason: "lunch"}))
	must[*bide.Run](t)(rt.Unpause(ctx, run.ID, bide.Command{ID: "u1"}))
	again := must[*bide.Run](t)(rt.Pause(ctx, run.ID, bide.Command{ID: "p1", Actor: "anna", Reason: "lunch"}))
	if diff := cmp.Diff(first, again, same); diff != "" {
		t.Errorf("the repeat of a command has another result:\n%s", diff)
	}
	if got := must[*bide.Run](t)(rt.Get(ctx, run.ID)); got.Status != bide.StatusWaiting || got.Seq != 5 {
		t.Errorf("the repeat paused the run again: %s at record %d", got.Status, got.Seq)
	}
	if first.Paused == nil || first.Paused.Actor != "anna" || first.Paused.Reason != "lunch" {
		t.Errorf("Paused = %+v, want anna's lunch", first.Paused)
	}
	if _, err := rt.Cancel(ctx, run.ID, bide.Command{ID: "p1"}); !errors.Is(err, bide.ErrCommandReused) {
		t.Errorf("Cancel under a used command id = %v, want ErrCommandReused", err)
	}
	if _, err := rt.Cancel(ctx, run.ID, bide.Command{}, bide.Command{}); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Cancel with two commands = %v, want ErrInvalidInput", err)
	}
}

func TestStartIsIdempotentByIDKeyAndCommand(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	rt := newRuntime(t, mem.New(), nil)
	for name, tc := range map[string]struct {
		opts   bide.StartOptions
		reused error
	}{
		"id":      {bide.StartOptions{RunID: "mine"}, bide.ErrExists},
		"key":     {bide.StartOptions{Key: "order-42"}, bide.ErrKeyReused},
		"command": {bide.StartOptions{Command: bide.Command{ID: "c"}}, bide.ErrCommandReused},
	} {
		t.Run(name, func(t *testing.T) {
			first := must[*bide.Run](t)(rt.Start(ctx, wf, map[string]int{"n": 1}, &tc.opts))
			again := must[*bide.Run](t)(rt.Start(ctx, wf, json.RawMessage(`{ "n": 1 }`), &tc.opts))
			if again.ID != first.ID || again.Seq != 1 {
				t.Errorf("second Start = run %s at record %d, want %s at 1", again.ID, again.Seq, first.ID)
			}
			if _, err := rt.Start(ctx, wf, map[string]int{"n": 2}, &tc.opts); !errors.Is(err, tc.reused) {
				t.Errorf("Start with another input = %v, want %v", err, tc.reused)
			}
		})
	}
}

func TestAThousandRacingAnswersHaveOneWinner(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	store := mem.New()
	a, b := newRuntime(t, store, nil, wf), newRuntime(t, store, nil, wf)
	run := must[*bide.Run](t)(a.Run(ctx, wf, nil, nil))
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 1000 {
		wg.Go(func() {
			rt := []*bide.Runtime{a, b}[i%2]
			_, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, fmt.Sprint(i))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, bide.ErrAlreadyDecided):
				t.Errorf("Resume = %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d answers won, want 1", won.Load())
	}
	must[bide.Position](t)(a.Verify(ctx, run.ID))
}

func TestAHandlerSeesItsInvocation(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	wf := one(bide.Call("charge", map[string]int{"cents": 120}).WithAttemptTimeout(time.Minute).WithTimeout(30 * time.Second))
	rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock}, wf)
	type order struct{ Cents int }
	type receipt struct {
		Cents int    `json:"cents"`
		Key   string `json:"key"`
	}
	var got bide.Invocation
	rt.Handle("charge", bide.Typed(func(ctx context.Context, in order) (receipt, error) {
		got = *bide.InvocationFrom(ctx)
		return receipt{in.Cents, got.Key}, nil
	}))
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r", Session: "s", Labels: map[string]string{"team": "ops"}}))
	want := bide.Invocation{
		Run: "r", Workflow: "one", Node: "act", Step: 1, Type: "charge", Payload: json.RawMessage(`{"cents":120}`), Key: "r/1/0",
		Attempt: 1, Deadline: clock.Now().Add(30 * time.Second), Session: "s", Labels: map[string]string{"team": "ops"},
	}
	if err := json.Unmarshal([]byte(`{"input":null}`), &want.Vars); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Invocation (-want +got):\n%s", diff)
	}
	if out, err := bide.Get[receipt](run.Vars, "result"); err != nil || out != (receipt{120, "r/1/0"}) {
		t.Errorf("result = %+v, %v", out, err)
	}
}

func TestAnAttemptThatIgnoresItsTimeoutIsGivenUpAndItsOutcomeRecorded(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	wf := one(bide.Call("stubborn", nil).WithAttemptTimeout(time.Minute))
	rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock, Grace: time.Second, Poll: time.Hour}, wf)
	entered, told, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	rt.Handle("stubborn", func(ctx context.Context, _ *bide.Invocation) (bide.Outcome, error) {
		close(entered)
		<-ctx.Done()
		close(told)
		<-release
		return bide.Completed("it did happen"), nil
	})
	done := make(chan *bide.Run)
	go func() {
		run, err := rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"})
		if err != nil {
			t.Error(err)
		}
		done <- run
	}()
	<-entered
	advanceUntil(clock, time.Minute, told)
	var run *bide.Run
	ended := make(chan struct{})
	go func() { run = <-done; close(ended) }()
	advanceUntil(clock, time.Second, ended)
	if run.Status != bide.StatusFailed || run.Error.Code != bide.FailureTimeout {
		t.Errorf("run = %s, %v, want failed by timeout", run.Status, run.Error)
	}
	close(release)
	if err := rt.Close(ctx); err != nil {
		t.Fatal(err)
	}
	last := lastRecord(t, rt, "r")
	if last.Kind != bide.KindEffectLate || !strings.Contains(string(last.Data), "it did happen") {
		t.Errorf("last record = %s %s, want effect.late with the result", last.Kind, last.Data)
	}
}

// advanceUntil moves the clock on until something has happened: the timer it
// waits for may not be set yet at the first move.
func advanceUntil(clock *bidetest.Clock, d time.Duration, happened <-chan struct{}) {
	for {
		clock.Advance(d)
		select {
		case <-happened:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func lastRecord(t *testing.T, rt *bide.Runtime, runID string) (last bide.Record) {
	t.Helper()
	for rec, err := range rt.Ledger(ctx, runID, 1) {
		if err != nil {
			t.Fatal(err)
		}
		last = rec
	}
	return last
}

func TestTickEndsWithItsContextAndTheEffectGoesOnLater(t *testing.T) {
	wf := one(bide.Call("slow", nil))
	store := mem.New()
	rt := newRuntime(t, store, nil, wf)
	cctx, cancel := context.WithCancel(ctx)
	rt.Handle("slow", func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if call.Attempt > 1 {
			return bide.Completed(call.Key), nil
		}
		cancel()
		<-ctx.Done()
		return bide.Outcome{}, ctx.Err()
	})
	run := must[*bide.Run](t)(rt.Start(ctx, wf, nil, &bide.StartOptions{RunID: "r"}))
	if _, err := rt.Tick(cctx, run.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("Tick = %v, want context.Canceled", err)
	}
	if last := lastRecord(t, rt, "r"); last.Kind != bide.KindEffectInterrupted {
		t.Errorf("last record = %s, want effect.interrupted", last.Kind)
	}
	if run = must[*bide.Run](t)(rt.Tick(ctx, "r")); string(run.Output) != `"r/1/0"` {
		t.Errorf("output = %s, want the same key", run.Output)
	}
}

func TestAnEffectThatKillsItsProcessEndsInAnAttentionWait(t *testing.T) {
	wf := one(bide.Call("poison", nil))
	store := mem.New()
	for range 4 {
		fault := &faultStore{Store: store, at: -1}
		rt := newRuntime(t, fault, &bide.Options{Limits: bide.Limits{Lost: 3}}, wf)
		rt.Handle("poison", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			fault.arm(0, false)
			return bide.Completed(nil), nil
		})
		if _, err := rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"}); !errors.Is(err, errDead) {
			t.Fatalf("Run = %v, want death", err)
		}
	}
	run := must[*bide.Run](t)(newRuntime(t, store, &bide.Options{Limits: bide.Limits{Lost: 3}}, wf).Tick(ctx, "r"))
	if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitAttention {
		t.Errorf("after four deaths the run has waits %v, want attention", run.Waits)
	}
}

func TestLimitsEndARunWithAClearError(t *testing.T) {
	loop := bide.Workflow{ID: "loop", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Go("a"), nil },
	}}
	big := strings.Repeat("x", 200)
	for name, tc := range map[string]struct {
		wf   bide.Workflow
		code string
		text string
	}{
		"steps":   {loop, bide.FailureLimit, "10 steps"},
		"value":   {one(bide.Call("echo", big)), bide.FailureNode, "more than the limit of 100"},
		"result":  {one(bide.Call("big", nil)), bide.FailureTooLarge, "more than the limit of 100"},
		"effects": {many(4), bide.FailureNode, "more than the limit of 3"},
	} {
		t.Run(name, func(t *testing.T) {
			rt := newRuntime(t, mem.New(), &bide.Options{Limits: bide.Limits{Steps: 10, ValueBytes: 100, Effects: 3}})
			rt.Handle("big", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed(big), nil })
			run := must[*bide.Run](t)(rt.Run(ctx, tc.wf, nil, nil))
			if run.Status != bide.StatusFailed || run.Error.Code != tc.code || !strings.Contains(run.Error.Message, tc.text) {
				t.Errorf("run = %s, %v, want %s with %q", run.Status, run.Error, tc.code, tc.text)
			}
		})
	}
	rt := newRuntime(t, mem.New(), &bide.Options{Limits: bide.Limits{ValueBytes: 100}})
	if _, err := rt.Start(ctx, loop, big, nil); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Start with a large input = %v, want ErrInvalidInput", err)
	}
}

func many(n int) bide.Workflow {
	wf := one(bide.Tell("x"))
	wf.Nodes["act"] = func(*bide.Run) (bide.StepPlan, error) {
		effects := make([]bide.Effect, n)
		for i := range effects {
			effects[i] = bide.Call("echo", i).AppendTo("all")
		}
		return bide.Do(effects...).ThenCompleteWith("all"), nil
	}
	return wf
}

func TestManyEffectsOfAStepRunAFewAtATime(t *testing.T) {
	wf := many(50)
	rt := newRuntime(t, mem.New(), &bide.Options{Limits: bide.Limits{Concurrency: 4}}, wf)
	var now, most atomic.Int32
	rt.Handle("echo", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return bide.Completed(call.Payload), nil
	})
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	got, err := bide.Get[[]int](run.Vars, "all")
	if err != nil || len(got) != 50 || most.Load() > 4 {
		t.Errorf("%d results, %v, at most %d at once; want 50 and at most 4", len(got), err, most.Load())
	}
}

func TestAMisbuiltWorkflowIsRefusedWithEveryFault(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil)
	ok := func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil }
	_, err := rt.Start(ctx, bide.Workflow{
		ID: "a b", Entry: "nowhere", Nodes: bide.Nodes{"x": nil, "y": ok, "z": ok},
		Exits: map[string][]string{"x": {"q"}, "y": {bide.End}, "w": {"x"}}, ErrorNode: "e",
	}, nil, nil)
	var e *bide.Error
	if !errors.As(err, &e) || e.Code != bide.CodeInvalidWorkflow {
		t.Fatalf("Start = %v, want invalid_workflow", err)
	}
	var got []string
	for _, f := range e.Faults {
		got = append(got, f.Path)
	}
	want := []string{"id", "version", "entry", "nodes.x", "exits.z", "exits.w", "exits.x", "error_node"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
	}
	wf := one(bide.Tell("x"))
	if err := rt.Register(wf); err != nil {
		t.Fatal(err)
	}
	wf.Nodes = bide.Nodes{"act": ok, "other": ok}
	if err := rt.Register(wf); !errors.Is(err, bide.ErrInvalidWorkflow) {
		t.Errorf("Register of another definition under a known version = %v, want ErrInvalidWorkflow", err)
	}
}

func TestDeclaredExitsAreHeldTo(t *testing.T) {
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Exits: map[string][]string{"a": {bide.End}, "b": {bide.End}}, Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Go("b"), nil },
		"b": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil },
	}}
	run := must[*bide.Run](t)(newRuntime(t, mem.New(), nil).Run(ctx, wf, nil, nil))
	if run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, `does not declare "b"`) {
		t.Errorf("run = %s, %v", run.Status, run.Error)
	}
}

func TestReplayNamesTheFirstStepThatDecidesOtherwise(t *testing.T) {
	limit := 100
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Go("b").Set("seen", 1), nil },
		"b": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Input[int](r)
			return bide.Complete(n > limit), err
		},
	}}
	store := mem.New()
	rt := newRuntime(t, store, nil)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, 70, nil))
	bidetest.Replays(t, wf, rt.Ledger(ctx, run.ID, 1))
	limit = 50
	d := must[*bide.Divergence](t)(rt.Replay(ctx, run.ID))
	if d == nil || d.Step != 2 || d.Node != "b" || !strings.Contains(string(d.Recorded), "false") || !strings.Contains(string(d.Now), "true") {
		t.Errorf("Replay = %v, want a divergence at step 2", d)
	}
}

func TestStateAtGivesEveryPastState(t *testing.T) {
	wf := many(3)
	rt := newRuntime(t, mem.New(), nil, wf)
	rt.Handle("echo", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		return bide.Completed(call.Payload), nil
	})
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	for seq := int64(1); seq <= run.Seq; seq++ {
		at := must[*bide.Run](t)(rt.StateAt(ctx, run.ID, seq))
		if at.Seq != seq {
			t.Errorf("StateAt(%d) is at %d", seq, at.Seq)
		}
	}
	if _, err := rt.StateAt(ctx, run.ID, run.Seq+1); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("StateAt beyond the end = %v, want ErrNotFound", err)
	}
}

func TestARunDeadlineEndsItAndRetryStartsItAnew(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	wf := one(bide.Ask("?", nil))
	rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock}, wf)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, &bide.StartOptions{Timeout: time.Hour}))
	if !run.WakeAt.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("WakeAt = %s, want the deadline", run.WakeAt)
	}
	clock.Advance(time.Hour)
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if run.Status != bide.StatusFailed || run.Error.Code != bide.FailureTimeout || len(run.Waits) != 0 {
		t.Fatalf("run = %s, %v, %v", run.Status, run.Error, run.Waits)
	}
	must[*bide.Run](t)(rt.Retry(ctx, run.ID))
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if run.Status != bide.StatusWaiting || !run.Deadline.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("after retry: %s until %s", run.Status, run.Deadline)
	}
}

func TestAnAnswerDuringAPauseCountsEvenAfterTheDeadline(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	wf := one(bide.Ask("?", &bide.AskOptions{Timeout: bide.Duration(time.Hour)}))
	rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock}, wf)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	must[*bide.Run](t)(rt.Pause(ctx, run.ID))
	clock.Advance(2 * time.Hour)
	must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, "in time"))
	must[*bide.Run](t)(rt.Unpause(ctx, run.ID))
	if run = must[*bide.Run](t)(rt.Tick(ctx, run.ID)); run.Status != bide.StatusCompleted {
		t.Errorf("run = %s, want completed", run.Status)
	}
}

func TestOneStepCostsWhatAnotherDid(t *testing.T) {
	// Bytes committed per step do not grow with the vars (K4): counted, not timed.
	wf := bide.Workflow{ID: "grow", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			if r.Step == 2000 {
				return bide.Complete(nil), nil
			}
			return bide.Do(bide.Call("kb", nil).AppendTo("all")).Then("a"), nil
		},
	}}
	count := &countStore{Store: mem.New()}
	rt := newRuntime(t, count, &bide.Options{TickSteps: 5000}, wf)
	text := strings.Repeat("x", 1000)
	rt.Handle("kb", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed(text), nil })
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	if run.Status != bide.StatusCompleted {
		t.Fatalf("run = %s, %v", run.Status, run.Error)
	}
	early, late := count.bytes[50], count.bytes[1950]
	if late > early+50 {
		t.Errorf("commit 1950 has %d bytes, commit 50 has %d", late, early)
	}
	if count.snapshots > 2_000_000 {
		t.Errorf("snapshots of %d bytes for 2 MB of text that is only appended to", count.snapshots)
	}
}

type countStore struct {
	bide.Store
	bytes     []int
	snapshots int
}

func (c *countStore) Commit(ctx context.Context, commit *bide.Commit) error {
	n := 0
	for _, r := range commit.Records {
		n += len(r.Raw)
	}
	c.bytes = append(c.bytes, n)
	c.snapshots += len(commit.Snapshot)
	return c.Store.Commit(ctx, commit)
}

func TestALedgerThatWasTamperedWithIsRefused(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	rt := newRuntime(t, mem.New(), nil, wf)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	var records []bide.Record
	for rec, err := range rt.Ledger(ctx, run.ID, 1) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	fold := func(recs ...bide.Record) error {
		_, err := bide.Fold(func(yield func(bide.Record, error) bool) {
			for _, r := range recs {
				if !yield(r, nil) {
					return
				}
			}
		})
		return err
	}
	if err := fold(records...); err != nil {
		t.Fatal(err)
	}
	altered, err := bide.ParseRecord([]byte(strings.Replace(string(records[1].Raw), `"?"`, `"!"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, recs := range map[string][]bide.Record{
		"altered":   {records[0], altered, records[2]},
		"removed":   {records[0], records[2]},
		"reordered": {records[0], records[2], records[1]},
		"doubled":   {records[0], records[0], records[1]},
		"headless":  {records[1], records[2]},
	} {
		if err := fold(recs...); !errors.Is(err, bide.ErrCorrupt) {
			t.Errorf("fold of %s records = %v, want ErrCorrupt", name, err)
		}
	}
}

func TestNodeFailuresNameTheNodeAndItsStack(t *testing.T) {
	wf := one(bide.Tell("x"))
	wf.Nodes["act"] = panickingNode
	run := must[*bide.Run](t)(newRuntime(t, mem.New(), nil).Run(ctx, wf, nil, nil))
	if run.Error == nil || run.Error.Code != bide.FailurePanic || run.Error.Node != "act" || !strings.Contains(run.Error.Stack, "panickingNode") {
		t.Errorf("error = %+v, want a panic with panickingNode in its stack", run.Error)
	}
}

func panickingNode(*bide.Run) (bide.StepPlan, error) {
	panic("a bug in a node")
}

func TestAResultThatFitsNowhereFailsItsEffect(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for name, effect := range map[string]bide.Effect{
		"handler": bide.Call("echo", 1),
		"timer":   bide.SleepFor(time.Second),
		"default": bide.Ask("?", &bide.AskOptions{Timeout: bide.Duration(time.Second), Default: "x"}),
		"event":   bide.WaitEvent("e", nil),
		"query":   bide.Query("input"),
	} {
		t.Run(name, func(t *testing.T) {
			wf := one(effect)
			wf.Nodes["act"] = func(*bide.Run) (bide.StepPlan, error) {
				return bide.Do(effect.As("scalar.deep")).Then("caught").OnError("caught").Set("scalar", 1), nil
			}
			wf.Nodes["caught"] = func(r *bide.Run) (bide.StepPlan, error) { return bide.Complete(r.Caught.Code), nil }
			rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock}, wf)
			rt.Handle("echo", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
				return bide.Completed(call.Payload), nil
			})
			run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
			if name == "event" {
				send(t, rt, bide.Event{ScopeID: run.ID, Name: "e"})
			}
			clock.Advance(time.Minute)
			run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
			if string(run.Output) != `"invalid_write"` {
				t.Errorf("run = %s %s %v, want the caught failure", run.Status, run.Output, run.Error)
			}
		})
	}
}
