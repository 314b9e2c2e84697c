package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
)

// Workflow compiles the document. The workflow's id is the document's, its version the content hash, its
// source the document in its canonical form. It always can be made: Parse has found what could be wrong.
func (d *Doc) Workflow() bide.Workflow {
	wf := bide.Workflow{ID: d.id, Version: d.Version(), Entry: nodeStart, Nodes: bide.Nodes{}, Exits: map[string][]string{}, Source: d.canonical}
	for _, n := range d.graph.nodes {
		wf.Nodes[n.name] = d.node(n)
		for _, e := range n.exits {
			if !e.inside {
				wf.Exits[n.name] = append(wf.Exits[n.name], e.to)
			}
		}
	}
	for _, name := range sortedNames(d.graph.bodies) {
		wf.Exits[nodeStart] = append(wf.Exits[nodeStart], d.graph.bodies[name])
	}
	return wf
}

// node makes a node function: what goes wrong in it goes to the node that catches.
func (d *Doc) node(n *node) bide.NodeFunc {
	return func(r *bide.Run) (bide.StepPlan, error) {
		p, err := n.plan(&reading{run: r, cache: &d.cache})
		switch {
		case err == nil:
			return p, nil
		case n.step != nil:
			err = fmt.Errorf("step %s (line %d): %w", n.step.name(), n.step.line, err)
		}
		if n.catch == "" {
			return p, err
		}
		return bide.Go(n.catch).Set("error", problem(bide.FailureNode, err.Error(), n.name)), nil
	}
}

// start makes the first node: it checks the input and asks for the settings, or, in a run that carries
// out a body, goes there.
func (l *linker) start(first, catch string) {
	d := l.doc
	n := l.add(&node{name: nodeStart, exits: []edge{{to: first}, {to: bide.End}}})
	if catch != "" && len(d.env) > 0 {
		n.exits = append(n.exits, edge{to: catch, label: "error"})
	}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		if r.run.Parent != "" {
			body, err := bide.Get[json.RawMessage](r.run.Vars, "input.bide_body")
			if err != nil {
				return bide.StepPlan{}, err
			}
			if to := l.g.bodies[strings.Trim(string(body), `"`)]; to != "" {
				return bide.Go(to), nil
			}
		}
		var writes []bide.Write
		if d.input != nil {
			input, err := r.at([]string{"input"})
			if err != nil {
				return bide.StepPlan{}, err
			}
			var faults []bide.Fault
			if writes, faults = d.input.check(input); len(faults) > 0 {
				return bide.StepPlan{Exit: bide.Exit{Fail: &bide.Failure{Code: FailureInput, Permanent: true, Message: inputMessage(faults)}}}, nil
			}
		}
		p := bide.Go(first)
		if len(d.env) > 0 {
			p = bide.Do(bide.Call(TypeEnv, d.env).As("env")).Then(first).OnError(catch)
		}
		p.Writes = writes
		return p, nil
	}
}

func inputMessage(faults []bide.Fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.String()
	}
	return "the input does not fit: " + strings.Join(texts, "; ")
}

// Start publishes the document and starts a run of it, with the document's timeout when the options have none. It
// fails with bide.ErrInvalidInput, listing every fault, when the input does not fit, and as Runtime.Start does.
func Start(ctx context.Context, rt *bide.Runtime, d *Doc, input any, opts *bide.StartOptions) (*bide.Run, error) {
	raw, err := encode(input)
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the input of flow %q cannot be used: %w", d.id, err)
	}
	if faults := d.CheckInput(raw); len(faults) > 0 {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: fmt.Sprintf("the input does not fit flow %q", d.id), Faults: faults}
	}
	if err := Publish(ctx, rt, d); err != nil {
		return nil, err
	}
	var o bide.StartOptions
	if opts != nil {
		o = *opts
	}
	if o.Timeout == 0 {
		o.Timeout = d.timeout
	}
	return rt.Start(ctx, d.Workflow(), raw, &o)
}
