package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/schedule"
)

// library finds what can be started: published flows, and workflows that are code of the program.
type library struct {
	rt   *bide.Runtime
	code []bide.Workflow // the newest of an id last

	mu   sync.Mutex
	docs map[string]*flow.Doc // by version, which is their hash: they never change
}

func newLibrary(rt *bide.Runtime, code []bide.Workflow) *library {
	return &library{rt: rt, code: code, docs: map[string]*flow.Doc{}}
}

// published is a version of a flow in the store.
type published struct {
	doc *flow.Doc
	at  time.Time
}

// list returns the published flows that a namespace sees, newest first; of one flow when id is not empty. Documents that
// cannot be read are left out.
func (l *library) list(ctx context.Context, namespace, id string) (out []published, err error) {
	docs := l.rt.Documents()
	if docs == nil {
		return nil, nil
	}
	owners, err := l.owners(ctx)
	if err != nil {
		return nil, err
	}
	for q := (bide.DocumentQuery{Kind: flow.KindFlow, Limit: 1000}); ; {
		page, err := docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, stored := range page.Documents {
			d, err := l.doc(ctx, stored.ID)
			if errors.Is(err, bide.ErrCorrupt) || errors.Is(err, bide.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if (id == "" || d.ID() == id) && seenIn(namespace, owners[d.ID()]) {
				out = append(out, published{d, stored.UpdatedAt})
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b published) int { return b.at.Compare(a.at) })
	return out, nil
}

// doc returns the published document of a version, or bide.ErrNotFound.
func (l *library) doc(ctx context.Context, version string) (*flow.Doc, error) {
	l.mu.Lock()
	d := l.docs[version]
	l.mu.Unlock()
	if d != nil {
		return d, nil
	}
	d, err := flow.Load(ctx, l.rt, version)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.docs[version] = d
	return d, nil
}

// find returns the flow or the workflow of an id that a namespace sees, the newest when no version is named: exactly one of the two.
func (l *library) find(ctx context.Context, namespace, id, version string) (*flow.Doc, *bide.Workflow, error) {
	for i := range slices.Backward(l.code) {
		if wf := &l.code[i]; wf.ID == id && (version == "" || version == wf.Version) {
			return nil, wf, nil
		}
	}
	if version != "" {
		d, err := l.doc(ctx, version)
		if err == nil && d.ID() == id {
			var owner string
			if owner, err = l.owner(ctx, id); err == nil && seenIn(namespace, owner) {
				return d, nil, nil
			}
		}
		if err != nil && !errors.Is(err, bide.ErrNotFound) {
			return nil, nil, err
		}
		return nil, nil, bide.Errorf(bide.CodeUnknownWorkflow, "there is no workflow %q version %q; GET /v1/workflows/%s lists its versions", id, version, id)
	}
	docs, err := l.list(ctx, namespace, id)
	if err != nil {
		return nil, nil, err
	}
	if len(docs) == 0 {
		return nil, nil, bide.Errorf(bide.CodeUnknownWorkflow, "there is no workflow %q; GET /v1/workflows lists what there is", id)
	}
	return docs[0].doc, nil, nil
}

// start begins a run of what a namespace sees.
func (l *library) start(ctx context.Context, namespace, id, version string, input bide.JSON, opts *bide.StartOptions) (*bide.Run, error) {
	d, wf, err := l.find(ctx, namespace, id, version)
	switch {
	case err != nil:
		return nil, err
	case wf != nil && input == nil:
		return l.rt.Start(ctx, *wf, nil, opts)
	case wf != nil:
		return l.rt.Start(ctx, *wf, input, opts)
	case input == nil:
		input = bide.JSON("{}")
	}
	return flow.Start(ctx, l.rt, d, input, opts)
}

// load registers the code of a run, and the flows that it calls.
func (l *library) load(ctx context.Context, run *bide.RunInfo) error {
	if run.Workflow == schedule.Workflow || slices.ContainsFunc(l.code, func(wf bide.Workflow) bool { return wf.ID == run.Workflow && wf.Version == run.Version }) {
		return nil
	}
	if slices.Contains(l.rt.Workflows(), bide.WorkflowVersion{ID: run.Workflow, Version: run.Version}) {
		return nil
	}
	d, err := flow.ForRun(ctx, l.rt, run)
	if errors.Is(err, bide.ErrNotFound) {
		return bide.Errorf(bide.CodeUnknownWorkflow, "the code of workflow %q version %q is not here: it belongs to another program", run.Workflow, run.Version)
	}
	if err != nil || len(d.Flows()) == 0 {
		return err
	}
	_, err = flow.NewLibrary(l.rt, nil).Sync(ctx)
	return err
}
