package flow

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bide-dev/bide"
)

// FailureRepeat is the code of the failure of a repeat step that has reached its bound.
const FailureRepeat = "repeat_limit"

// loopPath is where the state of a loop is in vars.
func loopPath(s *step, member string) string { return "loops." + s.node + "." + member }

// repeat makes the nodes of a repeat step: the head counts from zero, the next node counts on and decides.
func (l *linker) repeat(n *node, do *repeat, a around) {
	s, next := n.step, nextNode(n.step)
	in := a
	in.follow = next
	first := l.block(do.body, in)
	turn := func(r *reading, count int) (bide.StepPlan, error) {
		again := true
		var err error
		switch {
		case do.while != nil:
			again, err = do.while.test(r)
		case count > 0:
			again, err = do.until.test(r)
			again = !again
		}
		if err != nil {
			return bide.StepPlan{}, err
		}
		p := bide.Go(a.follow)
		if again && count >= do.max {
			message := fmt.Sprintf("step %s was repeated %d times, its limit", s.name(), do.max)
			if a.catch == "" {
				return bide.StepPlan{Exit: bide.Exit{Fail: &bide.Failure{Code: FailureRepeat, Message: message}}}, nil
			}
			return bide.Go(a.catch).Set("error", problem(FailureRepeat, message, s.node)), nil
		}
		if again {
			p = bide.Go(first)
		}
		p = p.Set(loopPath(s, "at"), count)
		if s.id != "" {
			p = p.Set(s.id, map[string]any{"count": count})
		}
		return p, nil
	}
	n.exits = []edge{{to: first}}
	if do.while != nil {
		n.exits = append(n.exits, edge{to: a.follow, label: "else"})
	}
	if a.catch == "" {
		n.exits = append(n.exits, edge{to: bide.End})
	}
	n.plan = func(r *reading) (bide.StepPlan, error) { return turn(r, 0) }
	l.add(&node{name: next, step: s, catch: a.catch, exits: l.loopExits(first, a), plan: func(r *reading) (bide.StepPlan, error) {
		count, err := bide.Get[int](r.run.Vars, loopPath(s, "at"))
		if err != nil {
			return bide.StepPlan{}, err
		}
		return turn(r, count+1)
	}})
}

func (l *linker) loopExits(first string, a around) []edge {
	exits := []edge{{to: first, label: "again"}, {to: a.follow, label: "done"}}
	if a.catch != "" {
		return append(exits, edge{to: a.catch, label: "error"})
	}
	return append(exits, edge{to: bide.End})
}

