package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
)

// parked waits for an event, and for a timer that is far away.
var parked = bide.Workflow{ID: "parked", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("go", &bide.EventOptions{Timeout: bide.Duration(1000 * time.Hour)})).Then("b"), nil
	},
	"b": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("woken", nil)).ThenComplete(nil), nil
	},
}}

// timed sleeps until the time that is its input, and then passes it on.
var timed = bide.Workflow{ID: "timed", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(r *bide.Run) (bide.StepPlan, error) {
		due, err := bide.Input[time.Time](r)
		return bide.Do(bide.SleepUntil(due)).Then("b"), err
	},
	"b": func(r *bide.Run) (bide.StepPlan, error) {
		due, err := bide.Input[time.Time](r)
		return bide.Do(bide.Call("fired", due)).ThenComplete(nil), err
	},
}}

// handlers hear that runs go on.
type handlers struct {
	woken chan time.Time     // when
	fired chan time.Duration // how long after its timer was due
}

func (h *handlers) wake(context.Context, *bide.Invocation) (bide.Outcome, error) {
	h.woken <- time.Now()
	return bide.Completed(nil), nil
}

func (h *handlers) fire(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
	now := time.Now()
	var due time.Time
	if err := json.Unmarshal(call.Payload, &due); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	h.fired <- now.Sub(due)
	return bide.Completed(nil), nil
}

func id(i int) string { return fmt.Sprintf("parked-%d", i) }

// parkers is how many runs are parked at once: as many commits as share a transaction, twice.
const parkers = 512

// fill starts the runs and brings each to its waits, through the runtime, as any program does.
func fill(ctx context.Context, url string, n int) error {
	store, err := engine.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	rt, err := bide.New(store, nil)
	if err != nil {
		return err
	}
	_, _, err = bench.Drive(ctx, n, parkers, func(ctx context.Context, i int) error {
		run, err := rt.Run(ctx, parked, nil, &bide.StartOptions{RunID: id(i)})
		if err == nil && run.Status != bide.StatusWaiting {
			err = fmt.Errorf("run %s is %s instead of waiting", run.ID, run.Status)
		}
		return err
	})
	if err == nil {
		fmt.Println("parked")
	}
	return errors.Join(err, store.Close())
}
