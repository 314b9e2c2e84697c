package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// Leave is how a call was let pass: what runs is what it holds, and nothing else.
type Leave struct {
	By     string `json:"by"`                // policy, grant or person
	Actor  string `json:"actor,omitempty"`   // the person
	Reason string `json:"reason,omitempty"`  // the rule, the grant or the person's
	WaitID string `json:"wait_id,omitempty"` // of the wait that it was decided in
	// Args run; ArgsSHA256 pins them, and ToolSHA256 the tool's definition. The result of a call that a rule let pass does
	// not repeat the arguments.
	Args       bide.JSON `json:"args,omitempty"`
	ArgsSHA256 string    `json:"args_sha256,omitempty"`
	ToolSHA256 string    `json:"tool_sha256"`
	// Proposed are the arguments that a person replaced by Args.
	Proposed bide.JSON `json:"proposed,omitempty"`
}

// The ways to get leave.
const (
	ByPolicy = "policy"
	ByGrant  = "grant"
	ByPerson = "person"
)

// errStale says why a leave does not hold for a call any more.
type errStale struct{ error }

// holds checks, from what is on record, that the leave is for this tool and that its
// arguments are those that it was given for (rule 1).
func (l *Leave) holds(t *Tool) error {
	sum, err := bide.ArgsSHA256(t.Name, l.Args)
	switch {
	case err != nil:
		return errStale{err}
	case sum != l.ArgsSHA256:
		return errStale{errors.New("its arguments are not those that were let pass")}
	case l.ToolSHA256 != t.Source.SHA256:
		return errStale{errors.New("the tool's definition has changed since it was let pass")}
	}
	if faults := bide.CheckSchema(t.Schema, l.Args); len(faults) > 0 {
		return errStale{fmt.Errorf("its arguments do not fit the tool: %s", faults[0])}
	}
	return nil
}

// approval returns the last decision about the call among the answers.
func approval(answered []bide.Answered) *bide.Answered {
	for _, a := range slices.Backward(answered) {
		if a.Wait.Kind == bide.WaitToolApproval {
			return &a
		}
	}
	return nil
}

// leaveOf reads a decision into a leave, and checks that it is one about this call.
func leaveOf(p *payload, a *bide.Answered) (*Leave, error) {
	var answer bide.Approval
	if err := json.Unmarshal(a.Decision.Answer, &answer); err != nil {
		return nil, errStale{err}
	}
	if len(a.Wait.Items) != 1 {
		return nil, errStale{errors.New("the decision is about no call")}
	}
	item := a.Wait.Items[0]
	d, ok := answer.Decision(p.ToolCallID)
	proposed, err := bide.ArgsSHA256(p.Name, p.Args)
	switch {
	case err != nil:
		return nil, errStale{err}
	case !ok || item.ToolCallID != p.ToolCallID || item.Name != p.Name:
		return nil, errStale{errors.New("the decision is about another call")}
	case d.ArgsSHA256 != "" && d.ArgsSHA256 != item.ArgsSHA256, proposed != item.ArgsSHA256:
		return nil, errStale{errors.New("the decision is about other arguments")}
	}
	l := &Leave{By: ByPerson, Actor: a.Decision.Actor, Reason: d.Reason, WaitID: a.Wait.ID, Args: item.Args, ArgsSHA256: item.ArgsSHA256, ToolSHA256: item.Source.SHA256}
	if a.Decision.By == bide.ByHandler {
		l.By, l.Reason = answer.Message, item.Reason // as Handle put it there
	}
	switch d.Type {
	case bide.VerbApprove:
		return l, nil
	case bide.VerbEdit:
		l.Proposed, l.Args = l.Args, d.Args
		l.ArgsSHA256, err = bide.ArgsSHA256(p.Name, d.Args)
		return l, err
	}
	return nil, errStale{fmt.Errorf("the decision %q does not let it pass", d.Type)}
}

// seek finds leave for a call: what was decided, a rule, a grant; or else it
// returns the judgement by which to deny or ask.
func (s *Set) seek(ctx context.Context, t *Tool, p *payload, call *bide.Invocation) (*Leave, judgement) {
	args := p.Args
	var stale error
	found := p.Leave
	if a := approval(call.Answered); a != nil {
		found, stale = leaveOf(p, a)
	}
	if found != nil {
		args = found.Args
		stale = found.holds(t)
	}
	j := s.opts.Policy.judge(t, args, call)
	switch {
	case j.verdict == Deny:
		return nil, j
	case stale != nil:
		return nil, judgement{Ask, "it has to be decided again: " + stale.Error(), j.approval}
	case found != nil:
		return found, j
	case p.Ask:
		return nil, judgement{Ask, "whoever planned the call wants a decision", j.approval}
	}
	sum, err := bide.ArgsSHA256(t.Name, args)
	if err != nil {
		return nil, judgement{Ask, err.Error(), j.approval}
	}
	l := &Leave{By: ByPolicy, Reason: j.reason, Args: args, ArgsSHA256: sum, ToolSHA256: t.Source.SHA256}
	if j.verdict == Auto {
		return l, j
	}
	g, err := s.granted(ctx, t, args, call)
	switch {
	case err != nil:
		return nil, judgement{Ask, j.reason + "; " + err.Error(), j.approval}
	case g == nil:
		return nil, j
	}
	l.By, l.Actor, l.Reason, l.WaitID = ByGrant, g.By, "grant "+g.ID, g.ID
	return l, j
}

// wait is what a decision about a call is waited for with.
func (s *Set) wait(t *Tool, p *payload, j judgement) bide.Wait {
	a := s.opts.Approval
	if j.approval != nil {
		a = *j.approval
	}
	w := bide.Wait{Kind: bide.WaitToolApproval, Message: fmt.Sprintf("May %s be called?", t.Name),
		Assignees: a.Assignees, Priority: a.Priority, OnExpire: a.OnExpire, Repeatable: t.Safety != Once,
		Items: []bide.ToolItem{{ToolCallID: p.ToolCallID, Name: t.Name, Args: p.Args, Description: t.Description, ArgsSchema: t.Schema,
			Source: t.Source, Annotations: *t.Annotations, Allowed: a.Allowed, Reason: j.reason}}}
	if a.Timeout > 0 {
		w.ExpiresAt = s.opts.Now().Add(time.Duration(a.Timeout))
	}
	return w
}
