package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// Nodes that are not steps. Those of a step are its name and what follows the @.
const (
	nodeStart = "@start"
	nodeEnd   = "@end"
)

func nextNode(s *step) string              { return s.node + "@next" }
func joinNode(s *step) string              { return s.node + "@join" }
func branchNode(s *step, br string) string { return s.node + "@" + br }

// graph is a document as nodes, in the order in which they were made.
type graph struct {
	nodes  []*node
	byName map[string]*node
	bodies map[string]string // the first nodes of child bodies, by the name that starts them
}

// node is one node of the workflow.
type node struct {
	name  string
	step  *step // nil for the start and the end
	exits []edge
	plan  func(r *reading) (bide.StepPlan, error)
	// catch is the node that takes what goes wrong here; empty fails the run.
	catch string
}

// edge is a way from a node to another.
type edge struct {
	to, label string
	// inside says that the way leads into a run of its own.
	inside bool
}

// linker makes nodes of steps.
type linker struct {
	doc *Doc
	g   *graph
}

// around is what a step must know of the steps around it.
type around struct {
	follow string // the node after it
	end    string // where "end" leads
	catch  string // the node that takes errors; empty for none
	// give plans the end of the body with a value, for return.
	give  func(v any) bide.StepPlan
	exits []edge // of return
}

func (p *parser) link() *graph {
	l := &linker{p.doc, &graph{byName: map[string]*node{}, bodies: map[string]string{}}}
	a := around{follow: nodeEnd, end: nodeEnd, exits: []edge{{to: bide.End}}, give: func(v any) bide.StepPlan { return bide.Complete(v) }}
	if h := p.doc.onError; h != nil {
		a.catch = l.catch("@error", nil, h, a)
	}
	l.start(p.doc.steps.steps[0].node, a.catch)
	l.block(p.doc.steps, a)
	l.end()
	return l.g
}

func (l *linker) add(n *node) *node {
	l.g.nodes = append(l.g.nodes, n)
	l.g.byName[n.name] = n
	return n
}

// end completes the run with its output.
func (l *linker) end() {
	l.add(&node{name: nodeEnd, exits: []edge{{to: bide.End}}, plan: func(r *reading) (bide.StepPlan, error) {
		if l.doc.output == nil {
			return bide.Complete(nil), nil
		}
		v, err := l.doc.output.eval(r)
		return bide.Complete(v), err
	}})
}

// block makes the nodes of steps that follow each other, and returns the first.
func (l *linker) block(b *block, a around) string {
	for i, s := range b.steps {
		in := a
		if i+1 < len(b.steps) {
			in.follow = b.steps[i+1].node
		}
		l.step(s, in)
	}
	return b.steps[0].node
}

// target is the node that a jump leads to.
func (a *around) target(h *handler) string {
	if h.target == nil {
		return a.end
	}
	return h.target.node
}

// catch makes the node that keeps a failure and goes to its handler.
func (l *linker) catch(name string, s *step, h *handler, a around) string {
	n := l.add(&node{name: name, step: s})
	to := ""
	if h.block != nil {
		to = l.block(h.block, a)
	} else {
		to = a.target(h)
	}
	n.exits = []edge{{to: to}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		p := bide.Go(to)
		if f := r.run.Caught; f != nil {
			p = p.Set("error", problem(f.Code, f.Message, f.Node))
		}
		return p, nil
	}
	return name
}

// problem is what error is in a handler.
func problem(code, message, step string) map[string]any {
	step, _, _ = strings.Cut(step, "@")
	return map[string]any{"code": code, "message": message, "step": step}
}

// step makes the nodes of one step.
func (l *linker) step(s *step, a around) {
	n := l.add(&node{name: s.node, step: s})
	skip := a.follow
	if s.next != nil {
		a.follow = a.target(s.next)
	}
	outer, timeout := a, ""
	if s.onError != nil {
		a.catch = l.catch(s.node+"@error", s, s.onError, outer)
	}
	if s.onTimeout != nil {
		timeout = l.catch(s.node+"@timeout", s, s.onTimeout, outer)
	}
	n.catch = a.catch
	switch do := s.do.(type) {
	case *effect:
		l.effect(n, do, timeout, a)
	case *several:
		l.several(n, do, timeout, a)
	case *assign:
		l.assign(n, do, a)
	case *branch:
		l.branch(n, do, skip, a)
	case *fail:
		l.fail(n, do, a)
	case *giveBack:
		l.giveBack(n, do, a)
	case *goOn:
		l.goOn(n, do)
	case *repeat:
		l.repeat(n, do, a)
	case *forEach:
		if do.concurrency > 0 {
			l.fanOut(n, do, a)
		} else {
			l.forEach(n, do, a)
		}
	case *parallel:
		l.parallel(n, do, a)
	}
	if a.catch != "" {
		n.exits = append(n.exits, edge{to: a.catch, label: "error"})
	}
	if timeout != "" {
		n.exits = append(n.exits, edge{to: timeout, label: "timeout"})
	}
	if s.cond != nil && s.kind != "then" {
		l.guard(n, s.cond, skip)
	}
}

