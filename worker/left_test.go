package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

// child is a workflow that ends at once.
func child() bide.Workflow {
	return bide.Workflow{ID: "child", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("done"), nil }}}
}

// needs are effects that a worker may lack something for.
func needs() map[string]bide.Effect {
	return map[string]bide.Effect{
		"a child":   bide.StartRun("child", nil, nil),
		"children":  bide.FanOut("child", []int{1, 2, 3}, &bide.FanOutOptions{AtOnce: 1}),
		"a handler": bide.Call("work", nil),
	}
}

// has registers what needs need.
func has(rt *bide.Runtime) {
	if err := rt.Register(child()); err != nil {
		panic(err)
	}
	rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed("done"), nil })
}

// alive returns once a host has done something.
func (h *host) alive(t *testing.T) *host {
	t.Helper()
	wf := child()
	wf.ID = "alive"
	bide.Must(h.Start(context.Background(), wf, nil, nil))
	h.waitEnded(t, 1)
	return h
}

func quick(id string, patience time.Duration) *worker.Options {
	return &worker.Options{ID: id, Poll: 5 * time.Millisecond, Patience: patience}
}

func TestARunIsLeftToTheWorkerThatHasWhatItNeeds(t *testing.T) {
	for name, effect := range needs() {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			wf := flow(func(*bide.Run) bide.Effect { return effect })
			rich := newHost(t, store, quick("rich", 0), has, wf).alive(t)
			poor := newHost(t, store, quick("poor", time.Hour), nil, wf)
			run, err := poor.Start(context.Background(), wf, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(context.Background(), time.Minute)
			defer stop()
			got, err := rich.Await(ctx, run.ID) // what is left after the children have ended, either can do
			if err != nil || got.Status != bide.StatusCompleted {
				t.Fatalf("the run is %+v: %v", got, err)
			}
		})
	}
}

// A worker that takes up another attempt may lack what the first one had.
func TestAnotherAttemptIsLeftToTheWorkerThatHasTheHandler(t *testing.T) {
	store := mem.New()
	wf := flow(func(*bide.Run) bide.Effect {
		return bide.Call("work", nil).WithRetry(bide.RetryPolicy{Attempts: 3, Backoff: bide.Duration(time.Millisecond)})
	})
	var attempts atomic.Int64
	rich := newHost(t, store, quick("rich", 0), func(rt *bide.Runtime) {
		rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			if attempts.Add(1) < 3 {
				return bide.Outcome{}, errors.New("not yet")
			}
			return bide.Completed("done"), nil
		})
	}, wf).alive(t)
	poor := newHost(t, store, quick("poor", time.Hour), nil, wf)
	run := bide.Must(rich.Start(context.Background(), wf, nil, nil))
	rich.waitEnded(t, 1)
	if got := bide.Must(poor.Get(context.Background(), run.ID)); got.Status != bide.StatusCompleted {
		t.Errorf("the run is %s: %v", got.Status, got.Error)
	}
}

func TestWhatNobodyHasFailsTheEffect(t *testing.T) {
	for name, effect := range needs() {
		t.Run(name, func(t *testing.T) {
			for patience, others := range map[time.Duration]int{time.Hour: 0, 20 * time.Millisecond: 1} {
				store := mem.New()
				wf := flow(func(*bide.Run) bide.Effect { return effect })
				for range others {
					newHost(t, store, quick("other", time.Hour), nil).alive(t)
				}
				h := newHost(t, store, quick("poor", patience), nil, wf)
				run := bide.Must(h.Start(context.Background(), wf, nil, nil))
				h.waitEnded(t, 1)
				got := bide.Must(h.Get(context.Background(), run.ID))
				if got.Status != bide.StatusFailed || got.Error.Code != bide.FailureNoWorkflow && got.Error.Code != bide.FailureNoHandler || !strings.Contains(got.Error.Message, "regist") {
					t.Errorf("with %d others: the run is %s, with %v", others, got.Status, got.Error)
				}
			}
		})
	}
}
