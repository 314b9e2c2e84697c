package flow

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/bide-dev/bide"
)

// step is one step of a document.
type step struct {
	place
	id    string // as given; empty when the step has none
	node  string // its node: the id, or one made of its kind and number
	kind  string
	title string
	in    *block
	scope *scope
	cond  *expression

	next      *handler
	onError   *handler
	onTimeout *handler
	retry     *bide.RetryPolicy
	once      bool
	timeout   *duration
	attempt   *duration

	do kind
}

// kind is what a step does: an *effect, *several, *assign, *branch, *forEach, *parallel, *repeat, *fail, *goOn or *giveBack.
type kind any

// name is how messages call a step.
func (s *step) name() string {
	if s == nil {
		return "the flow"
	}
	return s.node
}

// block is a list of steps that follow each other.
type block struct {
	steps []*step
	owner *step // whose part it is; nil for the flow's own
	body  bool  // of a for_each or a branch: it has an end of its own
}

// outer is the block around b, or nil.
func (b *block) outer() *block {
	if b.owner == nil {
		return nil
	}
	return b.owner.in
}

// handler is where a step goes: by next, or after an error or a timeout.
type handler struct {
	place
	to     string // the id of a step, or "end"
	target *step
	block  *block // or steps of its own
	from   *block // where the jump starts
}

// common are the members that every step may have.
var common = []string{"id", "title", "if", "next", "retry", "delivery", "timeout", "attempt_timeout", "on_error", "on_timeout"}

// effects are the kinds that are carried out by handlers, so that they can be tried again.
var handled = []string{"http", "exec", "script", "emit", "llm", "tool", "effect"}

// block reads a list of steps.
func (p *parser) block(v *value, owner *step) *block {
	b := &block{owner: owner}
	if v.kind != '[' || len(v.items) == 0 {
		p.add(v.place, "a list of steps is needed here, not %s", v.what())
		return b
	}
	p.blockInto(b, v)
	return b
}

func (p *parser) blockInto(b *block, v *value) {
	node := p.node
	for _, item := range v.items {
		if s := p.step(item, b); s != nil {
			b.steps = append(b.steps, s)
		}
	}
	p.node = node
}

// body reads a list of steps with names of its own, in the scope of a loop or a branch.
func (p *parser) body(v *value, owner *step, in *scope) *block {
	b := &block{owner: owner, body: true}
	if v.kind != '[' || len(v.items) == 0 {
		p.add(v.place, "a list of steps is needed here, not %s", v.what())
		return b
	}
	outside := p.scope
	p.scope = in
	p.blockInto(b, v)
	p.scope = outside
	return b
}

func (p *parser) step(v *value, in *block) *step {
	if v.kind != '{' {
		p.add(v.place, "a step is an object, not %s", v.what()).Suggestion = `write it like {say: "hello"}`
		return nil
	}
	s := &step{place: v.place, in: in, scope: p.scope}
	p.all = append(p.all, s)
	body := p.kindOf(v, s)
	if body == nil {
		return nil
	}
	names := append([]string{s.kind, "else"}, common...)
	if s.kind != "then" {
		names = slices.Delete(names, 1, 2)
	}
	o := p.object(v, "a "+s.kind+" step", names...)
	p.identify(o, s)
	p.node = s.node
	s.title = o.text("title")
	if c := o.get("if"); c != nil {
		s.cond = p.condition(c)
	}
	s.do = p.readKind(body, s)
	if c := o.get("else"); c != nil {
		if b, ok := s.do.(*branch); ok {
			b.arms = append(b.arms, arm{label: "else", block: p.block(c, s)})
		}
	}
	p.node = s.node
	p.refine(o, s)
	return s
}

// kindOf finds the member that says what the step does.
func (p *parser) kindOf(v *value, s *step) (body *value) {
	for _, m := range v.members {
		if !slices.Contains(kindNames, m.name.text) {
			continue
		}
		if s.kind != "" {
			p.add(m.name.place, "a step does one thing; this one has both %s and %s", s.kind, m.name.text).Suggestion = "make two steps of it"
			return nil
		}
		s.kind, body = m.name.text, m.value
	}
	if s.kind != "" {
		return body
	}
	for _, m := range v.members {
		if !slices.Contains(common, m.name.text) && m.name.text != "else" {
			p.add(m.name.place, "there is no kind of step %q", m.name.text).near(m.name.text, slices.Concat(kindNames, common))
			return nil
		}
	}
	p.add(v.place, "the step does nothing").Suggestion = fmt.Sprintf("give it one of %q", kindNames)
	return nil
}

