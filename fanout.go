package bide

import (
	"fmt"
	"strconv"
)

// FanOutOptions refines FanOut. Nil means the defaults.
type FanOutOptions struct {
	ChildOptions
	// AtOnce is how many children run at the same time. Defaults to 10, at most 1,000.
	AtOnce int `json:"at_once,omitempty"`
	// Need is how many children have to complete; the others are then
	// cancelled. Zero means all.
	Need int `json:"need,omitempty"`
	// AllowFailures lets the effect complete when all children have ended,
	// however they did. Otherwise it then fails with code child_failed if fewer
	// completed than were needed.
	AllowFailures bool `json:"allow_failures,omitempty"`
}

// fanSpec is the payload of FanOut.
type fanSpec struct {
	Workflow string `json:"workflow"`
	Inputs   []JSON `json:"inputs"`
	FanOutOptions
}

// maxAtOnce bounds the children that one commit starts.
const maxAtOnce = 1000

// FanOut starts one child run for each of inputs, which is a list, a few at a
// time, and waits for them (K20). Its result, at the path given by As, is the
// list of their ChildResults in the order of the inputs; null for those that did not run or were cancelled.
func FanOut(workflow string, inputs any, opts *FanOutOptions) Effect {
	if opts == nil {
		opts = &FanOutOptions{}
	}
	spec := fanSpec{Workflow: workflow, FanOutOptions: *opts}
	raw, err := encode(inputs)
	if err == nil {
		err = decodeOwn(raw, &spec.Inputs)
	}
	if err != nil {
		return Effect{Type: TypeFanOut, err: fmt.Errorf("the inputs are not a list: %w", err)}
	}
	payload, err := encodeOwn(spec)
	return Effect{Type: TypeFanOut, Payload: payload, err: err}
}

func (s *fanSpec) check(lim *Limits) error {
	switch {
	case s.Workflow == "":
		return fmt.Errorf("the children have no workflow")
	case s.Detached:
		return fmt.Errorf("detached children cannot be joined; start each with StartRun")
	case len(s.Inputs) > lim.Children:
		return fmt.Errorf("%d children are more than the limit of %d", len(s.Inputs), lim.Children)
	case s.AtOnce < 0 || s.AtOnce > maxAtOnce || s.Need < 0 || s.Need > len(s.Inputs):
		return fmt.Errorf("at_once is 0 to %d and need 0 to the number of inputs; not %d and %d", maxAtOnce, s.AtOnce, s.Need)
	}
	return nil
}

// FanOutState is how far a FanOut is.
type FanOutState struct {
	Total     int `json:"total"`
	Started   int `json:"started"`
	Ended     int `json:"ended"`
	Completed int `json:"completed"`

	spec *fanSpec // the decoded payload
}

// fanOut prepares the state of a FanOut and the place of its results.
func (r *Run) fanOut(e *EffectState) error {
	var spec fanSpec
	if err := decodeOwn(e.Payload, &spec); err != nil {
		return err
	}
	e.FanOut = &FanOutState{Total: len(spec.Inputs), spec: &spec}
	if e.Result == "" {
		return nil
	}
	list := []byte{'['}
	for i := range spec.Inputs {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, "null"...)
	}
	return r.Vars.apply(Write{Op: OpSet, Path: e.Result, Value: append(list, ']')})
}

// fan returns the decoded payload, which a state from a snapshot does not have yet.
func (e *EffectState) fan() (*fanSpec, error) {
	if e.FanOut.spec == nil {
		var spec fanSpec
		if err := decodeOwn(e.Payload, &spec); err != nil {
			return nil, err
		}
		e.FanOut.spec = &spec
	}
	return e.FanOut.spec, nil
}

// beginFanOut starts as many children as may run at once.
func (m *machine) beginFanOut(i int) error {
	e := &m.run.Effects[i]
	spec, err := e.fan()
	if err != nil {
		return err
	}
	atOnce := spec.AtOnce
	if atOnce == 0 {
		atOnce = 10
	}
	for f := e.FanOut; f.Started < f.Total && f.Started-f.Ended < atOnce; {
		if err := m.startChild(i, spec.Workflow, spec.Inputs[f.Started], &spec.ChildOptions, f.Started); err != nil {
			return err
		}
		if e.Status.ended() { // it could not be started
			return nil
		}
	}
	if e.FanOut.Total == 0 {
		return m.completeEffect(i, 0, JSON("[]"), nil)
	}
	return nil
}

// childEnded puts the end of a fan-out's child into its place, and ends the
// effect when enough have ended.
func (r *Run) childEnded(e *EffectState, item int, result JSON, out outcome) error {
	f := e.FanOut
	f.Ended++
	if out.fail == nil {
		f.Completed++
	} else if result == nil {
		raw, err := encodeOwn(ChildResult{Status: StatusFailed, Error: out.fail})
		if err != nil {
			return err
		}
		result = raw
	}
	if e.Result != "" {
		if err := r.Vars.apply(Write{Op: OpSet, Path: e.Result + "." + strconv.Itoa(item), Value: result}); err != nil {
			for _, id := range r.waitsOf(e) {
				r.closeWait(id)
			}
			r.misplaced(e, err)
			return nil
		}
	}
	spec, err := e.fan()
	if err != nil {
		return err
	}
	need := spec.Need
	if need == 0 {
		need = f.Total
	}
	switch {
	case f.Completed >= need, f.Ended == f.Total && spec.AllowFailures:
		e.Status, e.Error = StateCompleted, nil
	case f.Ended == f.Total:
		e.Status = StateFailed
		e.Error = &Failure{Code: FailureChild, Permanent: true, Message: fmt.Sprintf("%d of %d children completed; %d were needed", f.Completed, f.Total, need)}
	case f.Started < f.Total:
		e.Status = StatePending // the next may start
		return nil
	default:
		e.Status = StateWaiting
		return nil
	}
	for _, id := range r.waitsOf(e) {
		r.closeWait(id)
	}
	r.settle()
	return nil
}

// waitsOf lists the open waits of an effect of the current step.
func (r *Run) waitsOf(e *EffectState) (ids []string) {
	for i := range r.Waits {
		if &r.Effects[r.Waits[i].Effect] == e {
			ids = append(ids, r.Waits[i].ID)
		}
	}
	return ids
}
