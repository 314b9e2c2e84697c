package retention

import (
	"context"
	"errors"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// Delete removes an ended run with all its descendants, as Runtime.Delete does, and leaves their tombstones in the log. It
// fails with ErrForbidden when a hold is on the tree, ErrWrongStatus when one of the runs has not ended, and with
// ErrInvalidInput when log is nil and the store has checkpoints: what is signed would be missing without a word.
func Delete(ctx context.Context, rt *bide.Runtime, store Store, log *ledger.Log, runID string) error {
	run, err := rt.Get(ctx, runID)
	if err != nil {
		return err
	}
	switch d, err := store.Document(ctx, HoldKind, run.Root); {
	case err == nil:
		return bide.Errorf(bide.CodeForbidden, "run %s cannot be deleted: a hold is on its tree since %s", runID, d.UpdatedAt.Format(time.RFC3339))
	case !errors.Is(err, bide.ErrNotFound):
		return err
	}
	if log == nil {
		if err := NeedsLog(ctx, store); err != nil {
			return err
		}
		return rt.Delete(ctx, runID)
	}
	tree, err := below(ctx, store, run.RunInfo)
	if err != nil {
		return err
	}
	for _, r := range tree {
		if !r.Status.Final() { // as Delete says it, before anything is signed
			return rt.Delete(ctx, runID)
		}
	}
	if err := tombstones(ctx, log, tree, bide.Hash{}); err != nil {
		return err
	}
	return rt.Delete(ctx, runID)
}

// NeedsLog fails with ErrInvalidInput when the store has checkpoints: runs must not be deleted from it without tombstones.
func NeedsLog(ctx context.Context, docs bide.Documents) error {
	page, err := docs.Documents(ctx, bide.DocumentQuery{Kind: ledger.CheckpointKind, Limit: 1})
	if err != nil {
		return err
	}
	if len(page.Documents) > 0 {
		return bide.Errorf(bide.CodeInvalidInput, "the store has checkpoints, which would miss what is deleted; give the key that signs tombstones (the setting checkpoint.key)")
	}
	return nil
}

// below lists a run and all its descendants.
func below(ctx context.Context, store bide.Store, run bide.RunInfo) ([]bide.RunInfo, error) {
	tree := []bide.RunInfo{run}
	for i := 0; i < len(tree); i++ {
		for q := (bide.RunQuery{Parent: tree[i].ID, Limit: 1000}); ; {
			page, err := store.Runs(ctx, q)
			if err != nil {
				return nil, err
			}
			tree = append(tree, page.Runs...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	return tree, nil
}
