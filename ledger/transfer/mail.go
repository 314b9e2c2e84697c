package transfer

import (
	"context"
	"errors"

	"github.com/bide-dev/bide"
)

// mailer is a store that lists all mail of a run, also what the run does not wait for yet.
type mailer interface {
	Mail(ctx context.Context, runID string) ([]bide.Message, error)
}

// mailOf returns the messages to a run that has not ended and that it has not taken, as far as the store lists them, in the order of sending.
func mailOf(ctx context.Context, store bide.Store, run *bide.RunInfo) (out []bide.Message, err error) {
	if run.Status.Final() {
		return nil, nil
	}
	if m, ok := store.(mailer); ok {
		return m.Mail(ctx, run.ID)
	}
	stored, err := store.Load(ctx, run.ID, run.Position())
	if errors.Is(err, bide.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, m := range stored.Mail {
		if m.To == run.ID {
			out = append(out, m)
		}
	}
	return out, nil
}
