package bide

import (
	"bytes"
	"slices"
)

// Redactor replaces what must not be kept, before anything is recorded, as the one
// of package redact does. The run goes on with what was recorded: nodes, handlers and people see the
// replacement too, so that a replay sees what the run saw. Redact must give the same for the same, and leave
// alone what it gave.
type Redactor interface {
	// Redact returns what is recorded in place of a value; the value itself when
	// there is nothing to replace.
	Redact(at RedactAt, value JSON) JSON
}

// RedactAt says where a value is on its way to.
type RedactAt struct {
	Workflow string
	// Effect is the type of the effect that the value is given to or comes from; empty for what
	// belongs to none, "*" when it is not known.
	Effect string
	// Path is where in vars the value goes; empty when it goes to none.
	Path string
}

// redaction applies a redactor to what one record holds. Nothing of the caller's is changed in place.
type redaction struct {
	by       Redactor
	workflow string
}

func (r redaction) value(effect, path string, v JSON) JSON {
	if len(v) == 0 {
		return v
	}
	return r.by.Redact(RedactAt{Workflow: r.workflow, Effect: effect, Path: path}, v)
}

func (r redaction) text(effect, s string) string {
	if s == "" {
		return s
	}
	before := appendString(nil, s)
	after := r.value(effect, "", before)
	if bytes.Equal(before, after) {
		return s
	}
	var out string
	if decodeOwn(after, &out) != nil {
		return string(after)
	}
	return out
}

func (r redaction) writes(effect string, ws []Write) []Write {
	ws = slices.Clone(ws)
	for i := range ws {
		ws[i].Value = r.value(effect, ws[i].Path, ws[i].Value)
	}
	return ws
}

func (r redaction) failure(effect string, f *Failure) {
	if f != nil {
		f.Message, f.Stack = r.text(effect, f.Message), r.text(effect, f.Stack)
	}
}

func (r redaction) plan(p *StepPlan) {
	p.Writes, p.Effects = r.writes("", p.Writes), slices.Clone(p.Effects)
	for i := range p.Effects {
		e := &p.Effects[i]
		e.Payload = r.value(e.Type, "", e.Payload)
	}
	p.Exit.Output = r.value("", "", p.Exit.Output)
	if p.Exit.Fail != nil {
		f := *p.Exit.Fail
		r.failure("", &f)
		p.Exit.Fail = &f
	}
}

// decision redacts what a node decides.
func (r redaction) decision(plan *StepPlan, failure *Failure) {
	if plan != nil {
		r.plan(plan)
	}
	r.failure("", failure)
}

func (r redaction) wait(effect string, w *Wait) {
	w.Message, w.Choices, w.Items = r.text(effect, w.Message), slices.Clone(w.Choices), slices.Clone(w.Items)
	for i := range w.Choices {
		w.Choices[i] = r.text(effect, w.Choices[i])
	}
	for i := range w.Items {
		item := &w.Items[i]
		item.Args, item.Reason = r.value(effect, "", item.Args), r.text(effect, item.Reason)
	}
	w.Details, w.State, w.Default = r.value(effect, "", w.Details), r.value(effect, "", w.State), r.value(effect, "", w.Default)
}

// redact replaces, in the data of a record that is about to be made, what must not be kept.
func (m *machine) redact(data any) {
	if m.redactor == nil {
		return
	}
	r := redaction{m.redactor, m.run.Workflow}
	switch d := data.(type) {
	case *RunStarted:
		r.workflow = d.Workflow
		d.Input = r.value("", "input", d.Input)
	case *RunForked:
		d.Writes = r.writes("", d.Writes)
	case *StepPlanned:
		r.plan(&d.Plan)
	case *StepFailed:
		r.failure("", &d.Error)
	case *EffectCompleted:
		e := m.effect(d.Effect)
		d.Result, d.Writes = r.value(e.Type, e.Result, d.Result), r.writes(e.Type, d.Writes)
	case *EffectFailed:
		e := m.effect(d.Effect)
		r.failure(e.Type, &d.Error)
		d.Result = r.value(e.Type, e.Result, d.Result)
	case *EffectInterrupted:
		d.Message = r.text(m.effect(d.Effect).Type, d.Message)
	case *EffectLate:
		d.Result = r.value("*", "", d.Result)
		if d.Error != nil {
			f := *d.Error
			r.failure("*", &f)
			d.Error = &f
		}
	case *Wait:
		r.wait(m.effect(d.Effect).Type, d)
	case *WaitResolved:
		if w := m.run.Wait(d.WaitID); w != nil {
			e := m.effect(w.Effect)
			d.Answer = r.value(e.Type, e.Result, d.Answer)
		}
	case *RunContinued:
		d.Input = r.value("", "input", d.Input)
	case *RunCompleted:
		d.Output = r.value("", "", d.Output)
	case *RunFailed:
		r.failure("", &d.Error)
	}
}

// effect is an effect of the current step; a blank one when there is none.
func (m *machine) effect(i int) Effect {
	if i < 0 || i >= len(m.run.Effects) {
		return Effect{}
	}
	return m.run.Effects[i].Effect
}

// redact replaces what must not be kept in a value that comes from outside.
func (rt *Runtime) redact(at RedactAt, value JSON) JSON {
	if rt.opts.Redact == nil {
		return value
	}
	return rt.opts.Redact.Redact(at, value)
}
