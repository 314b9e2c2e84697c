package gateway

import (
	"context"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/ledger"
)

// checkpoints is the log of checkpoints as it was read last; it is read on from there, so that asking again costs what
// came since. It grows with the log, some hundred bytes for each leaf.
type checkpoints struct {
	mu   sync.Mutex
	read *ledger.Evidence // nil until somebody asks, and when something in it is wrong
}

// checkpointed calls f with the log of checkpoints as it is now, and with what is wrong with it.
func (s *Server) checkpointed(ctx context.Context, f func(e *ledger.Evidence, faults []ledger.Fault) error) error {
	c := &s.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []note.Verifier
	if s.opts.Log != nil {
		keys = s.opts.Log.Verifiers()
	}
	e := c.read
	c.read = nil // what is read in part is not kept
	var faults []ledger.Fault
	var err error
	if e == nil {
		e, faults, err = ledger.ReadLog(ctx, s.store, keys)
	} else {
		faults, err = e.ReadOn(ctx, s.store, keys)
	}
	if err != nil {
		return err
	}
	if len(faults) == 0 {
		c.read = e
	}
	return f(e, faults)
}

// signed says what the newest checkpoint says of a run, nil when that is nothing, and what is wrong with the log. It is for a run whose
// chain is verified afterwards.
func (s *Server) signed(ctx context.Context, runID string) (out *api.Signed, faults []string, err error) {
	err = s.checkpointed(ctx, func(e *ledger.Evidence, wrong []ledger.Fault) error {
		for _, f := range wrong[:min(len(wrong), 20)] {
			faults = append(faults, f.String())
		}
		if leaves := e.Of(runID); len(leaves) > 0 {
			leaf, at := leaves[len(leaves)-1], e.Newest
			out = &api.Signed{Seq: leaf.Seq, Head: leaf.Head, At: at.At, Origin: at.Origin, Keys: append([]string{}, at.Keys...), Unknown: append([]string{}, at.Unknown...)}
		}
		return nil
	})
	return out, faults, err
}

// holds fails with ErrCorrupt when a ledger that ends at a position has not the record that was signed.
func (s *Server) holds(ctx context.Context, runID string, end bide.Position, signed *api.Signed) error {
	head := end.Head
	if signed.Seq < end.Seq {
		for rec, err := range s.rt.Ledger(ctx, runID, signed.Seq) {
			if err != nil {
				return err
			}
			head = rec.Hash
			break
		}
	}
	if signed.Seq > end.Seq || head != signed.Head {
		return &bide.Error{Code: bide.CodeCorrupt, Message: "the records up to the one that a checkpoint speaks for are not those that were signed", Run: runID}
	}
	return nil
}
