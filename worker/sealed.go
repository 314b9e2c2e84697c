package worker

import (
	"context"
	"errors"
	"strings"

	"github.com/bide-dev/bide"
)

// Runs whose key is not at hand are set aside, so that they are in nobody's way, and taken up again by the first worker that has the key.

// sealedPrefix begins the reason for which they are.
const sealedPrefix = "encrypted: "

// sealedReason is why a run is set aside: the innermost cause, which names the key and not the run.
func sealedReason(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return sealedPrefix + err.Error()
}

// takeUp gives runs back to be claimed whose key is at hand again. Of those with the same reason one is looked at, as long as it stays closed.
func (w *Worker) takeUp(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, w.opts.Lease/6) // the next sign of life does not wait for it
	defer stop()
	err := w.open(ctx)
	if err != nil && ctx.Err() == nil {
		w.opts.Logger.Warn("look for runs whose key is at hand again", "worker", w.opts.ID, "err", err)
	}
}

func (w *Worker) open(ctx context.Context) error {
	closed := map[string]bool{}
	for q := (bide.RunQuery{SetAside: true, Limit: 1000}); ; {
		page, err := w.rt.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page.Runs {
			if !strings.HasPrefix(r.SetAside, sealedPrefix) || closed[r.SetAside] {
				continue
			}
			switch _, err := w.rt.Get(ctx, r.ID); {
			case errors.Is(err, bide.ErrSealed):
				closed[r.SetAside] = true
				continue
			case errors.Is(err, bide.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			if err := w.store.SetAside(ctx, r.ID, ""); err != nil && !errors.Is(err, bide.ErrNotFound) {
				return err
			}
			w.opts.Logger.Info("taken up again", "worker", w.opts.ID, "run", r.ID)
			w.Wake()
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}
