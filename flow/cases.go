package flow

import (
	"encoding/json"
	"time"
)

// Cases are what a document is tested with. flow/flowtest runs them.
type Cases struct {
	List []Case
}

// Case is one run of a document with what happens around it, and what is expected of it.
type Case struct {
	Name  string
	Line  int // where it begins in the file
	Input json.RawMessage
	Env   map[string]string
	// Secrets by name.
	Secrets map[string]string
	// Answers are given to questions, forms, jobs and attention waits, by the step that asks: the first to its first wait,
	// and so on; the last to all that follow.
	Answers map[string][]CaseAnswer
	// Effects are what handlers do, by the step that calls, in order. The last one is done again and again.
	Effects map[string][]CaseEffect
	// Flows are the outputs of child flows, by the name of the flow.
	Flows map[string]CaseEffect
	// Events are sent when something waits for an event of their name, in order.
	Events []CaseEvent
	Expect Expectation
}

// CaseAnswer is an answer, and how long it takes.
type CaseAnswer struct {
	After  time.Duration
	Answer json.RawMessage
}

// CaseEffect is the result of an attempt, or its error.
type CaseEffect struct {
	Result json.RawMessage
	// Code and Error are of a failure; nothing is one that has neither.
	Code, Error string
	Permanent   bool
}

// CaseEvent is an event, and how long it takes.
type CaseEvent struct {
	Name    string
	After   time.Duration
	Payload json.RawMessage
}

// Expectation is what a case must come to. Nil and empty fields are not compared.
type Expectation struct {
	Status string // completed by default
	Output json.RawMessage
	Error  string   // the code of the failure
	Steps  []string // that did something, in order: ids, or kinds for steps without
	Said   []string // what say steps said, in order
	Took   *time.Duration
}

// ParseCases reads a file of cases. When anything is wrong with it, the error is an *Error that lists every fault.
func ParseCases(name string, src []byte) (*Cases, error) {
	p := &parser{faults: faults{file: name}}
	out := &Cases{}
	root := p.read(src)
	if root == nil {
		return nil, p.err()
	}
	o := p.object(root, "a file of cases", "bide", "cases")
	if v := o.required("bide"); v != nil && (v.kind != '0' || v.text != "1") {
		p.add(v.place, "the version of the format is 1, not %s", v.what())
	}
	if v := o.required("cases"); v != nil {
		if v.kind != '[' || len(v.items) == 0 {
			p.add(v.place, "cases is a list, not %s", v.what())
		}
		names := map[string]bool{}
		for _, item := range v.items {
			c := p.readCase(item)
			if names[c.Name] {
				p.add(item.place, "there are two cases %q", c.Name)
			}
			names[c.Name] = true
			out.List = append(out.List, c)
		}
	}
	return out, p.err()
}

func (p *parser) readCase(v *value) (c Case) {
	o := p.object(v, "a case", "name", "input", "env", "secrets", "answers", "effects", "flows", "events", "expect")
	o.required("name")
	c = Case{Name: o.text("name"), Line: v.line, Input: json.RawMessage("null"), Env: o.texts("env"), Secrets: o.texts("secrets"),
		Answers: map[string][]CaseAnswer{}, Effects: map[string][]CaseEffect{}, Flows: map[string]CaseEffect{}}
	if in := o.get("input"); in != nil {
		c.Input = in.canonical(nil)
	}
	o.each("answers", func(name string, v *value) { c.Answers[name] = append(c.Answers[name], p.caseAnswer(v)) })
	o.each("effects", func(name string, v *value) { c.Effects[name] = append(c.Effects[name], p.caseEffect(v)) })
	if flows := o.get("flows"); flows != nil && flows.kind == '{' {
		for _, m := range flows.members {
			c.Flows[m.name.text] = p.caseEffect(m.value)
		}
	}
	if events := o.get("events"); events != nil {
		for _, item := range events.items {
			e := p.object(item, "an event", "name", "after", "payload")
			e.required("name")
			event := CaseEvent{Name: e.text("name"), After: e.fixedDuration("after"), Payload: json.RawMessage("null")}
			if payload := e.get("payload"); payload != nil {
				event.Payload = payload.canonical(nil)
			}
			c.Events = append(c.Events, event)
		}
	}
	if e := o.required("expect"); e != nil {
		c.Expect = p.expectation(e)
	}
	return c
}

// each calls do for every value of a member's members, or for every item of them that are lists.
func (o *object) each(name string, do func(name string, v *value)) {
	v := o.get(name)
	if v == nil {
		return
	}
	if v.kind != '{' {
		o.p.add(v.place, "%s is an object of steps, not %s", name, v.what())
	}
	for _, m := range v.members {
		if m.kind != '[' {
			do(m.name.text, m.value)
		}
		for _, item := range m.items {
			do(m.name.text, item)
		}
	}
}

// texts reads an object of texts.
func (o *object) texts(name string) map[string]string {
	out := map[string]string{}
	if v := o.get(name); v != nil {
		in := &object{o.p, v, name}
		for _, m := range v.members {
			out[m.name.text] = in.text(m.name.text)
		}
	}
	return out
}

func (o *object) fixedDuration(name string) time.Duration {
	d := o.duration(name)
	if d == nil {
		return 0
	}
	return d.fixed
}

// caseAnswer reads an answer: a value, or {after, answer}.
func (p *parser) caseAnswer(v *value) CaseAnswer {
	if v.kind != '{' || v.get("after") == nil {
		return CaseAnswer{Answer: v.canonical(nil)}
	}
	o := p.object(v, "an answer", "after", "answer")
	a := CaseAnswer{After: o.fixedDuration("after"), Answer: json.RawMessage("null")}
	if answer := o.required("answer"); answer != nil {
		a.Answer = answer.canonical(nil)
	}
	return a
}

func (p *parser) caseEffect(v *value) CaseEffect {
	o := p.object(v, "an effect", "result", "error", "code", "permanent")
	e := CaseEffect{Code: o.text("code"), Error: o.text("error"), Permanent: o.yes("permanent")}
	if r := o.get("result"); r != nil {
		e.Result = r.canonical(nil)
	}
	if v.kind == '{' && (e.Result == nil) == (o.get("error") == nil) {
		p.add(v.place, "an effect has either a result or an error")
	}
	return e
}

func (p *parser) expectation(v *value) Expectation {
	o := p.object(v, "expect", "status", "output", "error", "steps", "said", "took")
	e := Expectation{Status: o.oneOf("status", "completed", "failed", "waiting", "cancelled"), Error: o.text("error"), Steps: o.list("steps"), Said: o.list("said")}
	if out := o.get("output"); out != nil {
		e.Output = out.canonical(nil)
	}
	if o.get("took") != nil {
		d := o.fixedDuration("took")
		e.Took = &d
	}
	if e.Status == "" && e.Error == "" {
		e.Status = "completed"
	}
	return e
}

// list reads a list of texts; nil when there is none.
func (o *object) list(name string) []string {
	v := o.get(name)
	if v == nil {
		return nil
	}
	if v.kind != '[' {
		o.p.add(v.place, "%s is a list, not %s", name, v.what())
	}
	out := []string{}
	for _, item := range v.items {
		out = append(out, item.text)
	}
	return out
}
