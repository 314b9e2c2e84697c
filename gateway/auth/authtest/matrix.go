// Package authtest holds a server to its permissions: every operation is tried by every role, in
// its own namespace and from another one.
package authtest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
)

// Operation is one thing that can be asked of a server.
type Operation struct {
	Name  string
	Right auth.Right
	// OfNamespace says that the operation is about something that a namespace has, which does not exist for others.
	OfNamespace bool
}

// Namespaces that the callers of a matrix are of: what an operation is about belongs to Own.
const (
	Own     = "own"
	Foreign = "foreign"
)

// Callers lists the principals of a matrix: each role in both namespaces, and an agent with every role in each.
func Callers() (out []*auth.Principal) {
	for _, ns := range []string{Own, Foreign} {
		for _, role := range auth.Roles() {
			out = append(out, &auth.Principal{Actor: "token:" + string(role), Roles: []auth.Role{role}, Namespace: ns})
		}
		out = append(out, &auth.Principal{Actor: bide.AgentActor + "robot", Roles: auth.Roles(), Namespace: ns})
	}
	return out
}

// Matrix tries every operation as every caller, and without credentials (nil). try makes what the operation
// is about in the namespace Own, does the operation, and returns the status of the answer. Wanted are 401 without
// credentials, 403 without the right, 404 for what is of another namespace, and anything else but those otherwise.
func Matrix(t *testing.T, ops []Operation, try func(t *testing.T, op Operation, as *auth.Principal) int) {
	if len(ops) == 0 {
		t.Fatal("there are no operations to try")
	}
	for _, op := range ops {
		for _, p := range append([]*auth.Principal{nil}, Callers()...) {
			t.Run(op.Name+"/"+name(p), func(t *testing.T) {
				if got := try(t, op, p); !allowed(op, p, got) {
					t.Errorf("%s as %s = %d, want %s", op.Name, name(p), got, wanted(op, p))
				}
			})
		}
	}
}

func name(p *auth.Principal) string {
	if p == nil {
		return "nobody"
	}
	return p.Namespace + "/" + p.Actor
}

// status is what the answer must be, or 0 when it is only not to be a refusal.
func status(op Operation, p *auth.Principal) int {
	switch {
	case p == nil:
		return http.StatusUnauthorized
	case !p.May(op.Right, nil):
		return http.StatusForbidden
	case op.OfNamespace && p.Namespace != Own:
		return http.StatusNotFound
	}
	return 0
}

func allowed(op Operation, p *auth.Principal, got int) bool {
	if want := status(op, p); want != 0 {
		return got == want
	}
	return got != http.StatusUnauthorized && got != http.StatusForbidden && got != http.StatusNotFound && got < 500
}

func wanted(op Operation, p *auth.Principal) string {
	if want := status(op, p); want != 0 {
		return fmt.Sprint(want)
	}
	return "no refusal"
}
