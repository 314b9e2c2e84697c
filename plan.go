package bide

import (
	"fmt"
	"slices"
)

// StepPlan is what a node decides: which effects should happen, which writes to
// make, and where to go then. Build one with Go, Do, Complete, CompleteWith or
// Fail and refine it with its methods, each of which returns a changed copy:
//
//	return bide.Do(bide.Ask("Pay?", nil).As("decision")).Then("pay"), nil
//	return bide.Do(a, b, c).Then("join").OnError("undo"), nil
//	return bide.Go("next").Set("count", n+1), nil
//	return bide.Complete(result), nil
type StepPlan struct {
	// Effects run concurrently; the step ends when all have ended.
	Effects []Effect `json:"effects,omitempty"`
	// Writes are made before the effects start.
	Writes []Write `json:"writes,omitempty"`
	// Exit is where to go when every effect has completed.
	Exit Exit `json:"exit"`
	// ErrorNode is where to go when an effect has failed for good; TimeoutNode
	// when it was by running out of time. Empty means that the run fails.
	ErrorNode   string `json:"error_node,omitempty"`
	TimeoutNode string `json:"timeout_node,omitempty"`

	err error
}

// Exit is the end of a step: exactly one of a next node, completion, failure, continuation as a new run.
type Exit struct {
	Node       string   `json:"node,omitempty"`
	Complete   bool     `json:"complete,omitempty"`
	Continue   bool     `json:"continue_as_new,omitempty"`
	Output     JSON     `json:"output,omitempty"`      // with Complete: the output; with Continue: the input of the new run
	OutputFrom string   `json:"output_from,omitempty"` // in place of Output: the path in vars where it is
	Fail       *Failure `json:"fail,omitempty"`
}

// Do plans effects. Say where to go with Then, ThenComplete or ThenCompleteWith.
func Do(effects ...Effect) StepPlan {
	p := StepPlan{Effects: effects}
	if len(effects) == 0 {
		p.err = fmt.Errorf("bide.Do was given no effect")
	}
	return p
}

// Go plans a move to node without an effect.
func Go(node string) StepPlan { return StepPlan{Exit: Exit{Node: node}} }

// Complete plans the end of the run with an output.
func Complete(output any) StepPlan { return StepPlan{}.ThenComplete(output) }

// CompleteWith plans the end of the run; the output is the value at path in vars.
func CompleteWith(path string) StepPlan { return StepPlan{}.ThenCompleteWith(path) }

// Fail plans the failure of the run.
func Fail(format string, args ...any) StepPlan {
	return StepPlan{Exit: Exit{Fail: &Failure{Code: FailurePlanned, Message: fmt.Sprintf(format, args...)}}}
}

// Then goes to node when the effects have completed.
func (p StepPlan) Then(node string) StepPlan { p.Exit = Exit{Node: node}; return p }

// ThenComplete completes the run with output when the effects have completed.
func (p StepPlan) ThenComplete(output any) StepPlan {
	raw, err := encode(output)
	p.keep(err)
	p.Exit = Exit{Complete: true, Output: raw}
	return p
}

// ThenCompleteWith completes the run when the effects have completed; the
// output is what is then at path in vars.
func (p StepPlan) ThenCompleteWith(path string) StepPlan {
	_, err := parsePath(path)
	p.keep(err)
	p.Exit = Exit{Complete: true, OutputFrom: path}
	return p
}

// OnError goes to node when an effect has failed for good, instead of failing
// the run. The failure is at Run.Caught there.
func (p StepPlan) OnError(node string) StepPlan { p.ErrorNode = node; return p }

// OnTimeout goes to node when an effect or its wait ran out of time.
func (p StepPlan) OnTimeout(node string) StepPlan { p.TimeoutNode = node; return p }

// Set writes value at path in vars.
func (p StepPlan) Set(path string, value any) StepPlan { return p.write(OpSet, path, value) }

// Append adds value to the list at path in vars.
func (p StepPlan) Append(path string, value any) StepPlan { return p.write(OpAppend, path, value) }

