package bide

import (
	"errors"
	"fmt"
)

// ErrLacking means that a run cannot go on here for now: its next effect needs a handler, or a child a workflow, that is not
// registered with this runtime. Another worker may have it; with Claim.Last the effect fails instead.
var ErrLacking = errors.New("not registered here")

// leaves reports whether an effect is left to be begun by somebody else, who has what it needs.
func (m *machine) leaves(i int) bool {
	if !m.yields {
		return false
	}
	e := &m.run.Effects[i]
	f := m.lacks(&e.Effect, e)
	if f != nil && m.left == nil {
		m.left = f
	}
	return f != nil
}

// lacks says what an effect needs that is not registered here; nil when it is. state is its own, if it has one yet.
func (m *machine) lacks(e *Effect, state *EffectState) *Failure {
	var child childSpec
	switch {
	case e.Type == TypeFanOut && state != nil:
		fan, err := state.fan()
		if err != nil {
			return nil // which beginning it says
		}
		child.Workflow, child.ChildOptions = fan.Workflow, fan.ChildOptions
	case e.Type == TypeStartRun:
		if decodeOwn(e.Payload, &child) != nil {
			return nil
		}
	case builtin[e.Type] || m.has(e.Type):
		return nil
	default:
		return noHandler(e.Type)
	}
	if m.find(child.Workflow, child.Version) == nil {
		return noWorkflow(child.Workflow, child.Version)
	}
	return nil
}

func noHandler(typ string) *Failure {
	return &Failure{Code: FailureNoHandler, Permanent: true, Message: fmt.Sprintf("no handler is registered for effect type %q", typ)}
}

func noWorkflow(id, version string) *Failure {
	what := fmt.Sprintf("workflow %q", id)
	if version != "" {
		what += fmt.Sprintf(" version %q", version)
	}
	return &Failure{Code: FailureNoWorkflow, Permanent: true, Message: what + " is not registered here"}
}