// forEach makes the nodes of a for_each step that goes through its items in the run itself. The
// head keeps the list; the next node takes the output of an item and turns to the one after it.
func (l *linker) forEach(n *node, do *forEach, a around) {
	s, next := n.step, nextNode(n.step)
	in := a
	in.follow, in.end, in.exits = next, next, []edge{{to: next}}
	in.give = func(v any) bide.StepPlan { return bide.Go(next).Set(loopPath(s, "given"), []any{v}) }
	first := l.block(do.body, in)
	locals := slices.Sorted(maps.Keys(do.scope.names))
	locals = slices.DeleteFunc(locals, func(name string) bool { return do.scope.names[name].kind == 'l' })
	n.exits = []edge{{to: first}, {to: a.follow, label: "empty"}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		items, err := do.values(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		p := bide.Go(first)
		if len(items) == 0 {
			p = bide.Go(a.follow)
		}
		p = p.Set("loops."+s.node, map[string]any{"at": 0, "items": items})
		if s.id != "" {
			p = p.Set(s.id, []any{})
		}
		return l.forget(p, r, locals), nil
	}
	l.add(&node{name: next, step: s, catch: a.catch, exits: l.loopExits(first, a), plan: func(r *reading) (bide.StepPlan, error) {
		at, err := bide.Get[int](r.run.Vars, loopPath(s, "at"))
		if err != nil {
			return bide.StepPlan{}, err
		}
		list, err := r.at([]string{"loops", s.node, "items"})
		if err != nil {
			return bide.StepPlan{}, err
		}
		items, err := asList(list)
		if err != nil {
			return bide.StepPlan{}, err
		}
		p := bide.Go(a.follow).Delete("loops." + s.node)
		if at+1 < len(items) {
			p = bide.Go(first).Set(loopPath(s, "at"), at+1)
			if r.run.Vars.Has(loopPath(s, "given")) {
				p = p.Delete(loopPath(s, "given"))
			}
		}
		if s.id != "" {
			v, err := do.itemOutput(r, s, locals)
			if err != nil {
				return p, err
			}
			p = p.Append(s.id, v)
		}
		return l.forget(p, r, locals), nil
	}})
}

// forget deletes what an item left behind, so that the next begins afresh.
func (l *linker) forget(p bide.StepPlan, r *reading, names []string) bide.StepPlan {
	for _, name := range names {
		if r.run.Vars.Has(name) {
			p = p.Delete(name)
		}
	}
	return p
}

// values returns the items of a loop.
func (do *forEach) values(r *reading) ([]any, error) {
	var v any
	var err error
	if do.items != nil {
		v, err = do.items.eval(r)
	} else {
		v, err = (&frame{reading: r}).evaluate(do.list)
	}
	if err != nil {
		return nil, fmt.Errorf("in: %w", err)
	}
	list, err := asList(v)
	if err != nil {
		return nil, fmt.Errorf("in: %w", err)
	}
	if list == nil {
		list = []any{}
	}
	return list, nil
}

// itemOutput is what the item at hand gives: what return said, the output, or the results of the named steps.
func (do *forEach) itemOutput(r *reading, s *step, locals []string) (any, error) {
	given, err := r.at([]string{"loops", s.node, "given"})
	if list, ok := given.([]any); ok && err == nil {
		return list[0], nil
	}
	if err != nil {
		return nil, err
	}
	if do.output != nil {
		return do.output.eval(r)
	}
	return r.results(locals, do.scope)
}

// results is an object of what the named steps of a body gave.
func (r *reading) results(names []string, in *scope) (any, error) {
	out := map[string]any{}
	for _, name := range names {
		b := in.names[name]
		if b.kind != 's' {
			continue
		}
		v, err := r.at(b.path)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[name] = v
		}
	}
	return out, nil
}

// envelope is the input of a run that carries out a body. Parent keeps others from starting one.
type envelope struct {
	Body  string         `json:"bide_body"`
	Item  any            `json:"item,omitempty"`
	Index int            `json:"index"`
	Names map[string]any `json:"names,omitempty"`
}

// captured reads what a body needs of the outside.
func (s *scope) captured(r *reading) (map[string]any, error) {
	out := map[string]any{}
	for _, ref := range s.captures {
		v, err := r.read(ref)
		if err != nil {
			return nil, err
		}
		put(out, append([]string{ref.name}, ref.chain...), v)
	}
	return out, nil
}

// put copies what path reads of v to the same path in out. Shorter paths come first; what they copied whole stays.
func put(out map[string]any, path []string, v any) {
	for i, name := range path {
		old, has := out[name]
		object, ok := v.(map[string]any)
		if i == len(path)-1 || !ok {
			if !has {
				out[name] = v
			}
			return
		}
		inner, ok := old.(*sparse)
		if has && !ok {
			return // there as a whole
		}
		if !has {
			inner = &sparse{map[string]any{}}
			out[name] = inner
		}
		out, v = inner.members, object[path[i+1]]
	}
}

// sparse is an object of which only some members were copied.
type sparse struct{ members map[string]any }

// MarshalJSON writes the members that are there.
func (s *sparse) MarshalJSON() ([]byte, error) { return encode(s.members) }

// body makes the nodes of a body that runs as a child, and returns the name that starts it.
func (l *linker) body(s *step, name string, b *block, in *scope, output *template, done string) {
	locals := slices.Sorted(maps.Keys(in.names))
	a := around{follow: done, end: done, exits: []edge{{to: bide.End}}, give: func(v any) bide.StepPlan { return bide.Complete(v) }}
	l.g.bodies[name] = l.block(b, a)
	l.add(&node{name: done, step: s, exits: []edge{{to: bide.End}}, plan: func(r *reading) (bide.StepPlan, error) {
		if output != nil {
			v, err := output.eval(r)
			return bide.Complete(v), err
		}
		v, err := r.results(locals, in)
		return bide.Complete(v), err
	}})
}

