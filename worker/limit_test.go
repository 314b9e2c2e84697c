package worker_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/worker"
)

func TestLimitBoundsTheCallsOfEachGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most [2]atomic.Int32
		h := worker.Limit(func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			n := now[call.Effect].Add(1)
			defer now[call.Effect].Add(-1)
			for m := most[call.Effect].Load(); n > m && !most[call.Effect].CompareAndSwap(m, n); m = most[call.Effect].Load() {
			}
			<-time.After(time.Second)
			return bide.Completed(nil), nil
		}, worker.Limits{AtOnce: 3, Key: func(c *bide.Invocation) string { return c.Type }})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				_, err := h(t.Context(), &bide.Invocation{Type: []string{"a", "b"}[i%2], Effect: i % 2})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most[0].Load() != 3 || most[1].Load() != 3 {
			t.Errorf("at most %d and %d at once, want 3 of each group", most[0].Load(), most[1].Load())
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("12 calls of a second, 3 at once, took %s", took)
		}
	})
}

func TestLimitSpacesCallsOutAndGivesUpWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := worker.Limit(func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed(nil), nil
		}, worker.Limits{PerSecond: 10, Burst: 2})
		start := time.Now()
		for range 12 {
			if _, err := h(t.Context(), &bide.Invocation{}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("12 calls at 10 a second with a burst of 2 took %s, want 1s", took)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(bide.ErrRunPaused)
		if _, err := h(ctx, &bide.Invocation{}); !errors.Is(err, bide.ErrRunPaused) {
			t.Errorf("call with an ended context = %v, want its cause", err)
		}
	})
}
