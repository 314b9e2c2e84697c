package gateway

import (
	"context"
	"errors"
	"maps"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/schedule"
)

// sight is what the principal of one request sees. It is for one goroutine.
type sight struct {
	s     *Server
	p     *auth.Principal
	right auth.Right
	roots map[string]*bide.RunInfo // by id
	runs  map[string]*bide.RunInfo // by id: those looked at; nil where nothing is seen
}

func (s *Server) sight(ctx context.Context, right auth.Right) *sight {
	return &sight{s: s, p: auth.From(ctx), right: right, roots: map[string]*bide.RunInfo{}, runs: map[string]*bide.RunInfo{}}
}

// sees reports whether a run is there for the principal. A run below another one
// belongs where the first of its tree does, whatever labels it has; one that a schedule started, where its labels say.
func (v *sight) sees(ctx context.Context, run *bide.RunInfo) (bool, error) {
	if run.Parent == "" {
		return v.p.May(v.right, run), nil
	}
	root := v.roots[run.Root]
	if root == nil {
		r, err := v.s.rt.Get(ctx, run.Root)
		if errors.Is(err, bide.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		root, v.roots[run.Root] = &r.RunInfo, &r.RunInfo
	}
	if root.Workflow == schedule.Workflow {
		return v.p.May(v.right, run), nil
	}
	as := *run
	as.Labels = maps.Clone(root.Labels)
	if as.Labels == nil {
		as.Labels = map[string]string{}
	}
	for name, value := range run.Labels {
		if name != auth.NamespaceLabel {
			as.Labels[name] = value
		}
	}
	return v.p.May(v.right, &as), nil
}

// run returns a run that is seen; any other does not exist.
func (v *sight) run(ctx context.Context, id string) (*bide.Run, error) {
	run, err := v.s.rt.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	seen, err := v.sees(ctx, &run.RunInfo)
	if err != nil {
		return nil, err
	}
	if !seen {
		return nil, &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + id, Run: id}
	}
	return run, nil
}

// sightLimit bounds what a long stream remembers.
const sightLimit = 1000

// info is run for looking at many: it returns nil for a run that is not seen, and remembers.
func (v *sight) info(ctx context.Context, id string) (*bide.RunInfo, error) {
	if known, ok := v.runs[id]; ok {
		return known, nil
	}
	if len(v.runs)+len(v.roots) > sightLimit {
		clear(v.runs)
		clear(v.roots)
	}
	run, err := v.run(ctx, id)
	if errors.Is(err, bide.ErrNotFound) {
		v.runs[id] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v.runs[id] = &run.RunInfo
	return &run.RunInfo, nil
}

// stamped returns the labels of a run that the principal begins: what it chose, and its namespace.
func (v *sight) stamped(labels map[string]string) (map[string]string, error) {
	if _, taken := labels[auth.NamespaceLabel]; taken {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: "the labels cannot be used",
			Faults: []bide.Fault{{Path: "labels." + auth.NamespaceLabel, Message: "is set by the server, from the credentials"}}}
	}
	if v.p.Namespace == "" {
		return labels, nil
	}
	out := map[string]string{auth.NamespaceLabel: v.p.Namespace}
	maps.Copy(out, labels)
	return out, nil
}

// mayBegin refuses to begin a run that the principal would not see.
func (v *sight) mayBegin(workflow string, labels map[string]string) error {
	if !v.p.May(v.right, &bide.RunInfo{Workflow: workflow, Labels: labels}) {
		return bide.Errorf(bide.CodeForbidden, "these credentials are limited to other workflows or labels: %q with %v is not among them", workflow, labels)
	}
	return nil
}