// fanOut makes the nodes of a for_each step whose items have runs of their own.
func (l *linker) fanOut(n *node, do *forEach, a around) {
	s, join := n.step, joinNode(n.step)
	l.body(s, s.node, do.body, do.scope, do.output, nextNode(s))
	n.exits = []edge{{to: join}, {to: l.g.bodies[s.node], label: "each", inside: true}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		items, err := do.values(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		names, err := do.scope.captured(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		inputs := make([]envelope, len(items))
		for i := range items {
			inputs[i] = envelope{Body: s.node, Item: items[i], Index: i, Names: names}
		}
		e := bide.FanOut(r.run.Workflow, inputs, &bide.FanOutOptions{ChildOptions: bide.ChildOptions{Version: r.run.Version}, AtOnce: do.concurrency, AllowFailures: do.allowFailures})
		return bide.Do(e.As("loops." + s.node)).Then(join).OnError(a.catch), nil
	}
	l.add(&node{name: join, step: s, catch: a.catch, exits: []edge{{to: a.follow}}, plan: func(r *reading) (bide.StepPlan, error) {
		ended, err := bide.Get[[]bide.ChildResult](r.run.Vars, "loops."+s.node)
		if err != nil {
			return bide.StepPlan{}, err
		}
		out := make([]any, len(ended))
		for i, c := range ended {
			switch {
			case !do.allowFailures:
				out[i] = c.Output
			case c.Status == bide.StatusCompleted:
				out[i] = map[string]any{"ok": true, "output": c.Output}
			default:
				f := c.Error
				if f == nil {
					f = &bide.Failure{Code: bide.FailureChildCancelled, Message: "the run was cancelled"}
				}
				out[i] = map[string]any{"ok": false, "error": problem(f.Code, f.Message, f.Node)}
			}
		}
		p := bide.Go(a.follow).Delete("loops." + s.node)
		if s.id != "" {
			p = p.Set(s.id, out)
		}
		return p, nil
	}})
}

// parallel makes the nodes of a parallel step: every branch has a run of its own.
func (l *linker) parallel(n *node, do *parallel, a around) {
	s, join := n.step, joinNode(n.step)
	n.exits = []edge{{to: join}}
	for _, br := range do.branches {
		name := branchNode(s, br.name)
		l.body(s, name, br.block, br.scope, nil, name+"@next")
		n.exits = append(n.exits, edge{to: l.g.bodies[name], label: br.name, inside: true})
	}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		inputs := make([]envelope, len(do.branches))
		for i, br := range do.branches {
			names, err := br.scope.captured(r)
			if err != nil {
				return bide.StepPlan{}, err
			}
			inputs[i] = envelope{Body: branchNode(s, br.name), Index: i, Names: names}
		}
		opts := bide.FanOutOptions{ChildOptions: bide.ChildOptions{Version: r.run.Version}, AtOnce: len(inputs)}
		if do.first {
			opts.Need = 1
		}
		return bide.Do(bide.FanOut(r.run.Workflow, inputs, &opts).As("loops." + s.node)).Then(join).OnError(a.catch), nil
	}
	l.add(&node{name: join, step: s, catch: a.catch, exits: []edge{{to: a.follow}}, plan: func(r *reading) (bide.StepPlan, error) {
		ended, err := bide.Get[[]*bide.ChildResult](r.run.Vars, "loops."+s.node)
		if err != nil {
			return bide.StepPlan{}, err
		}
		out := map[string]any{}
		for i, c := range ended {
			if c != nil && c.Status == bide.StatusCompleted && i < len(do.branches) {
				out[do.branches[i].name] = c.Output
			}
		}
		p := bide.Go(a.follow).Delete("loops." + s.node)
		if s.id != "" {
			p = p.Set(s.id, out)
		}
		return p, nil
	}})
}