// Delete removes what is at path in vars.
func (p StepPlan) Delete(path string) StepPlan {
	p.Writes = append(p.Writes[:len(p.Writes):len(p.Writes)], Write{Op: OpDelete, Path: path})
	return p
}

func (p StepPlan) write(op Op, path string, value any) StepPlan {
	raw, err := encode(value)
	if err != nil {
		p.keep(fmt.Errorf("%s %q: %w", op, path, err))
	}
	p.Writes = append(p.Writes[:len(p.Writes):len(p.Writes)], Write{Op: op, Path: path, Value: raw})
	return p
}

func (p *StepPlan) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

// normalize makes the plan's own copy of everything and brings its JSON, which
// a node may have written by hand, into the form in which it is recorded.
func (p *StepPlan) normalize() (faults []Fault) {
	tidy := func(path string, raw *JSON) {
		if *raw == nil {
			return
		}
		out, err := compact(*raw)
		if err != nil {
			faults = append(faults, Fault{path, err.Error()})
		}
		*raw = out
	}
	p.Effects, p.Writes = slices.Clone(p.Effects), slices.Clone(p.Writes)
	for i := range p.Effects {
		tidy(fmt.Sprintf("effects[%d].payload", i), &p.Effects[i].Payload)
	}
	for i := range p.Writes {
		tidy(fmt.Sprintf("writes[%d].value", i), &p.Writes[i].Value)
	}
	tidy("exit.output", &p.Exit.Output)
	return faults
}

// check brings the plan into its recorded form and returns an error that lists
// every fault it has.
func (p *StepPlan) check(wf *Workflow, node string, lim *Limits) error {
	faults := p.normalize()
	add := func(path, format string, args ...any) {
		faults = append(faults, Fault{path, fmt.Sprintf(format, args...)})
	}
	if p.err != nil {
		add("", "%v", p.err)
	}
	exits := 0
	for _, is := range []bool{p.Exit.Node != "", p.Exit.Complete, p.Exit.Continue, p.Exit.Fail != nil} {
		exits += btoi(is)
	}
	if exits != 1 && p.err == nil {
		add("exit", "a plan needs exactly one exit (a next node, completion, failure or continuation); this one has %d", exits)
	}
	for _, exit := range [][2]string{{"exit", p.Exit.Node}, {"error_node", p.ErrorNode}, {"timeout_node", p.TimeoutNode}} {
		name, target := exit[0], exit[1]
		if target == "" {
			continue
		}
		if wf.Nodes[target] == nil {
			add(name, "node %q is not in workflow %s", target, wf.ID)
		} else if wf.Exits != nil && !wf.declares(node, target) {
			add(name, "node %q does not declare %q among its exits", node, target)
		}
	}
	if (p.Exit.Complete || p.Exit.Continue) && wf.Exits != nil && !wf.declares(node, End) {
		add("exit", "node %q does not declare the end among its exits", node)
	}
	if len(p.Effects) > lim.Effects {
		add("effects", "%d effects are more than the limit of %d", len(p.Effects), lim.Effects)
	}
	for i := range p.Effects {
		faults = append(faults, p.Effects[i].faults(fmt.Sprintf("effects[%d]", i), lim)...)
	}
	for i, w := range p.Writes {
		if len(w.Value) > lim.ValueBytes {
			add(fmt.Sprintf("writes[%d]", i), "%d bytes are more than the limit of %d", len(w.Value), lim.ValueBytes)
		}
	}
	if len(p.Exit.Output) > lim.ValueBytes {
		add("exit.output", "%d bytes are more than the limit of %d", len(p.Exit.Output), lim.ValueBytes)
	}
	if (p.Exit.Complete || p.Exit.Continue) && p.Exit.Output == nil && p.Exit.OutputFrom == "" {
		p.Exit.Output = JSON("null")
	}
	if len(faults) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalidWorkflow, Message: fmt.Sprintf("node %q returned a plan that cannot be carried out", node), Faults: faults}
}
