package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// notary signs what the ledgers say while the engine is open.
type notary struct {
	*ledger.Notary
	log  *ledger.Log
	done chan struct{}
}

// newNotary puts a notary to work until ctx ends; nil without checkpoints.
func newNotary(ctx context.Context, rt *bide.Runtime, store Store, c *Checkpoints) (*notary, error) {
	if c == nil {
		return nil, nil
	}
	if len(c.Signers) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "checkpoints need a private key to be signed with")
	}
	log, err := ledger.OpenLog(ctx, store, &ledger.LogOptions{Signers: c.Signers})
	if err != nil {
		return nil, fmt.Errorf("open the log of checkpoints: %w", err)
	}
	logger, pause := c.Logger, c.Every
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if pause <= 0 {
		pause = time.Minute
	}
	n := &notary{ledger.NewNotary(rt, store, log, &ledger.NotaryOptions{Every: c.Every, AfterEnd: c.AfterEnd, Logger: c.Logger}), log, make(chan struct{})}
	go func() {
		defer close(n.done)
		for ctx.Err() == nil {
			if err := n.Run(ctx); err != nil { // the store does not answer
				logger.Error("checkpoints", "err", err)
				timer := time.NewTimer(pause)
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
				}
			}
		}
	}()
	return n, nil
}

// close signs what came last.
func (n *notary) close(ctx context.Context) error {
	if n == nil {
		return nil
	}
	<-n.done
	if err := n.Seal(ctx); err != nil {
		return fmt.Errorf("the last checkpoint: %w", err)
	}
	return nil
}
