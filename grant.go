package bide

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Remember asks that an approval count for later calls as well.
type Remember struct {
	Scope GrantScope `json:"scope"`
	Match GrantMatch `json:"match"`
}

// GrantScope says for which runs a grant counts.
type GrantScope string

// The scopes of grants.
const (
	GrantRun      GrantScope = "run"      // the run whose wait was answered
	GrantSession  GrantScope = "session"  // the runs of its session
	GrantWorkflow GrantScope = "workflow" // the runs of its workflow, of any version, as GrantsOf names it
)

// LabelOf is the label of a run that does a step of another workflow, as that of an agent step of a flow does: the id of the workflow
// that people know.
const LabelOf = "bide.of"

// GrantsOf names the workflow that a grant counts for which is given in a run with these labels: that of LabelOf, or else its own.
func GrantsOf(workflow string, labels map[string]string) string {
	if of := labels[LabelOf]; of != "" {
		return of
	}
	return workflow
}

// GrantMatch says for which calls a grant counts.
type GrantMatch string

// What grants match.
const (
	GrantTool     GrantMatch = "tool"      // every call of the tool
	GrantToolArgs GrantMatch = "tool+args" // calls with the same arguments
)

// Grant lets later calls of a tool be made without asking. It counts as long as
// the tool's definition is the one that it was given for.
type Grant struct {
	ID    string     `json:"grant_id"` // that of the wait whose answer gave it
	Scope GrantScope `json:"scope"`
	Match GrantMatch `json:"match"`
	Tool  string     `json:"tool"`
	// ArgsSHA256 is that of the call, with GrantToolArgs.
	ArgsSHA256 string    `json:"args_sha256,omitempty"`
	ToolSHA256 string    `json:"tool_sha256,omitempty"` // of the tool's definition
	By         string    `json:"by,omitempty"`
	At         time.Time `json:"at"`
}

// GrantRevoked ends a grant.
type GrantRevoked struct {
	GrantID string `json:"grant_id"`
}

func (r *Remember) faults(verb Verb) (faults []Fault) {
	if verb != VerbApprove {
		faults = append(faults, Fault{"/remember", fmt.Sprintf("goes with type %q only", VerbApprove)})
	}
	if r.Scope != GrantRun && r.Scope != GrantSession && r.Scope != GrantWorkflow {
		faults = append(faults, Fault{"/remember/scope", fmt.Sprintf("%q is not one of %q, %q and %q", r.Scope, GrantRun, GrantSession, GrantWorkflow)})
	}
	if r.Match != GrantTool && r.Match != GrantToolArgs {
		faults = append(faults, Fault{"/remember/match", fmt.Sprintf("%q is not one of %q and %q", r.Match, GrantTool, GrantToolArgs)})
	}
	return faults
}

// Grant returns the grant that an answered approval gave, if it gave one.
func (a *Answered) Grant() (g Grant, ok bool) {
	var answer Approval
	if a.Wait.Kind != WaitToolApproval || a.Decision.By != ByAnswer || decodeOwn(a.Decision.Answer, &answer) != nil || answer.Remember == nil {
		return g, false
	}
	item := &a.Wait.Items[0]
	g = Grant{ID: a.Wait.ID, Scope: answer.Remember.Scope, Match: answer.Remember.Match, Tool: item.Name,
		ToolSHA256: item.Source.SHA256, By: a.Decision.Actor, At: a.Decision.At}
	if g.Match == GrantToolArgs {
		g.ArgsSHA256 = item.ArgsSHA256
	}
	return g, true
}

// rememberFaults says why a grant with the scope that a valid answer asks for cannot be given here.
func (r *Run) rememberFaults(w *Wait, answer JSON) []Fault {
	var a Approval
	if w.Kind != WaitToolApproval || r.Session != "" || decodeOwn(answer, &a) != nil || a.Remember == nil || a.Remember.Scope != GrantSession {
		return nil
	}
	return []Fault{{"/remember/scope", "the run belongs to no session"}}
}

func (r *Run) grantRevoked(id string) error {
	i := slices.IndexFunc(r.Grants, func(g Grant) bool { return g.ID == id })
	if i < 0 {
		return fmt.Errorf("there is no grant %s", id)
	}
	r.Grants = slices.Delete(slices.Clone(r.Grants), i, i+1)
	return nil
}

// RevokeGrant ends a grant of Run.Grants: calls that it would have let pass ask
// again. It fails with ErrNotFound when the run has no such grant.
func (rt *Runtime) RevokeGrant(ctx context.Context, runID, grantID string, cmd ...Command) (*Run, error) {
	return rt.command(ctx, runID, "revoke grant", cmd, []byte(grantID), func(m *machine) error {
		if !slices.ContainsFunc(m.run.Grants, func(g Grant) bool { return g.ID == grantID }) {
			return Errorf(CodeNotFound, "run %s has no grant %q", runID, grantID).onRun(runID)
		}
		return m.here(KindGrantRevoked, &GrantRevoked{grantID})
	})
}
