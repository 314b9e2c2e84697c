package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/bide-dev/bide"
)

// Handle is the handler of TypeCall: it finds out whether a call may run, asks
// when that is not known, and runs what was let pass, with the arguments on record.
func (s *Set) Handle(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var p payload
	if err := json.Unmarshal(call.Payload, &p); err != nil {
		return bide.Outcome{}, bide.Permanent(fmt.Errorf("payload of %s: %w", TypeCall, err))
	}
	res := &Result{ToolCallID: p.ToolCallID, Name: p.Name}
	t := s.find(p.Name)
	if err := s.Unavailable(p.Name); t == nil && err != nil {
		return bide.Outcome{}, err
	}
	if fault := s.fault(t, &p); fault != "" {
		return bide.Completed(res.fail("The call was not made: %s", fault)), nil
	}
	leave, j := s.seek(ctx, t, &p, call)
	decided := approval(call.Answered)
	switch {
	case leave == nil && j.verdict == Deny:
		res.Status = StatusDenied
		return bide.Completed(res.say("The call was not made: it is denied: %s", j.reason)), nil
	case leave == nil:
		return bide.Waiting(s.wait(t, &p, j)), nil
	case p.AskOnly:
		res.Status, res.Leave = StatusApproved, leave
		return bide.Completed(res.say("The call may be made.")), nil
	case t.Safety == Once && decided == nil && p.Leave == nil:
		// What must not happen twice has its leave on record before it begins.
		j.reason = leave.Reason
		return bide.Decided(s.wait(t, &p, j), bide.Approval{Approved: new(true), Message: leave.By}), nil
	}
	res.Leave = leave
	if decided != nil && decided.Wait.ID == call.Answered[len(call.Answered)-1].Wait.ID {
		if err := s.remember(ctx, decided, call); err != nil {
			res.note("The approval counts for this run only: %v.", err)
		}
	}
	return s.dispatch(ctx, t, leave, call, res)
}

// fault says why a call cannot be made whatever anybody decides, for the model to mend.
func (s *Set) fault(t *Tool, p *payload) string {
	switch {
	case t == nil:
		return fmt.Sprintf("there is no tool %q; there are %s.", p.Name, strings.Join(s.Names(), ", "))
	case p.Args == nil:
		return fmt.Sprintf("the arguments are not a JSON object with names that differ: %s", p.ArgsText)
	case t.Safety == Once && p.Safety != Once:
		return fmt.Sprintf("when it was planned, %s could be called again after a crash; now it cannot.", t.Name)
	}
	faults := bide.CheckSchema(t.Schema, p.Args)
	if len(faults) == 0 {
		return ""
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.String()
	}
	return "the arguments do not fit: " + strings.Join(lines, "; ")
}

// dispatch runs a call and sums up what came of it.
func (s *Set) dispatch(ctx context.Context, t *Tool, leave *Leave, call *bide.Invocation, res *Result) (bide.Outcome, error) {
	rec := &recorder{keep: s.opts.Artifacts}
	var answers []bide.Answered
	for _, a := range call.Answered {
		if a.Wait.Kind != bide.WaitToolApproval {
			answers = append(answers, a)
		}
	}
	reply, err := s.run(ctx, t, &Request{Args: leave.Args, Key: call.Key, Answered: answers, evidence: rec})
	if err == nil && reply.Wait != nil {
		w := *reply.Wait
		w.Again, w.Repeatable = true, t.Safety != Once
		return bide.Waiting(w), nil
	}
	var transient transientError
	switch {
	case err != nil && ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())):
		return bide.Outcome{}, err // the run was paused or ended: it is not the tool that failed
	case errors.As(err, &transient) && t.Retry != nil && t.Safety != Once:
		return bide.Outcome{}, err
	case err != nil:
		res.fail("The tool failed: %v", err)
	default:
		res.Status = StatusOK
		if reply.IsError {
			res.Status = StatusError
		}
		if res.Content, err = json.Marshal(reply.Content); err != nil {
			res.fail("The tool returned what cannot be written as JSON: %v", err)
		}
	}
	if leave.Proposed != nil {
		res.note("A person changed the arguments from %s to %s.", leave.Proposed, leave.Args)
		if leave.Reason != "" {
			res.note("Reason: %s.", strings.TrimSuffix(leave.Reason, "."))
		}
	}
	if leave.By == ByPolicy { // its arguments are those of the call
		res.Leave = &Leave{By: leave.By, Reason: leave.Reason, ToolSHA256: leave.ToolSHA256}
	}
	res.DecidedBy, res.Evidence = leave.Actor, rec.all()
	res.limit(ctx, t.MaxResult, s.opts.Artifacts)
	return bide.Completed(res), nil
}

// errTimeout is why a call was told to stop.
type errTimeout struct{ text string }

func (e *errTimeout) Error() string { return e.text }

// run calls a tool within its limits. A call that does not stop when its time is
// over is left behind, and the error says so.
func (s *Set) run(ctx context.Context, t *Tool, req *Request) (Reply, error) {
	if t.places != nil {
		select {
		case t.places <- struct{}{}:
		case <-ctx.Done():
			return Reply{}, context.Cause(ctx)
		}
	}
	late := &errTimeout{fmt.Sprintf("it was stopped after %s", t.Timeout)}
	ctx, cancel := context.WithTimeoutCause(ctx, t.Timeout, late)
	type outcome struct {
		reply Reply
		err   error
	}
	done := make(chan outcome, 1)
	s.strays.Add(1)
	go func() {
		defer s.strays.Done()
		defer cancel()
		if t.places != nil {
			defer func() { <-t.places }()
		}
		reply, err := s.call(ctx, t, req)
		done <- outcome{reply, err}
	}()
	select {
	case out := <-done:
		return out.reply, s.stopped(ctx, t, late, out.err)
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
	defer stop()
	select {
	case out := <-done:
		return out.reply, s.stopped(ctx, t, late, out.err)
	case <-grace.Done():
		s.opts.Logger.Warn("tool did not stop", "tool", t.Name, "key", req.Key)
		return Reply{}, fmt.Errorf("%w, but did not stop within %s: it may still be at work", context.Cause(ctx), s.opts.Grace)
	}
}

// stopped says what is known of a call that ended with an error when its time was over.
func (s *Set) stopped(ctx context.Context, t *Tool, late *errTimeout, err error) error {
	switch {
	case err == nil || !errors.Is(context.Cause(ctx), late):
		return err
	case t.Outside:
		return fmt.Errorf("%w; whether the other side stopped is not known: %w", late, err)
	}
	return fmt.Errorf("%w: %w", late, err)
}

// call calls a tool; a panic is an error.
func (s *Set) call(ctx context.Context, t *Tool, req *Request) (reply Reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Logger.Error("tool panicked", "tool", t.Name, "key", req.Key, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return t.Run(ctx, req)
}
