// Package load holds the workloads that the benchmarks share. It must not know
// any store but those it is given.
package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bide-dev/bide"
)

// ThreeSteps is a run of three effects, one after the other, whose handlers do nothing.
var ThreeSteps = bide.Workflow{ID: "three", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": step("b"), "b": step("c"),
	"c": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("work", nil).As("c")).ThenCompleteWith("c"), nil
	},
}}

func step(next string) bide.NodeFunc {
	return func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("work", nil).As(next)).Then(next), nil
	}
}

// Runtime is a runtime with the handlers of the workloads.
func Runtime(store bide.Store) (*bide.Runtime, error) {
	rt, err := bide.New(store, &bide.Options{TickSteps: 1 << 30})
	if err != nil {
		return nil, err
	}
	rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed("done"), nil })
	return rt, nil
}

// Drive makes n runs of ThreeSteps, so many in flight at once, and returns the
// time of all and the times of each.
func Drive(ctx context.Context, store bide.Store, n, inFlight int) (total time.Duration, each []time.Duration, err error) {
	rt, err := Runtime(store)
	if err != nil {
		return 0, nil, err
	}
	each = make([]time.Duration, n)
	var next atomic.Int64
	errs := make([]error, inFlight)
	var wg sync.WaitGroup
	start := time.Now()
	for w := range inFlight {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil; i = int(next.Add(1)) - 1 {
				began := time.Now()
				run, err := rt.Run(ctx, ThreeSteps, nil, nil)
				if err == nil && run.Status != bide.StatusCompleted {
					err = fmt.Errorf("run %s is %s", run.ID, run.Status)
				}
				errs[w] = err
				each[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	total = time.Since(start)
	for _, err := range errs {
		if err != nil {
			return 0, nil, err
		}
	}
	return total, each, nil
}

// Recorder keeps the commits that pass through it, so that the same rows can
// be written again without a runtime.
type Recorder struct {
	bide.Store
	mu      sync.Mutex
	Commits []*bide.Commit
}

// Commit implements bide.Store.
func (r *Recorder) Commit(ctx context.Context, c *bide.Commit) error {
	err := r.Store.Commit(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Commits = append(r.Commits, c)
	return err
}

// Median returns the middle one of values.
func Median[T int | int64 | float64 | time.Duration](values []T) T {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}

// Spread returns the least, the middle and the greatest of values as text.
func Spread(values []float64) string {
	return fmt.Sprintf("%.0f (%.0f-%.0f)", Median(values), slices.Min(values), slices.Max(values))
}
