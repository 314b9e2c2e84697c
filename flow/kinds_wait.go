package flow

import (
	"fmt"
	"time"

	"github.com/bide-dev/bide"
)

func (p *parser) readAsk(v *value) kind {
	if v.kind == '"' {
		prompt := p.template(v)
		return &effect{func(r *reading) (bide.Effect, error) {
			text, err := prompt.str(r)
			return bide.Ask(text, nil), err
		}}
	}
	o := p.object(v, "ask", "prompt", "choices", "free_text", "assignees", "timeout", "on_timeout")
	o.required("prompt")
	prompt, choices, timeout, otherwise := o.textTemplate("prompt"), o.template("choices"), o.duration("timeout"), o.textTemplate("on_timeout")
	free, assignees := o.yes("free_text"), p.assignees(o)
	if c := o.get("choices"); c != nil && c.kind == '[' {
		p.checkChoices(c, o, free)
	}
	return &effect{func(r *reading) (bide.Effect, error) {
		text, err := prompt.str(r)
		if err != nil {
			return bide.Effect{}, err
		}
		opts := bide.AskOptions{FreeText: free}
		if opts.Choices, err = choices.strings(r, "choices"); err != nil {
			return bide.Effect{}, err
		}
		if opts.Assignees, err = assignees.people(r); err != nil {
			return bide.Effect{}, err
		}
		d, err := timeout.get(r)
		if err != nil {
			return bide.Effect{}, err
		}
		opts.Timeout = bide.Duration(d)
		if otherwise != nil {
			if opts.Default, err = otherwise.str(r); err != nil {
				return bide.Effect{}, err
			}
		}
		return bide.Ask(text, &opts), nil
	}}
}

// checkChoices checks what can be known of a question before it is asked.
func (p *parser) checkChoices(c *value, o *object, free bool) {
	names, fixed := []string{}, true
	for _, item := range c.items {
		if item.kind != '"' && item.kind != '0' {
			p.add(item.place, "a choice is text, not %s", item.what()).Suggestion = "put it in quotes"
		}
		names = append(names, item.text)
		fixed = fixed && isFixed(item.text)
	}
	if d := o.get("on_timeout"); d != nil && fixed && !free && isFixed(d.text) {
		for _, name := range names {
			if name == d.text {
				return
			}
		}
		p.add(d.place, "%q is not one of the choices", d.text).near(d.text, names)
	}
}

// assignees reads who may answer.
func (p *parser) assignees(o *object) *template {
	if a := o.get("assignees"); a != nil && a.kind != '[' && a.kind != '"' {
		p.add(a.place, "assignees is a list of actors and groups, not %s", a.what()).Suggestion = "write it like [ann, group:ops]"
	} else if a != nil && a.kind == '[' && len(a.items) == 0 {
		p.add(a.place, "assignees is empty: nobody could answer").Suggestion = "leave it out if everybody may"
	}
	return o.template("assignees")
}

// people evaluates to a list of actors and groups; nil is none. Nobody is not everybody: an empty list is an error.
func (t *template) people(r *reading) ([]string, error) {
	list, err := t.strings(r, "assignees")
	if t != nil && err == nil && len(list) == 0 {
		return nil, fmt.Errorf("assignees is empty: nobody could answer")
	}
	return list, err
}

// strings evaluates to a list of texts; nil is none.
func (t *template) strings(r *reading, what string) ([]string, error) {
	if t == nil {
		return nil, nil
	}
	v, err := t.eval(r)
	if err != nil {
		return nil, err
	}
	list, err := asList(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	out := make([]string, len(list))
	for i, item := range list {
		if out[i], err = text(item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *parser) readForm(v *value) kind {
	o := p.object(v, "form", "prompt", "schema", "assignees", "timeout", "on_timeout")
	o.required("prompt")
	prompt, timeout, otherwise := o.textTemplate("prompt"), o.duration("timeout"), o.template("on_timeout")
	schema, assignees := o.required("schema"), p.assignees(o)
	if schema == nil {
		return nil
	}
	p.checkSchema(schema)
	raw := bide.JSON(schema.canonical(nil))
	return &effect{func(r *reading) (bide.Effect, error) {
		text, err := prompt.str(r)
		if err != nil {
			return bide.Effect{}, err
		}
		var opts bide.FormOptions
		if opts.Assignees, err = assignees.people(r); err != nil {
			return bide.Effect{}, err
		}
		d, err := timeout.get(r)
		if err != nil {
			return bide.Effect{}, err
		}
		opts.Timeout = bide.Duration(d)
		if otherwise != nil {
			if opts.Default, err = otherwise.eval(r); err != nil {
				return bide.Effect{}, err
			}
		}
		return bide.Form(text, raw, &opts), nil
	}}
}

func (p *parser) readSay(v *value) kind {
	if v.kind == '{' || v.kind == '[' {
		p.add(v.place, "say takes a text, not %s", v.what())
		return nil
	}
	message := p.template(v)
	return &effect{func(r *reading) (bide.Effect, error) {
		text, err := message.str(r)
		return bide.Tell(text), err
	}}
}

func (p *parser) readWait(v *value) kind {
	var length *duration
	var until *template
	if v.kind == '"' {
		length = p.duration(v)
	} else {
		o := p.object(v, "wait", "for", "until")
		length, until = o.duration("for"), o.textTemplate("until")
		if v.kind == '{' && (o.get("for") == nil) == (o.get("until") == nil) {
			p.add(v.place, "wait needs exactly one of for and until")
		}
		if until != nil {
			if s, ok := until.fixed(); ok {
				if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
					p.add(o.get("until").place, "%q is not a time with a zone; write it like 2026-11-22T10:00:00Z", s)
				}
			}
		}
	}
	return &effect{func(r *reading) (bide.Effect, error) {
		if until != nil {
			text, err := until.str(r)
			return bide.SleepUntilText(text), err
		}
		d, err := length.get(r)
		return bide.SleepFor(d), err
	}}
}

// scopes are for whom an event is.
var scopes = []string{"run", "session", "workflow", "global"}

func (p *parser) readWaitEvent(v *value) kind {
	var name *template
	opts := bide.EventOptions{}
	if v.kind == '"' {
		name = p.template(v)
	} else {
		o := p.object(v, "wait_event", "name", "scope")
		o.required("name")
		name = o.textTemplate("name")
		opts.Scope = bide.Scope(o.oneOf("scope", scopes...))
	}
	return &effect{func(r *reading) (bide.Effect, error) {
		text, err := name.str(r)
		return bide.WaitEvent(text, &opts), err
	}}
}

func (p *parser) readJob(v *value, s *step) kind {
	o := p.object(v, "job", "key", "details")
	key, details := o.textTemplate("key"), o.template("details")
	return &effect{func(r *reading) (bide.Effect, error) {
		name := s.node
		var about any
		var err error
		if key != nil {
			if name, err = key.str(r); err != nil {
				return bide.Effect{}, err
			}
		}
		if details != nil {
			about, err = details.eval(r)
		}
		return bide.Job(name, about), err
	}}
}
