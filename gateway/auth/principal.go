// Package auth says who makes a request and what they may do. It must not know
// any operation of the gateway: those name the right that they need.
package auth

import (
	"context"
	"slices"

	"github.com/bide-dev/bide"
)

// Right is what an operation needs.
type Right string

// The rights.
const (
	View    Right = "view"    // look at runs, waits, flows, schedules
	Operate Right = "operate" // start, pause, cancel, retry, fork, delete runs; send events
	Decide  Right = "decide"  // answer waits
	Author  Right = "author"  // upload flows, change schedules
	Admin   Right = "admin"   // release runs that were set aside, look at workers and metrics
)

// Role is a named set of rights.
type Role string

// The roles.
const (
	Viewer        Role = "viewer"
	Operator      Role = "operator"
	Approver      Role = "approver"
	FlowAuthor    Role = "author"
	Administrator Role = "admin"
)

// Rights lists what a role may do; an unknown role may do nothing.
func (r Role) Rights() []Right {
	switch r {
	case Viewer:
		return []Right{View}
	case Operator:
		return []Right{View, Operate}
	case Approver:
		return []Right{View, Decide}
	case FlowAuthor:
		return []Right{View, Operate, Author}
	case Administrator:
		return []Right{View, Operate, Decide, Author, Admin}
	}
	return nil
}

// NamespaceLabel is the label of runs that belong to a namespace. Runs without it belong to
// the default namespace, whose name is empty.
const NamespaceLabel = "bide.namespace"

// Principal is who makes a request: what credentials say, never what a client does.
type Principal struct {
	Actor     string   // as it stands in the ledger; programs begin with bide.AgentActor
	Groups    []string // with their prefix, such as "group:ops"
	Roles     []Role
	Namespace string // the only one whose runs it sees; empty for the default one
	// Workflows and Labels narrow what is seen: runs of one of these workflows, with all of
	// these labels. Empty means all.
	Workflows []string
	Labels    map[string]string
}

// May reports whether the principal has a right, and for a run (nil when the
// operation is about none) whether it sees the run.
func (p *Principal) May(right Right, run *bide.RunInfo) bool {
	has := slices.ContainsFunc(p.Roles, func(r Role) bool { return slices.Contains(r.Rights(), right) })
	return has && (run == nil || p.Sees(run))
}

// Sees reports whether a run is the principal's to know of. What it does not see does not exist for it.
func (p *Principal) Sees(run *bide.RunInfo) bool {
	if run.Labels[NamespaceLabel] != p.Namespace || len(p.Workflows) > 0 && !slices.Contains(p.Workflows, run.Workflow) {
		return false
	}
	for name, value := range p.Labels {
		if got, ok := run.Labels[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Scoped returns a name that clients choose, such as a command id, a key or a session, as it is
// used within the namespace: the same name in two namespaces means two things.
func (p *Principal) Scoped(name string) string {
	if name == "" || p.Namespace == "" {
		return name
	}
	return p.Namespace + "/" + name
}

type key struct{}

// With returns a context that carries the principal.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// From returns the principal of a request, or nil when there is none.
func From(ctx context.Context) *Principal {
	p, _ := ctx.Value(key{}).(*Principal)
	return p
}
