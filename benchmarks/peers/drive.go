package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// drive makes n workflows, so many in flight at once: whoever has the result of
// one starts the next. It returns the time of all and the times of each.
func drive(ctx context.Context, run func(context.Context) (string, error), n, inFlight int) (total time.Duration, each []time.Duration, err error) {
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
				got, err := run(ctx)
				each[i] = time.Since(began)
				if err == nil && got != result {
					err = fmt.Errorf("the workflow returned %q instead of %q", got, result)
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start), each, context.Cause(ctx)
}
