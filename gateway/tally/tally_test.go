package tally_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/tally"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
)

// What a run's time goes into is told apart, moment by moment; so is what becomes of its nodes and calls.
func TestALedgerSaysWhereTimeWent(t *testing.T) {
	ctx := t.Context()
	clock := bidetest.NewClock(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))
	rt := bide.Must(bide.New(mem.New(), &bide.Options{Clock: clock}))
	tries := 0
	rt.Handle("pay", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		clock.Advance(3 * time.Second)
		if tries++; tries == 1 {
			return bide.Outcome{}, errors.New("the bank is closed")
		}
		return bide.Completed("paid"), nil
	})
	rt.Handle(llm.Type, func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		clock.Advance(2 * time.Second)
		five := int64(5)
		return bide.Completed(&llm.Response{Model: "small", Usage: llm.Usage{Input: &five, Output: &five}, Cost: &llm.Cost{USD: 7}}), nil
	})
	wf := bide.Workflow{ID: "refund", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Ask("Pay?", nil)).Then("pay"), nil },
		"pay": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("pay", nil).WithRetry(bide.RetryPolicy{Attempts: 2, Backoff: bide.Duration(10 * time.Second), Jitter: -1})).Then("tell"), nil
		},
		"tell":  func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call(llm.Type, nil)).Then("break"), nil },
		"break": func(*bide.Run) (bide.StepPlan, error) { return bide.StepPlan{}, errors.New("it is broken") },
	}}
	run := bide.Must(rt.Start(ctx, wf, nil, nil))
	clock.Advance(time.Second) // nobody drives it
	run = bide.Must(rt.Tick(ctx, run.ID))
	clock.Advance(time.Hour) // a person thinks
	bide.Must(rt.Pause(ctx, run.ID))
	clock.Advance(time.Minute) // paused
	bide.Must(rt.Unpause(ctx, run.ID))
	bide.Must(rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes"))
	clock.Advance(2 * time.Second) // nobody drives it
	bide.Must(rt.Tick(ctx, run.ID))
	clock.Advance(10 * time.Second) // until the next attempt
	before := bide.Must(tally.Of(rt.Ledger(ctx, run.ID, 1)))
	if got := before.Time(clock.Now()); got.Waiting != 10*time.Second {
		t.Errorf("up to now it waited for %v, want 10s", got.Waiting)
	}
	run = bide.Must(rt.Tick(ctx, run.ID))
	clock.Advance(time.Hour) // it has ended
	if run.Status != bide.StatusFailed {
		t.Fatalf("the run is %s", run.Status)
	}

	got := bide.Must(tally.Of(rt.Ledger(ctx, run.ID, 1)))
	want := tally.Time{Idle: 3 * time.Second, People: time.Hour, Paused: time.Minute, Computing: 8 * time.Second, Waiting: 10 * time.Second}
	if diff := cmp.Diff(want, got.Time(clock.Now())); diff != "" {
		t.Errorf("the time differs (-want +got):\n%s", diff)
	}
	nodes := map[string]*tally.Node{
		"ask": {Visits: 1, Took: time.Hour + time.Minute + 2*time.Second}, "pay": {Visits: 1, Retries: 1, Took: 16 * time.Second},
		"tell": {Visits: 1, Took: 2 * time.Second}, "break": {Visits: 1, Failures: 1},
	}
	if diff := cmp.Diff(nodes, got.Nodes); diff != "" {
		t.Errorf("the nodes differ (-want +got):\n%s", diff)
	}
	spent := map[string]*llm.Spending{"small": {Calls: 1, Input: 5, Output: 5, USD: 7}}
	if diff := cmp.Diff(spent, got.ByModel(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the calls differ (-want +got):\n%s", diff)
	}
	if want := int(run.Seq); got.Records != want {
		t.Errorf("%d records, want %d", got.Records, want)
	}
}
