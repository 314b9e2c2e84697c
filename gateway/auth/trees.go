package auth

import (
	"context"
	"errors"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/schedule"
)

// Trees says who sees which run. The first run of a tree decides for all of it: children may carry
// other labels, or be of other workflows. A schedule is not counted: a run that it starts is the first of its tree.
// What decides never changes, so it is remembered.
type Trees struct {
	rt    *bide.Runtime
	first *bounded[string, *bide.RunInfo] // by run: the first of its tree, with workflow and labels only
}

// NewTrees returns the trees of a runtime's store.
func NewTrees(rt *bide.Runtime) *Trees {
	return &Trees{rt: rt, first: newBounded[string, *bide.RunInfo](20_000)}
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
	if run.Parent == "" {
		return p.Sees(run), nil
	}
	return t.SeesRun(ctx, p, run.ID)
}

// SeesRun is Sees for a run that only the id is known of, as in a feed or a listing of
// waits. A run that is gone is not seen.
func (t *Trees) SeesRun(ctx context.Context, p *Principal, runID string) (bool, error) {
	root, err := t.Root(ctx, runID)
	if errors.Is(err, bide.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return p.Sees(root), nil
}

// Root returns what decides about the tree that a run belongs to: id, workflow and labels of its first run. It fails with ErrNotFound
// when that or the run is gone.
func (t *Trees) Root(ctx context.Context, runID string) (*bide.RunInfo, error) {
	if root, ok := t.first.get(runID); ok {
		return root, nil
	}
	run, err := t.rt.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	if run, err = t.climb(ctx, run); err != nil {
		return nil, err
	}
	root := &bide.RunInfo{ID: run.ID, Root: run.ID, Workflow: run.Workflow, Labels: run.Labels}
	t.first.change(runID, func(*bide.RunInfo) *bide.RunInfo { return root })
	return root, nil
}

// climb goes up to the first run of a tree.
func (t *Trees) climb(ctx context.Context, run *bide.Run) (*bide.Run, error) {
	if run.Parent == "" {
		return run, nil
	}
	top, err := t.rt.Get(ctx, run.Root)
	if err != nil || top.Workflow != schedule.Workflow {
		return top, err
	}
	for { // as deep as a tree may be
		parent, err := t.rt.Get(ctx, run.Parent)
		if err != nil || parent.ID == top.ID {
			return run, err
		}
		run = parent
	}
}
