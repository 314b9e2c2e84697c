package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object reads the members of an object.
type object struct {
	p    *parser
	v    *value
	what string
}

// object checks that v is an object with no members but those named.
func (p *parser) object(v *value, what string, names ...string) *object {
	o := &object{p, v, what}
	if v.kind != '{' {
		p.add(v.place, "%s is an object, not %s", what, v.what())
		return o
	}
	for _, m := range v.members {
		if !slices.Contains(names, m.name.text) {
			fault := p.add(m.name.place, "%s has no member %q", what, m.name.text)
			if fault.near(m.name.text, names); fault.Suggestion == "" {
				fault.Suggestion = "it has " + strings.Join(names, ", ")
			}
		}
	}
	return o
}

func (o *object) get(name string) *value { return o.v.get(name) }

// required returns a member, or reports that it is missing.
func (o *object) required(name string) *value {
	v := o.v.get(name)
	if v == nil && o.v.kind == '{' {
		o.p.add(o.v.place, "%s needs the member %q", o.what, name)
	}
	return v
}

// text reads a string that is taken as it is; a number or a boolean is taken as its text.
func (o *object) text(name string) string {
	v := o.get(name)
	switch {
	case v == nil:
		return ""
	case v.kind == '{' || v.kind == '[' || v.kind == 'n':
		o.p.add(v.place, "%s is text, not %s", name, v.what())
		return ""
	}
	return v.text
}

// oneOf reads a string that is one of choices.
func (o *object) oneOf(name string, choices ...string) string {
	v := o.get(name)
	if v == nil {
		return ""
	}
	if v.kind != '"' || !slices.Contains(choices, v.text) {
		o.p.add(v.place, "%s is one of %q, not %s", name, choices, v.what()).near(v.text, choices)
		return ""
	}
	return v.text
}

// whole reads a whole number between two bounds.
func (o *object) whole(name string, low, high int) int {
	v := o.get(name)
	if v == nil {
		return 0
	}
	n, err := strconv.Atoi(v.text)
	if v.kind != '0' || err != nil || n < low || n > high {
		o.p.add(v.place, "%s is a whole number from %d to %d, not %s", name, low, high, v.what())
		return 0
	}
	return n
}

// float reads a number between two bounds.
func (o *object) float(name string, low, high float64) float64 {
	v := o.get(name)
	if v == nil {
		return 0
	}
	x, err := strconv.ParseFloat(v.text, 64)
	if v.kind != '0' || err != nil || x < low || x > high {
		o.p.add(v.place, "%s is a number from %g to %g, not %s", name, low, high, v.what())
		return 0
	}
	return x
}

// yes reads true or false.
func (o *object) yes(name string) bool {
	v := o.get(name)
	if v == nil {
		return false
	}
	if v.kind != 't' {
		o.p.add(v.place, "%s is true or false, not %s", name, v.what())
	}
	return v.text == "true"
}

// template reads a value with expressions, or returns nil.
func (o *object) template(name string) *template {
	if v := o.get(name); v != nil {
		return o.p.template(v)
	}
	return nil
}

// textTemplate reads a string with expressions, or returns nil.
func (o *object) textTemplate(name string) *template {
	v := o.get(name)
	if v == nil {
		return nil
	}
	if v.kind == '{' || v.kind == '[' || v.kind == 'n' {
		o.p.add(v.place, "%s is text, not %s", name, v.what())
		return nil
	}
	return o.p.template(v)
}

// duration is a length of time, fixed or from an expression.
type duration struct {
	fixed time.Duration
	text  *template
}

func (o *object) duration(name string) *duration {
	if v := o.get(name); v != nil {
		return o.p.duration(v)
	}
	return nil
}

func (p *parser) duration(v *value) *duration {
	if v.kind != '"' {
		p.add(v.place, "a duration is written like 30s, 5m or 24h, not %s", v.what())
		return nil
	}
	t := p.template(v)
	s, ok := t.fixed()
	if !ok {
		return &duration{text: t}
	}
	d, err := parseDuration(s)
	if err != nil {
		p.add(v.place, "%v", err)
	}
	return &duration{fixed: d}
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration; write it like 30s, 5m or 24h (there are no days: 168h is a week)", s)
	case d < 0:
		return 0, fmt.Errorf("the duration %s is negative", s)
	}
	return d, nil
}

// get evaluates the duration; nil is none.
func (d *duration) get(r *reading) (time.Duration, error) {
	if d == nil || d.text == nil {
		if d == nil {
			return 0, nil
		}
		return d.fixed, nil
	}
	s, err := d.text.str(r)
	if err != nil {
		return 0, err
	}
	return parseDuration(s)
}

// isFixed says whether a text holds no expression.
func isFixed(s string) bool { return !strings.Contains(s, "{{") }
