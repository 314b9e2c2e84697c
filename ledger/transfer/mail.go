package transfer

import (
	"context"
	"errors"

	"github.com/bide-dev/bide"
)

// mailOf returns the messages to a run that has not ended and that it has not taken, in the order of sending. A store that does not list
// mail gives what the run waits for.
func mailOf(ctx context.Context, store bide.Store, run *bide.RunInfo) (out []bide.Message, err error) {
	if run.Status.Final() {
		return nil, nil
	}
	beneath := store
	if keys, ok := store.(sealing); ok {
		beneath = keys.Stored()
	}
	if _, ok := beneath.(bide.Mailer); ok {
		out, err := store.(bide.Mailer).Mail(ctx, run.ID)
		if errors.Is(err, bide.ErrNotFound) {
			err = nil
		}
		return out, err
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
