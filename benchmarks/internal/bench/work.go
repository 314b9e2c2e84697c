package bench

import (
	"context"
	"fmt"
	"strconv"
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

// Work is the handler of the effects of ThreeSteps.
func Work(context.Context, *bide.Invocation) (bide.Outcome, error) {
	return bide.Completed(Result), nil
}

// Runtime is a runtime with Work.
func Runtime(store bide.Store) (*bide.Runtime, error) {
	rt, err := bide.New(store, nil)
	if err != nil {
		return nil, err
	}
	rt.Handle("work", Work)
	return rt, nil
}

// Result is what Work and ThreeSteps give.
const Result = "done"

// RunThreeSteps makes one run, driven by the caller, and checks its result.
func RunThreeSteps(ctx context.Context, rt *bide.Runtime) error {
	return checkResult(rt.Run(ctx, ThreeSteps, nil, nil))
}

func checkResult(run *bide.Run, err error) error {
	if err = Completed(run, err); err == nil && string(run.Output) != strconv.Quote(Result) {
		err = fmt.Errorf("run %s gave %s instead of %q", run.ID, run.Output, Result)
	}
	return err
}

// Completed returns err, or that the run has not completed.
func Completed(run *bide.Run, err error) error {
	if err == nil && run.Status != bide.StatusCompleted {
		err = fmt.Errorf("run %s is %s: %v", run.ID, run.Status, run.Error)
	}
	return err
}

// Drive does n things, so many in flight at once: whoever has done one begins
// the next. It returns the time of all and the times of each.
func Drive(ctx context.Context, n, inFlight int, do func(ctx context.Context, i int) error) (total time.Duration, each []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each = make([]time.Duration, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range min(inFlight, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
				each[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	return time.Since(start), each, context.Cause(ctx)
}

// StartThreeSteps makes one run, driven by a worker, waits for its end, and
// checks its result.
func StartThreeSteps(ctx context.Context, rt *bide.Runtime) error {
	run, err := rt.Start(ctx, ThreeSteps, nil, nil)
	if err != nil {
		return err
	}
	return checkResult(rt.Await(ctx, run.ID))
}

// DriveCounted is Drive of runs that adds what it found: runs a second, which it
// also returns, times, processor time and flushes.
func DriveCounted(ctx context.Context, v *Values, n, inFlight int, run func(ctx context.Context, i int) error) (perSecond float64, err error) {
	flushes := v.Flushes("run", n)
	before, err := Processor()
	if err != nil {
		return 0, err
	}
	took, each, err := Drive(ctx, n, inFlight, run)
	if err != nil {
		return 0, err
	}
	after, err := Processor()
	if err != nil {
		return 0, err
	}
	flushes()
	perSecond = float64(n) / took.Seconds()
	v.Add("runs", "runs/s", perSecond)
	v.Add("a run, p50", "ms", Milliseconds(Median(each)))
	v.Add("a run, p99", "ms", Milliseconds(Quantile(each, 0.99)))
	v.Add("processor time", "ms a run", Milliseconds(after-before)/float64(n))
	return perSecond, nil
}
