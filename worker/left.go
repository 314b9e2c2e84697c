package worker

import (
	"context"
	"maps"
	"time"

	"github.com/bide-dev/bide"
)

// lacking is a run that was left to other workers, as it was then.
type lacking struct {
	seq   int64
	since time.Time
}

// isLast reports whether nobody else can be expected to go on with a run that this worker lacks something for: no other is alive, or the run
// was left to them for long enough as it is.
func (w *Worker) isLast(ctx context.Context, run *bide.Run) bool {
	now := w.opts.Clock.Now()
	if !w.others(ctx, now) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.left, func(_ string, l lacking) bool { return now.Sub(l.since) > 2*w.opts.Patience }) // somebody took them
	l, known := w.left[run.ID]
	if !known || l.seq != run.Seq {
		l = lacking{run.Seq, now}
		w.left[run.ID] = l
	}
	return now.Sub(l.since) >= w.opts.Patience
}

// others reports whether another worker is alive and takes on runs. When the store cannot say, there may be one.
func (w *Worker) others(ctx context.Context, now time.Time) bool {
	owners, err := w.store.Owners(ctx, now)
	if err != nil {
		return true
	}
	for _, o := range owners {
		if o.Name != w.opts.ID && !o.Drained && o.Until.After(now) {
			return true
		}
	}
	return false
}
