package bide

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// beginBuiltin carries out a built-in effect: a result at once, or a wait.
func (m *machine) beginBuiltin(i int) error {
	r, e := m.run, &m.run.Effects[i]
	switch e.Type {
	case TypeStartRun:
		return m.beginChild(i)
	case TypeFanOut:
		return m.beginFanOut(i)
	}
	var s waitSpec
	if err := decodeOwn(e.Payload, &s); err != nil {
		return err
	}
	if e.Type == TypeTell || e.Type == TypeQuery {
		result := JSON("null")
		if e.Type == TypeQuery {
			if raw, ok, err := r.Vars.Raw(s.Key); err == nil && ok {
				result = raw
			}
		}
		return m.completeEffect(i, 0, result, nil)
	}
	w := &Wait{ID: r.nextWaitID(), Node: r.Node, Step: r.Step, Effect: i, Message: s.Message,
		Choices: s.Choices, FreeText: s.FreeText, Schema: s.Schema, Details: s.Details, Assignees: s.Assignees, CreatedAt: m.now, Default: s.Default}
	switch e.Type {
	case TypeAsk:
		w.Kind = WaitQuestion
		if s.Schema != nil {
			w.Kind = WaitForm
		}
	case TypeWaitUntil:
		w.Kind, w.Until = WaitTimer, truncate(m.now.Add(time.Duration(s.For)))
		if s.Until != "" {
			var err error
			if w.Until, err = parseTime(s.Until); err != nil {
				return err
			}
		}
	case TypeWaitEvent:
		key, err := r.eventKey(s.Scope, s.Key)
		if err != nil {
			return m.failAttempt(i, &Failure{Code: FailureNode, Permanent: true, Message: err.Error()}, 0, nil)
		}
		w.Kind, w.Key = WaitForEvent, key
		if s.Past > 0 {
			w.Since = truncate(m.now.Add(-time.Duration(s.Past)))
		}
	case TypeJob:
		w.Kind, w.Key = WaitJob, s.Key
	}
	w.ExpiresAt = m.deadline(e, s.Timeout)
	if err := m.here(KindWaitOpened, w); err != nil {
		return err
	}
	if err := m.takeMail(); err != nil {
		return err
	}
	return m.fireDue()
}

// deadline is when a wait opened now expires: after its own timeout or its
// effect's, whichever is first.
func (m *machine) deadline(e *EffectState, timeout Duration) (at time.Time) {
	if timeout > 0 {
		at = m.now.Add(time.Duration(timeout))
	}
	if e.Timeout > 0 {
		start := e.StartedAt
		if start.IsZero() {
			start = m.now
		}
		if end := start.Add(time.Duration(e.Timeout)); at.IsZero() || end.Before(at) {
			at = end
		}
	}
	return truncate(at)
}

// checkBuiltin checks the payload of a built-in effect: what its constructor
// could not know, and what a plan built by hand may hold.
func checkBuiltin(e *Effect, lim *Limits) error {
	if !builtin[e.Type] {
		return nil
	}
	var s waitSpec
	if err := decodeOwn(e.Payload, &s); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if s.Timeout < 0 {
		return fmt.Errorf("the timeout %s is negative", s.Timeout)
	}
	switch e.Type {
	case TypeAsk:
		if s.Message == "" {
			return errors.New("the prompt is empty")
		}
		if slices.Contains(s.Assignees, "") {
			return errors.New("an assignee is empty; name an actor, such as ann, or a group, such as group:ops")
		}
		kind := WaitQuestion
		if s.Schema != nil {
			kind = WaitForm
			if _, err := CompileSchema(s.Schema); err != nil {
				return fmt.Errorf("the form's schema cannot be used: %w", err)
			}
		}
		if s.Default != nil {
			w := Wait{Kind: kind, Choices: s.Choices, FreeText: s.FreeText, Schema: s.Schema}
			if faults := w.check(s.Default); len(faults) > 0 {
				return fmt.Errorf("the default answer: %s", faults[0])
			}
		}
	case TypeWaitEvent:
		return s.checkEvent()
	case TypeFanOut:
		var f fanSpec
		if err := decodeOwn(e.Payload, &f); err != nil {
			return err
		}
		if e.Append {
			return errors.New("the results of a fan-out are a list of their own; use As")
		}
		return f.check(lim)
	case TypeStartRun:
		var c childSpec
		if err := decodeOwn(e.Payload, &c); err != nil {
			return err
		}
		if c.Workflow == "" || c.Input == nil {
			return errors.New("a child needs a workflow and an input")
		}
		if _, err := encode(c.Labels); err != nil {
			return err
		}
	case TypeWaitUntil:
		if s.Until != "" {
			_, err := parseTime(s.Until)
			return err
		}
		if s.For < 0 {
			return fmt.Errorf("the duration %s is negative", s.For)
		}
	}
	return nil
}
