package bide

import (
	"context"
	"slices"
)

// Delete removes an ended run with all its descendants: their ledgers, snapshots
// and mail are gone. It fails with ErrWrongStatus, naming the run and removing nothing, when one of them
// has not ended. Cut off in the middle, it is done by calling it again.
func (rt *Runtime) Delete(ctx context.Context, runID string) error {
	root, err := rt.Get(ctx, runID)
	if err != nil {
		return err
	}
	tree, err := rt.endedTree(ctx, root, "delete")
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(tree) { // children first: the root is gone when all are
		if err := rt.commit(ctx, &Commit{RunID: r.ID, Expect: r.Position(), Delete: true}); err != nil {
			return err
		}
		rt.forget(r.ID)
	}
	return nil
}

// endedTree lists a run and all below it, parents first. It fails with ErrWrongStatus when one has not ended.
func (rt *Runtime) endedTree(ctx context.Context, root *Run, verb string) ([]RunInfo, error) {
	tree := []RunInfo{root.RunInfo}
	for i := 0; i < len(tree); i++ {
		if !tree[i].Status.Final() {
			return nil, Errorf(CodeWrongStatus, "cannot %s run %s: run %s of its tree is %s; cancel it first", verb, root.ID, tree[i].ID, tree[i].Status).onRun(tree[i].ID)
		}
		for q := (RunQuery{Parent: tree[i].ID, Limit: 1000}); ; {
			page, err := rt.store.Runs(ctx, q)
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

// forget drops what is in memory of a run.
func (rt *Runtime) forget(runID string) {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
}
