package flow

import "slices"

func (p *parser) readSet(v *value, s *step) kind {
	if v.kind != '{' || len(v.members) == 0 {
		p.add(v.place, "set is an object of variables and their values, not %s", v.what())
		return nil
	}
	a := &assign{}
	for _, m := range v.members {
		name := p.name(m.name, stepName, "the name of a variable begins with a letter and has letters, digits and _")
		if slices.Contains(reserved, name) {
			p.add(m.name.place, "%q means something else in a flow; choose another name", name)
			continue
		}
		p.sets = append(p.sets, assignment{name, s, m.name.place})
		a.names, a.values = append(a.names, name), append(a.values, p.template(m.value))
	}
	return a
}

func (p *parser) readThen(v *value, s *step) kind {
	if s.cond == nil {
		p.add(v.place, "then needs a condition").Suggestion = "add if to the step"
	}
	return &branch{arms: []arm{{label: "then", block: p.block(v, s)}}}
}

func (p *parser) readSwitch(v *value, s *step) kind {
	b := &branch{}
	if v.kind != '[' || len(v.items) == 0 {
		p.add(v.place, "switch is a list of cases, not %s", v.what()).Suggestion = "write it like [{if: a > 1, then: […]}, {else: […]}]"
		return nil
	}
	for i, item := range v.items {
		o := p.object(item, "a case", "if", "then", "next", "else")
		a := arm{label: "case " + string(rune('1'+i%9))}
		p.node = s.node
		if c := o.get("if"); c != nil {
			a.cond, a.label = p.condition(c), c.text
		}
		body := o.get("then")
		if e := o.get("else"); e != nil {
			body, a.label = e, "else"
			if o.get("if") != nil || o.get("then") != nil || o.get("next") != nil || i < len(v.items)-1 {
				p.add(item.place, "else stands alone, in the last case")
			}
		} else if item.kind == '{' && (o.get("if") == nil || (body == nil) == (o.get("next") == nil)) {
			p.add(item.place, "a case has if, and either then or next")
			continue
		}
		if body != nil {
			a.block = p.block(body, s)
		} else if to := o.get("next"); to != nil {
			a.jump = p.jump(to, s)
		}
		b.arms = append(b.arms, a)
	}
	return b
}

// forEach is a for_each step.
type forEach struct {
	list          *expression
	items         *template // when the list is written down
	as, index     string
	body          *block
	scope         *scope
	output        *template
	concurrency   int // 0 means one after the other, in this run
	allowFailures bool
}

func (p *parser) readForEach(v *value, s *step) kind {
	o := p.object(v, "for_each", "in", "as", "index", "steps", "output", "concurrency", "allow_failures")
	f := &forEach{as: "item", index: "index", concurrency: o.whole("concurrency", 1, 1000), allowFailures: o.yes("allow_failures")}
	if f.allowFailures && f.concurrency == 0 {
		p.add(o.get("allow_failures").place, "allow_failures needs a concurrency, so that each item has a run of its own").Suggestion = "add concurrency: 1"
	}
	if in := o.required("in"); in != nil {
		if in.kind == '[' {
			f.items = p.template(in)
		} else {
			f.list = p.condition(in)
		}
	}
	for name, to := range map[string]*string{"as": &f.as, "index": &f.index} {
		if n := o.get(name); n != nil {
			*to = p.name(n, stepName, "the name of a variable begins with a letter and has letters, digits and _")
			if slices.Contains(reserved, *to) {
				p.add(n.place, "%q means something else in a flow; choose another name", *to)
			}
		}
	}
	f.scope = &scope{parent: p.scope, child: f.concurrency > 0, names: map[string]*binding{}, from: s}
	if f.scope.child {
		f.scope.names[f.as] = &binding{kind: 'l', path: []string{"input", "item"}}
		f.scope.names[f.index] = &binding{kind: 'l', path: []string{"input", "index"}}
	} else {
		f.scope.names[f.as] = &binding{kind: 'l', path: []string{"loops", s.node, "item"}, item: true}
		f.scope.names[f.index] = &binding{kind: 'l', path: []string{"loops", s.node, "at"}}
	}
	if steps := o.required("steps"); steps != nil {
		f.body = p.body(steps, s, f.scope)
	}
	f.output = p.bodyOutput(o, s, f.scope)
	return f
}

// bodyOutput reads the output of a body, which is evaluated at its end.
func (p *parser) bodyOutput(o *object, s *step, in *scope) *template {
	v := o.get("output")
	if v == nil {
		return nil
	}
	outside := p.scope
	p.scope, p.node = in, nextNode(s)
	t := p.template(v)
	p.scope, p.node = outside, s.node
	return t
}

// parallel is a parallel step.
type parallel struct {
	branches []parallelBranch
	first    bool
}

type parallelBranch struct {
	name  string
	block *block
	scope *scope
}

func (p *parser) readParallel(v *value, s *step) kind {
	o := p.object(v, "parallel", "branches", "join")
	f := &parallel{first: o.oneOf("join", "all", "first") == "first"}
	branches := o.required("branches")
	if branches == nil {
		return nil
	}
	if branches.kind != '{' || len(branches.members) == 0 {
		p.add(branches.place, "branches is an object of names and lists of steps, not %s", branches.what())
		return nil
	}
	for _, m := range branches.members {
		name := p.name(m.name, stepName, "the name of a branch begins with a letter and has letters, digits and _")
		in := &scope{parent: p.scope, child: true, names: map[string]*binding{}, from: s}
		f.branches = append(f.branches, parallelBranch{name, p.body(m.value, s, in), in})
	}
	return f
}

// repeat is a repeat step.
type repeat struct {
	while, until *expression
	max          int
	body         *block
}

func (p *parser) readRepeat(v *value, s *step) kind {
	o := p.object(v, "repeat", "while", "until", "max", "steps")
	r := &repeat{max: o.whole("max", 1, 100_000)}
	o.required("max")
	if steps := o.required("steps"); steps != nil {
		r.body = p.block(steps, s)
	}
	p.node = nextNode(s)
	if c := o.get("while"); c != nil {
		r.while = p.condition(c)
	}
	if c := o.get("until"); c != nil {
		r.until = p.condition(c)
	}
	p.node = s.node
	if v.kind == '{' && (r.while == nil) == (r.until == nil) && (o.get("while") == nil) == (o.get("until") == nil) {
		p.add(v.place, "repeat needs exactly one of while and until")
	}
	return r
}

func (p *parser) readFail(v *value) kind {
	if v.kind != '{' {
		return &fail{message: p.template(v)}
	}
	o := p.object(v, "fail", "code", "message")
	o.required("message")
	return &fail{o.textTemplate("code"), o.textTemplate("message")}
}
