// Package auth says who makes a request and what they may do. It must not know
// any operation of the gateway: those name the right that they need.
package auth

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// Right is what an operation needs.
type Right string

// The rights.
const (
	View    Right = "view"    // look at runs, waits, flows, schedules
	Operate Right = "operate" // start, pause, cancel, retry, fork, delete runs; send events
	Decide  Right = "decide"  // answer waits
	Author  Right = "author"  // upload flows, change schedules
	Admin   Right = "admin"   // release runs that were set aside; tokens, webhooks
	// Installation is to see to workers, metrics and the store, which are those of all namespaces: only principals of the default one have it.
	Installation Right = "installation"
	Work         Right = "work" // carry out effects as a remote worker
)

// Role is a named set of rights.
type Role = api.Role

// The roles.
const (
	Viewer        = api.RoleViewer
	Operator      = api.RoleOperator
	Approver      = api.RoleApprover
	FlowAuthor    = api.RoleAuthor
	Administrator = api.RoleAdmin
	Worker        = api.RoleWorker
)

// Roles lists all roles.
func Roles() []Role { return []Role{Viewer, Operator, Approver, FlowAuthor, Administrator, Worker} }

// Rights lists what a role may do; an unknown role may do nothing.
func Rights(r Role) []Right {
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
		return []Right{View, Operate, Decide, Author, Admin, Installation, Work}
	case Worker:
		return []Right{Work}
	}
	return nil
}

// NamespaceLabel is the label of the first run of a tree that belongs to a namespace; the gateway puts it there. A
// tree without it belongs to the default namespace, whose name is empty.
const NamespaceLabel = ReservedLabels + "namespace"

// GrantsOf names what a grant for a workflow counts for: what bide.GrantsOf says, in the namespace of the run that asks, which its labels
// say. It is for tool.Options.
func GrantsOf(workflow string, labels map[string]string) string {
	return (&Principal{Namespace: labels[NamespaceLabel]}).Scoped(bide.GrantsOf(workflow, labels))
}

// GrantOf is the session or workflow that a grant of a run counts for, as GrantsOf names it; empty when it counts for the run alone.
func GrantOf(run *bide.Run, g *bide.Grant) string {
	switch g.Scope {
	case bide.GrantSession:
		return run.Session
	case bide.GrantWorkflow:
		return GrantsOf(run.Workflow, run.Labels)
	}
	return ""
}

// ReservedLabels begins the names of labels that clients cannot set.
const ReservedLabels = "bide."

// Principal is who makes a request: what credentials say, never what a client does.
type Principal struct {
	Actor     string   `json:"actor"`            // as it stands in the ledger; programs begin with bide.AgentActor
	Groups    []string `json:"groups,omitempty"` // with their prefix, such as "group:ops"
	Roles     []Role   `json:"roles"`
	Namespace string   `json:"namespace,omitempty"` // the only one whose runs it sees; empty for the default one
	// Workflows and Labels narrow what is seen: trees whose first run is of one of these
	// workflows, with all of these labels. Empty means all.
	Workflows []string          `json:"workflows,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// May reports whether the principal has a right, and for a run (nil when the operation is about none) whether
// it sees the run, which is the first of its tree; see Trees.May for any run. A program never may decide,
// whatever its roles, and a namespace never sees to the installation.
func (p *Principal) May(right Right, root *bide.RunInfo) bool {
	if right == Decide && p.Agent() || right == Installation && p.Namespace != "" {
		return false
	}
	has := slices.ContainsFunc(p.Roles, func(r Role) bool { return slices.Contains(Rights(r), right) })
	return has && (root == nil || p.Sees(root))
}

// Agent reports whether the principal is a program that can ask but never decide.
func (p *Principal) Agent() bool { return strings.HasPrefix(p.Actor, bide.AgentActor) }

// Sees reports whether a tree of runs, given by its first run, is the principal's to know of. What it does not
// see does not exist for it.
func (p *Principal) Sees(root *bide.RunInfo) bool {
	if root.Labels[NamespaceLabel] != p.Namespace || len(p.Workflows) > 0 && !slices.Contains(p.Workflows, root.Workflow) {
		return false
	}
	for name, value := range p.Labels {
		if got, ok := root.Labels[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Starts returns the labels of a run that the principal starts: those that it asks for, those it is limited to, and
// its namespace. It fails with ErrInvalidInput when it asks for a label that is reserved, and with ErrForbidden
// when it may not start the workflow or asks for another value of a label it is limited to.
func (p *Principal) Starts(workflow string, labels map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, value := range labels {
		if strings.HasPrefix(name, ReservedLabels) {
			return nil, bide.Errorf(bide.CodeInvalidInput, "the label %q cannot be set: names that begin with %q are reserved", name, ReservedLabels)
		}
		if must, ok := p.Labels[name]; ok && must != value {
			return nil, bide.Errorf(bide.CodeForbidden, "the label %q must be %q with these credentials", name, must)
		}
		out[name] = value
	}
	if len(p.Workflows) > 0 && !slices.Contains(p.Workflows, workflow) {
		return nil, bide.Errorf(bide.CodeForbidden, "these credentials are not for workflow %q", workflow)
	}
	maps.Copy(out, p.Labels)
	if p.Namespace != "" {
		out[NamespaceLabel] = p.Namespace
	}
	return out, nil
}

// Scoped returns a name that clients choose, such as a run id, a command id, a key, a session or a schedule, as it is
// used within the namespace: the same name in two namespaces means two things, and no name of one can be
// made up in another. In the default namespace a name is itself, unless it begins with an underscore.
func (p *Principal) Scoped(name string) string {
	if name == "" || p.Namespace == "" && !strings.HasPrefix(name, "_") {
		return name
	}
	return p.scope() + name
}

// Local is the name that Scoped was given, and whether scoped is a name of the namespace.
func (p *Principal) Local(scoped string) (name string, ok bool) {
	if scoped == "" || p.Namespace == "" && !strings.HasPrefix(scoped, "_") {
		return scoped, true
	}
	return strings.CutPrefix(scoped, p.scope())
}

// scope cannot begin another namespace's scope: names of namespaces have no underscore.
func (p *Principal) scope() string { return "_" + p.Namespace + "_" }

// Limited reports whether a principal sees only runs of some workflows, or with some labels.
func (p *Principal) Limited() bool { return len(p.Workflows) > 0 || len(p.Labels) > 0 }

// Broadcast reports whether the principal may send events to a workflow or to all: they reach the runs of
// every namespace, so only the default one, which is that of whoever runs the installation, can.
func (p *Principal) Broadcast() bool { return p.Namespace == "" }

var namespaceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

// CheckNamespace fails with ErrInvalidInput when a name is none of a namespace: empty, or lower-case letters, digits
// and -, at most 39.
func CheckNamespace(name string) error {
	if name != "" && !namespaceName.MatchString(name) {
		return bide.Errorf(bide.CodeInvalidInput, "%q is not the name of a namespace: lower-case letters, digits and -, at most 39", name)
	}
	return nil
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
