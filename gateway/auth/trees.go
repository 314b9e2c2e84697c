package auth

import (
	"context"
	"errors"

	"github.com/bide-dev/bide"
)

// Trees says who sees which run. The first run of a tree decides for all of it: children may carry
// other labels, or be of other workflows. What decides never changes, so it is remembered.
type Trees struct {
	rt    *bide.Runtime
	roots *bounded[string, string]        // by run
	first *bounded[string, *bide.RunInfo] // by root; workflow and labels only
}

// NewTrees returns the trees of a runtime's store.
func NewTrees(rt *bide.Runtime) *Trees {
	return &Trees{rt: rt, roots: newBounded[string, string](10_000), first: newBounded[string, *bide.RunInfo](10_000)}
}

// May reports whether a principal has a right and sees the run.
func (t *Trees) May(ctx context.Context, p *Principal, right Right, run *bide.RunInfo) (bool, error) {
	if !p.May(right, nil) {
		return false, nil
	}
	return t.Sees(ctx, p, run)
}

// Sees reports whether a principal sees a run.
func (t *Trees) Sees(ctx context.Context, p *Principal, run *bide.RunInfo) (bool, error) {
	if run.Root == run.ID {
		return p.Sees(run), nil
	}
	return t.seesRoot(ctx, p, run.Root)
}

// SeesRun is Sees for a run that only the id is known of, as in a feed or a listing of
// waits. A run that is gone is not seen.
func (t *Trees) SeesRun(ctx context.Context, p *Principal, runID string) (bool, error) {
	root, ok := t.roots.get(runID)
	if !ok {
		run, err := t.rt.Get(ctx, runID)
		if err != nil {
			return false, gone(err)
		}
		root = run.Root
		t.roots.change(runID, func(string) string { return root })
	}
	return t.seesRoot(ctx, p, root)
}

// Root is what decides about the tree that a run belongs to: id, workflow and labels of its first run. It fails with ErrNotFound
// when one of them is gone.
func (t *Trees) Root(ctx context.Context, runID string) (*bide.RunInfo, error) {
	run, err := t.rt.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	return t.root(ctx, run.Root)
}

func (t *Trees) seesRoot(ctx context.Context, p *Principal, root string) (bool, error) {
	info, err := t.root(ctx, root)
	if err != nil {
		return false, gone(err)
	}
	return p.Sees(info), nil
}

func (t *Trees) root(ctx context.Context, root string) (*bide.RunInfo, error) {
	if info, ok := t.first.get(root); ok {
		return info, nil
	}
	run, err := t.rt.Get(ctx, root)
	if err != nil {
		return nil, err
	}
	info := &bide.RunInfo{ID: root, Root: root, Workflow: run.Workflow, Labels: run.Labels}
	t.first.change(root, func(*bide.RunInfo) *bide.RunInfo { return info })
	return info, nil
}

func gone(err error) error {
	if errors.Is(err, bide.ErrNotFound) {
		return nil
	}
	return err
}
