package bide_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// purchase asks, pays once and sends a mail; it counts the calls of its effects.
func purchase(version, next string) bide.Workflow {
	return bide.Workflow{ID: "purchase", Version: version, Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("look", nil).As("seen"), bide.Ask("Buy?", nil).As("answer")).Then("pay"), nil
		},
		"pay": func(r *bide.Run) (bide.StepPlan, error) {
			price, err := bide.Get[int](r.Vars, "price")
			if price == 0 {
				price = 10
			}
			return bide.Do(bide.Call("pay", price).Once().As("paid")).Then(next), err
		},
		"mail": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("mail", nil)).ThenCompleteWith("paid"), nil
		},
		"skip": func(*bide.Run) (bide.StepPlan, error) { return bide.CompleteWith("paid"), nil },
	}}
}

// purchased runs a purchase to its end and returns its records.
func purchased(t *testing.T, rt *bide.Runtime) (*bide.Run, []bide.Record) {
	t.Helper()
	for _, typ := range []string{"look", "pay", "mail"} {
		rt.Handle(typ, func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed(call.Payload), nil
		})
	}
	run := must[*bide.Run](t)(rt.Run(ctx, purchase("1", "mail"), nil, &bide.StartOptions{Labels: map[string]string{"a": "b"}}))
	must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes"))
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	var records []bide.Record
	for rec, err := range rt.Ledger(ctx, run.ID, 1) {
		records = append(records, must[bide.Record](t)(rec, err))
	}
	return run, records
}

// seqOf is the number of the first record of a kind in a step.
func seqOf(t *testing.T, records []bide.Record, kind bide.Kind, step int64) int64 {
	t.Helper()
	i := slices.IndexFunc(records, func(r bide.Record) bool { return r.Kind == kind && r.Step == step })
	if i < 0 {
		t.Fatalf("no %s in step %d", kind, step)
	}
	return records[i].Seq
}

func TestAForkGoesOnFromARecordWithOtherVars(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil)
	run, records := purchased(t, rt)
	at := seqOf(t, records, bide.KindWaitResolved, 1)
	opts := &bide.ForkOptions{Command: bide.Command{ID: "f", Actor: "anna"},
		Writes: []bide.Write{{Op: bide.OpSet, Path: "price", Value: bide.JSON("7")}}}
	fork := must[*bide.Run](t)(rt.Fork(ctx, run.ID, at, opts))
	if fork.Origin != run.ID || fork.Root != fork.ID || fork.Actor != "anna" || fork.Labels["a"] != "b" || fork.Step != 1 {
		t.Errorf("the fork is %+v", fork.RunInfo)
	}
	if again := must[*bide.Run](t)(rt.Fork(ctx, run.ID, at, opts)); again.ID != fork.ID || again.Seq != fork.Seq {
		t.Errorf("the same command again gives run %s at %d", again.ID, again.Seq)
	}
	end := must[*bide.Run](t)(rt.Tick(ctx, fork.ID))
	if end.Status != bide.StatusCompleted || string(end.Output) != "7" {
		t.Errorf("the fork is %s with output %s, want completed with 7", end.Status, end.Output)
	}
	for _, e := range end.Effects {
		if !strings.HasPrefix(e.Key, fork.ID+"/") {
			t.Errorf("the idempotency key %q is not the fork's own", e.Key)
		}
	}
	if now := must[*bide.Run](t)(rt.Get(ctx, run.ID)); now.Seq != run.Seq || string(now.Output) != "10" {
		t.Errorf("the origin has changed: record %d, output %s", now.Seq, now.Output)
	}
	must[bide.Position](t)(rt.Verify(ctx, fork.ID))
	if d := must[*bide.Divergence](t)(rt.Replay(ctx, fork.ID)); d != nil {
		t.Errorf("the fork replays as %s", d)
	}
	if forks := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Origin: run.ID})).Runs; len(forks) != 1 || forks[0].ID != fork.ID {
		t.Errorf("the forks of the run are %v", forks)
	}
}

func TestAForkOfAnOpenStepMakesWhatHadNotEndedAgain(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil)
	run, records := purchased(t, rt)
	looked := seqOf(t, records, bide.KindEffectCompleted, 1)
	fork := must[*bide.Run](t)(rt.Fork(ctx, run.ID, looked, nil))
	if fork = must[*bide.Run](t)(rt.Tick(ctx, fork.ID)); len(fork.Waits) != 1 || fork.Effects[0].Attempt != 1 {
		t.Fatalf("the fork has %d waits, and its first effect had %d attempts; want one question, and what was looked up once", len(fork.Waits), fork.Effects[0].Attempt)
	}
	if _, ok := bide.WaitRun(fork.Waits[0].ID); !ok || !strings.HasPrefix(fork.Waits[0].ID, fork.ID+".") {
		t.Errorf("the wait %q is not the fork's own", fork.Waits[0].ID)
	}
	must[*bide.Run](t)(rt.Resume(ctx, fork.ID, fork.Waits[0].ID, "no"))
	if end := must[*bide.Run](t)(rt.Tick(ctx, fork.ID)); end.Status != bide.StatusCompleted {
		t.Errorf("the fork is %s", end.Status)
	}
}