// guard skips a step whose condition does not hold.
func (l *linker) guard(n *node, cond *expression, follow string) {
	inner := n.plan
	n.plan = func(r *reading) (bide.StepPlan, error) {
		ok, err := cond.test(r)
		if err != nil {
			return bide.StepPlan{}, fmt.Errorf("if: %w", err)
		}
		if !ok {
			return bide.Go(follow), nil
		}
		return inner(r)
	}
	n.exits = append(n.exits, edge{to: follow, label: "skipped"})
}

func (l *linker) effect(n *node, do *effect, timeout string, a around) {
	s := n.step
	n.exits = []edge{{to: a.follow}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		e, err := do.plan(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		if s.id != "" {
			e = e.As(s.id)
		}
		if e, err = s.refined(e, r); err != nil {
			return bide.StepPlan{}, err
		}
		return bide.Do(e).Then(a.follow).OnError(a.catch).OnTimeout(timeout), nil
	}
}

func (l *linker) several(n *node, do *several, timeout string, a around) {
	s := n.step
	n.exits = []edge{{to: a.follow}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		effects, err := do.plan(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		for i := range effects {
			if s.id != "" {
				effects[i] = effects[i].As(fmt.Sprintf("%s.%d", s.id, i))
			}
			if effects[i], err = s.refined(effects[i], r); err != nil {
				return bide.StepPlan{}, err
			}
		}
		p := bide.Do(effects...).Then(a.follow).OnError(a.catch).OnTimeout(timeout)
		if s.id != "" {
			p = p.Set(s.id, make([]any, len(effects)))
		}
		return p, nil
	}
}

// refined adds to an effect what the step says of retries and time.
func (s *step) refined(e bide.Effect, r *reading) (bide.Effect, error) {
	if s.retry != nil {
		e = e.WithRetry(*s.retry)
	}
	if s.once {
		e = e.Once()
	}
	all, err := s.timeout.get(r)
	if err != nil {
		return e, fmt.Errorf("timeout: %w", err)
	}
	one, err := s.attempt.get(r)
	if err != nil {
		return e, fmt.Errorf("attempt_timeout: %w", err)
	}
	if all > 0 {
		e = e.WithTimeout(all)
	}
	if one > 0 {
		e = e.WithAttemptTimeout(one)
	}
	return e, nil
}

func (l *linker) assign(n *node, do *assign, a around) {
	n.exits = []edge{{to: a.follow}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		p := bide.Go(a.follow)
		for i, name := range do.names {
			v, err := do.values[i].eval(r)
			if err != nil {
				return p, fmt.Errorf("%s: %w", name, err)
			}
			p = p.Set(name, v)
		}
		return p, nil
	}
}

func (l *linker) branch(n *node, do *branch, skip string, a around) {
	ways := make([]string, len(do.arms))
	for i, arm := range do.arms {
		if arm.jump != nil {
			ways[i] = a.target(arm.jump)
		} else {
			ways[i] = l.block(arm.block, a)
		}
		n.exits = append(n.exits, edge{to: ways[i], label: arm.label})
	}
	otherwise := a.follow
	if n.step.kind == "then" {
		otherwise = skip
	}
	if do.arms[len(do.arms)-1].label != "else" {
		n.exits = append(n.exits, edge{to: otherwise, label: "else"})
	}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		for i, arm := range do.arms {
			cond := arm.cond
			if n.step.kind == "then" && i == 0 {
				cond = n.step.cond
			}
			ok := cond == nil
			if !ok {
				var err error
				if ok, err = cond.test(r); err != nil {
					return bide.StepPlan{}, fmt.Errorf("if: %w", err)
				}
			}
			if ok {
				return bide.Go(ways[i]), nil
			}
		}
		return bide.Go(otherwise), nil
	}
}

func (l *linker) fail(n *node, do *fail, a around) {
	n.exits = []edge{{to: bide.End}}
	if a.catch != "" {
		n.exits = nil // the way to the handler is added by step
	}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		code, message := bide.FailurePlanned, ""
		var err error
		if do.code != nil {
			if code, err = do.code.str(r); err != nil {
				return bide.StepPlan{}, err
			}
		}
		if message, err = do.message.str(r); err != nil {
			return bide.StepPlan{}, err
		}
		if a.catch != "" {
			return bide.Go(a.catch).Set("error", problem(code, message, n.name)), nil
		}
		return bide.StepPlan{Exit: bide.Exit{Fail: &bide.Failure{Code: code, Message: message}}}, nil
	}
}

func (l *linker) giveBack(n *node, do *giveBack, a around) {
	n.exits = slices.Clone(a.exits)
	n.plan = func(r *reading) (bide.StepPlan, error) {
		v, err := do.value.eval(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		return a.give(v), nil
	}
}

// goOn ends the run for a new one of the same flow, whose input it checks.
func (l *linker) goOn(n *node, do *goOn) {
	n.exits = []edge{{to: bide.End, label: "as a new run"}}
	n.plan = func(r *reading) (bide.StepPlan, error) {
		v, err := do.input.eval(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		raw, err := encode(v)
		if err != nil {
			return bide.StepPlan{}, err
		}
		if faults := l.doc.CheckInput(raw); len(faults) > 0 {
			return bide.StepPlan{}, errors.New(inputMessage(faults))
		}
		return bide.ContinueAsNew(raw), nil
	}
}