// identify gives the step its name.
func (p *parser) identify(o *object, s *step) {
	s.node = s.kind + "@" + strconv.Itoa(len(p.all))
	v := o.get("id")
	if v == nil {
		return
	}
	id := p.name(v, stepName, "an id begins with a letter and has letters, digits and _, so that expressions can use it")
	switch old := p.steps[id]; {
	case id == "":
		return
	case old != nil:
		p.add(v.place, "the id %q is taken by the step in line %d", id, old.line)
		return
	case slices.Contains(reserved, id) || id == "end":
		p.add(v.place, "%q means something else in a flow; choose another id", id)
		return
	}
	if b, _ := s.scope.find(id); b != nil {
		p.add(v.place, "%q stands for something else here; choose another id", id)
		return
	}
	s.id, s.node = id, id
	p.steps[id] = s
	s.scope.names[id] = &binding{kind: 's', path: []string{id}, steps: []*step{s}, place: v.place}
}

// refine reads the members that every step may have.
func (p *parser) refine(o *object, s *step) {
	if v := o.get("next"); v != nil {
		s.next = p.jump(v, s)
	}
	if v := o.get("on_error"); v != nil {
		s.onError = p.handler(v, s)
	}
	if v := o.get("on_timeout"); v != nil {
		s.onTimeout = p.handler(v, s)
	}
	s.timeout, s.attempt = o.duration("timeout"), o.duration("attempt_timeout")
	only := func(name string, ok bool, why string) {
		if v := o.get(name); v != nil && !ok {
			p.add(v.place, "%s does not go with a %s step: %s", name, s.kind, why)
		}
	}
	tried := slices.Contains(handled, s.kind)
	only("retry", tried, "it is for steps that handlers carry out")
	only("delivery", tried && s.kind != "tool", "it is for steps that handlers carry out, and a tool says itself what a second call does")
	only("attempt_timeout", tried, "it is for steps that handlers carry out")
	_, one := s.do.(*effect)
	if _, more := s.do.(*several); more {
		one = true
	}
	why := "put it on the steps inside, or beside them in a parallel branch that waits, with join: first"
	only("timeout", one, why)
	only("on_timeout", one, why)
	switch s.do.(type) {
	case *giveBack, *goOn:
		only("next", false, "nothing comes after it")
	}
	if o.oneOf("delivery", "at_least_once", "at_most_once") == "at_most_once" {
		s.once = true
	}
	if v := o.get("retry"); v != nil {
		s.retry = p.retry(v)
	}
}

func (p *parser) retry(v *value) *bide.RetryPolicy {
	o := p.object(v, "retry", "attempts", "backoff", "max", "factor", "jitter")
	policy := &bide.RetryPolicy{Attempts: o.whole("attempts", 1, 1000), Factor: o.float("factor", 1, 100)}
	if o.get("jitter") != nil {
		if policy.Jitter = o.float("jitter", 0, 1); policy.Jitter == 0 {
			policy.Jitter = -1
		}
	}
	for name, to := range map[string]*bide.Duration{"backoff": &policy.Backoff, "max": &policy.Max} {
		d := o.duration(name)
		if d == nil {
			continue
		}
		if d.text != nil {
			p.add(o.get(name).place, "%s is fixed, such as 2s", name)
		}
		*to = bide.Duration(d.fixed)
	}
	return policy
}

// jump reads the id of a step to go to.
func (p *parser) jump(v *value, s *step) *handler {
	h := &handler{place: v.place, to: v.text, from: p.doc.steps}
	if s != nil {
		h.from = s.in
	}
	if v.kind != '"' {
		p.add(v.place, "the id of a step is needed here, not %s", v.what())
		return nil
	}
	p.jumps = append(p.jumps, h)
	return h
}

// handler reads what happens after an error or a timeout: the id of a step, or steps.
func (p *parser) handler(v *value, s *step) *handler {
	if v.kind == '[' {
		return &handler{place: v.place, block: p.block(v, s), from: nil}
	}
	return p.jump(v, s)
}