func TestAForkSaysBeforehandWhatHappensAgain(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil)
	run, records := purchased(t, rt)
	var got []string
	for _, e := range must[[]bide.ForkEffect](t)(rt.ForkPreview(ctx, run.ID, seqOf(t, records, bide.KindStepPlanned, 2))) {
		word := e.Node + " " + e.Type
		if e.Certain {
			word += " certain"
		}
		if e.Unsafe {
			word += " unsafe"
		}
		got = append(got, word)
	}
	if want := []string{"pay pay certain unsafe", "mail mail"}; !slices.Equal(got, want) {
		t.Errorf("the preview is %q, want %q", got, want)
	}
}

func TestAForkOfAFailedRunGoesOnAsItsRetryWould(t *testing.T) {
	fails := true
	wf := one(bide.Call("work", nil))
	rt := newRuntime(t, mem.New(), nil, wf)
	rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		if fails {
			return bide.Outcome{}, bide.Permanent(errors.New("no"))
		}
		return bide.Completed("done"), nil
	})
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	fails = false
	fork := must[*bide.Run](t)(rt.Fork(ctx, run.ID, run.Seq, nil))
	if end := must[*bide.Run](t)(rt.Tick(ctx, fork.ID)); end.Status != bide.StatusCompleted {
		t.Errorf("the fork is %s: %v", end.Status, end.Error)
	}
}

func TestAForkThatCannotBeIsRefused(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil)
	run, _ := purchased(t, rt)
	for name, tc := range map[string]struct {
		run  string
		seq  int64
		opts *bide.ForkOptions
		want error
	}{
		"no such run":            {"nobody", 1, nil, bide.ErrNotFound},
		"no such record":         {run.ID, run.Seq + 1, nil, bide.ErrNotFound},
		"no record":              {run.ID, 0, nil, bide.ErrInvalidInput},
		"the run had ended":      {run.ID, run.Seq, nil, bide.ErrWrongStatus},
		"an id that is taken":    {run.ID, 1, &bide.ForkOptions{RunID: run.ID}, bide.ErrExists},
		"an id that is none":     {run.ID, 1, &bide.ForkOptions{RunID: "a b"}, bide.ErrInvalidInput},
		"a write through a word": {run.ID, 2, &bide.ForkOptions{Writes: []bide.Write{{Op: bide.OpAppend, Path: "input.x", Value: bide.JSON("1")}, {Op: bide.OpSet, Path: "input.x.y", Value: bide.JSON("1")}, {Op: bide.OpSet, Path: "input", Value: bide.JSON(`"w"`)}, {Op: bide.OpSet, Path: "input.z", Value: bide.JSON("1")}}}, bide.ErrInvalidInput},
	} {
		if _, err := rt.Fork(ctx, tc.run, tc.seq, tc.opts); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestARunMovesToAnotherVersionThatDecidesAlike(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil, purchase("2", "mail"), purchase("3", "skip"))
	for _, typ := range []string{"look", "pay"} {
		rt.Handle(typ, func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed(call.Payload), nil
		})
	}
	release := make(chan struct{})
	rt.Handle("mail", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		<-release
		return bide.Completed(nil), nil
	})
	run := must[*bide.Run](t)(rt.Run(ctx, purchase("1", "mail"), nil, nil))
	if _, err := rt.Migrate(ctx, run.ID, "4"); !errors.Is(err, bide.ErrUnknownWorkflow) {
		t.Errorf("to a version that is not there: %v", err)
	}
	moved := must[*bide.Run](t)(rt.Migrate(ctx, run.ID, "2", bide.Command{Actor: "anna", Reason: "new mail"}))
	if moved.Version != "2" {
		t.Errorf("the run has version %q", moved.Version)
	}
	// Nothing that version 3 decides otherwise has happened yet.
	must[*bide.Run](t)(rt.Migrate(ctx, run.ID, "3"))
	must[*bide.Run](t)(rt.Migrate(ctx, run.ID, "2"))
	must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes"))
	close(release)
	end := must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if end.Status != bide.StatusCompleted {
		t.Fatalf("the run is %s: %v", end.Status, end.Error)
	}
	must[bide.Position](t)(rt.Verify(ctx, run.ID))
	if _, err := rt.Migrate(ctx, run.ID, "3"); !errors.Is(err, bide.ErrWrongStatus) {
		t.Errorf("a run that has ended: %v", err)
	}
}

func TestARunDoesNotMoveToAVersionThatDecidesOtherwise(t *testing.T) {
	other := purchase("2", "mail")
	other.Nodes["ask"] = func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Really?", nil)).Then("pay"), nil
	}
	rt := newRuntime(t, mem.New(), nil, other)
	rt.Handle("look", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed(nil), nil })
	run := must[*bide.Run](t)(rt.Run(ctx, purchase("1", "mail"), nil, nil))
	_, err := rt.Migrate(ctx, run.ID, "2")
	if !errors.Is(err, bide.ErrDiverged) || !strings.Contains(err.Error(), "Really?") {
		t.Errorf("Migrate = %v, want ErrDiverged with what the new code decides", err)
	}
	if now := must[*bide.Run](t)(rt.Get(ctx, run.ID)); now.Version != "1" || now.Seq != run.Seq {
		t.Errorf("the run has version %q and %d records, want what it had", now.Version, now.Seq)
	}
}
