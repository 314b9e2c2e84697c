package tool

import (
	"context"
	"fmt"
	"slices"

	"github.com/bide-dev/bide"
)

// Grants keeps the grants that count for more than one run, by scope: the name of
// a session or the id of a workflow.
type Grants interface {
	// Grants lists the grants of a scope.
	Grants(ctx context.Context, scope bide.GrantScope, of string) ([]bide.Grant, error)
	// AddGrant keeps a grant. One with the same id is there once.
	AddGrant(ctx context.Context, scope bide.GrantScope, of string, g bide.Grant) error
}

// granted returns a grant that covers a call.
func (s *Set) granted(ctx context.Context, t *Tool, args bide.JSON, call *bide.Invocation) (*bide.Grant, error) {
	sum, err := bide.ArgsSHA256(t.Name, args)
	if err != nil {
		return nil, err
	}
	covers := func(g bide.Grant) bool {
		return g.Tool == t.Name && g.ToolSHA256 == t.Source.SHA256 && (g.Match == bide.GrantTool || g.Match == bide.GrantToolArgs && g.ArgsSHA256 == sum)
	}
	for _, g := range call.Grants {
		if covers(g) && (g.Scope == bide.GrantRun || s.opts.Grants == nil) {
			return &g, nil
		}
	}
	if s.opts.Grants == nil {
		return nil, nil
	}
	for scope, of := range s.scopes(call) {
		list, err := s.opts.Grants.Grants(ctx, scope, of)
		if err != nil {
			return nil, fmt.Errorf("read the grants of %s %q: %w", scope, of, err)
		}
		if i := slices.IndexFunc(list, covers); i >= 0 {
			return &list[i], nil
		}
	}
	return nil, nil
}

// scopes are those that a call belongs to, besides its run.
func (s *Set) scopes(call *bide.Invocation) func(yield func(bide.GrantScope, string) bool) {
	return func(yield func(bide.GrantScope, string) bool) {
		if call.Session != "" && !yield(bide.GrantSession, call.Session) {
			return
		}
		yield(bide.GrantWorkflow, s.opts.GrantsOf(call.Workflow, call.Labels))
	}
}

// remember keeps a grant that an approval gave, if it is for more than its run.
func (s *Set) remember(ctx context.Context, a *bide.Answered, call *bide.Invocation) error {
	g, ok := a.Grant()
	if !ok || s.opts.Grants == nil {
		return nil
	}
	for scope, of := range s.scopes(call) {
		if scope == g.Scope {
			return s.opts.Grants.AddGrant(ctx, scope, of, g)
		}
	}
	return nil
}
