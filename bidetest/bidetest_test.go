package bidetest_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestClockCallsWhatIsDueInOrderAndOnce(t *testing.T) {
	c := bidetest.NewClock(start)
	var called []int
	c.AfterFunc(2*time.Second, func() { called = append(called, 2) })
	c.AfterFunc(time.Second, func() { called = append(called, 1) })
	stop := c.AfterFunc(time.Second, func() { t.Error("a stopped function was called") })
	if !stop() || stop() {
		t.Error("stop reports wrongly whether it was in time")
	}
	c.Advance(999 * time.Millisecond)
	if len(called) != 0 {
		t.Errorf("called %v too early", called)
	}
	c.Advance(2 * time.Second)
	c.Advance(time.Hour)
	if len(called) != 2 || called[0] != 1 || called[1] != 2 {
		t.Errorf("called %v, want [1 2]", called)
	}
	at := make(chan struct{})
	c.AfterFunc(0, func() { close(at) })
	<-at
}

// charge is a workflow of one effect, made again twice at most.
var charge = bide.Workflow{ID: "charge", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) {
		effect := bide.Call("charge", 5).As("receipt").WithRetry(bide.RetryPolicy{Attempts: 3, Backoff: bide.Duration(time.Minute)})
		return bide.Do(effect).ThenCompleteWith("receipt"), nil
	},
}}

func TestAScriptAndAClockDriveARunThatThenReplays(t *testing.T) {
	ctx, clock := context.Background(), bidetest.NewClock(start)
	script := bidetest.NewScript(
		bidetest.Reply{Err: errors.New("busy")},
		bidetest.Reply{Wait: &bide.Wait{Kind: bide.WaitQuestion, Message: "Really?", FreeText: true}},
	)
	rt, err := bide.New(mem.New(), &bide.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	rt.Handle("charge", script.Handle)
	run := bide.Must(rt.Run(ctx, charge, nil, nil))
	clock.Advance(time.Minute)
	run = bide.Must(rt.Tick(ctx, run.ID))
	bide.Must(rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes"))
	run = bide.Must(rt.Tick(ctx, run.ID))
	if run.Status != bide.StatusCompleted || !strings.Contains(string(run.Output), "yes") {
		t.Errorf("run = %s %s", run.Status, run.Output)
	}
	if calls := script.Calls(); len(calls) != 2 || calls[1].Attempt != 2 || calls[0].Key != calls[1].Key {
		t.Errorf("calls = %+v, want two attempts under one key", calls)
	}

	var file bytes.Buffer
	if err := bidetest.WriteLedger(&file, rt.Ledger(ctx, run.ID, 1)); err != nil {
		t.Fatal(err)
	}
	bidetest.Replays(t, charge, bidetest.ReadLedger(&file))
}

func TestReplaysFailsWhenTheCodeDecidesOtherwiseOrTheLedgerIsBroken(t *testing.T) {
	ctx := context.Background()
	rt := bide.Must(bide.New(mem.New(), nil))
	rt.Handle("charge", bidetest.NewScript(bidetest.Reply{Result: 1}).Handle)
	run := bide.Must(rt.Run(ctx, charge, nil, nil))
	other := charge
	other.Nodes = bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(1), nil }}
	var rec recorder
	bidetest.Replays(&rec, other, rt.Ledger(ctx, run.ID, 1))
	bidetest.Replays(&rec, charge, bidetest.ReadLedger(strings.NewReader("{broken\n")))
	if rec.errors != 2 {
		t.Errorf("%d of 2 faults were reported", rec.errors)
	}
}

// recorder counts the failures of a test.
type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }

func TestAScriptThatIsUsedUpFailsForGood(t *testing.T) {
	_, err := bidetest.NewScript().Handle(context.Background(), &bide.Invocation{})
	if err == nil || !strings.Contains(err.Error(), "this is call 1") {
		t.Errorf("err = %v", err)
	}
}
