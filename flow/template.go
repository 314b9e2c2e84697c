package flow

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// template is a value of a document whose strings may hold {{ expressions }}.
type template struct {
	raw   []byte      // the JSON, when nothing is to be evaluated
	expr  *expression // the whole string is one expression
	parts []part      // a string with expressions in it
	names []string    // an object
	items []*template // its values, or those of a list
	list  bool
	place place
}

// part is text or an expression in a string.
type part struct {
	text string
	expr *expression
}

// secretText stands for a string that cannot be known before its effect runs.
type secretText []secretPart

// secretPart is text, or the name of a secret.
type secretPart struct {
	Text   string `json:"text,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// template compiles a value. Expressions are read in the parser's scope.
func (p *parser) template(v *value) *template {
	t := &template{place: v.place}
	switch v.kind {
	case '{':
		fixed := true
		for _, m := range v.members {
			item := p.template(m.value)
			fixed = fixed && item.raw != nil
			t.names, t.items = append(t.names, m.name.text), append(t.items, item)
		}
		if fixed {
			t.raw = v.canonical(nil)
		}
	case '[':
		t.list = true
		fixed := true
		for _, item := range v.items {
			it := p.template(item)
			fixed = fixed && it.raw != nil
			t.items = append(t.items, it)
		}
		if fixed {
			t.raw = v.canonical(nil)
		}
	case '"':
		p.stringTemplate(t, v)
	default:
		t.raw = v.canonical(nil)
	}
	return t
}

func (p *parser) stringTemplate(t *template, v *value) {
	parts, ok := p.split(v)
	switch {
	case !ok:
		t.raw = []byte("null") // there is a fault, so it is never used
	case len(parts) == 0 || len(parts) == 1 && parts[0].expr == nil:
		s := ""
		if len(parts) == 1 {
			s = parts[0].text
		}
		t.raw = appendString(nil, s)
	case len(parts) == 1 && parts[0].expr.secret == "":
		t.expr = parts[0].expr
	default:
		t.parts = parts
	}
}

// split cuts a string at its {{ }}. A brace pair can be written as {{ "{{" }}.
func (p *parser) split(v *value) (parts []part, ok bool) {
	rest, offset := v.text, 0
	for {
		i := strings.Index(rest, "{{")
		if i < 0 {
			if rest != "" {
				parts = append(parts, part{text: rest})
			}
			return parts, true
		}
		if i > 0 {
			parts = append(parts, part{text: rest[:i]})
		}
		offset += utf8.RuneCountInString(rest[:i]) + 2
		rest = rest[i+2:]
		end := closing(rest)
		if end < 0 {
			p.add(v.at(offset-2), "{{ is not closed").Suggestion = `close it with }}, or write {{ "{{" }} for the braces themselves`
			return nil, false
		}
		e := p.expression(v, rest[:end], offset)
		if e == nil {
			return nil, false
		}
		parts = append(parts, part{expr: e})
		offset += utf8.RuneCountInString(rest[:end]) + 2
		rest = rest[end+2:]
	}
}

// closing finds the }} that ends an expression: not those in its strings or after an object's own braces.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'', '`':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' && c != '`' {
					i++
				}
			}
		case '{':
			depth++
		case '}':
			if depth > 0 {
				depth--
			} else if strings.HasPrefix(s[i:], "}}") {
				return i
			}
		}
	}
	return -1
}

// expression compiles text that begins offset characters into the string v.
func (p *parser) expression(v *value, text string, offset int) *expression {
	e, refs, err := compileExpression(text)
	if err != nil {
		fault := p.add(v.at(offset+err.offset), "%s", err.message)
		if err.word != "" {
			fault.near(err.word, err.names)
		}
		return nil
	}
	if e.secret != "" {
		if !p.secretsAllowed {
			p.add(v.at(offset), "a secret can be used only in http and exec steps, where it is looked up when the effect runs")
			return nil
		}
		p.secrets[e.secret] = true
	}
	for _, ref := range refs {
		ref.place, ref.scope, ref.node = v.at(offset+ref.offset), p.scope, p.node
		p.refs = append(p.refs, ref)
	}
	return e
}

// condition compiles a bare expression; {{ }} around it is allowed.
func (p *parser) condition(v *value) *expression {
	switch v.kind {
	case 't':
		return &expression{eval: constant(v.text == "true")}
	case '"':
	default:
		p.add(v.place, "a condition is an expression, not %s", v.what())
		return nil
	}
	text, offset := v.text, 0
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{{") && closing(trimmed[2:]) == len(trimmed)-4 {
		offset = strings.Index(text, "{{") + 2
		text = trimmed[2 : len(trimmed)-2]
	}
	allowed := p.secretsAllowed
	p.secretsAllowed = false
	defer func() { p.secretsAllowed = allowed }()
	return p.expression(v, text, offset)
}

// eval evaluates the template to a value; strings with secrets in them are secretTexts.
func (t *template) eval(r *reading) (any, error) {
	f := &frame{reading: r}
	return t.value(f)
}

func (t *template) value(f *frame) (any, error) {
	switch {
	case t.raw != nil:
		return decode(t.raw)
	case t.expr != nil:
		return f.evaluate(t.expr)
	case t.parts != nil:
		return f.join2(t.parts)
	case t.list:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			var err error
			if out[i], err = item.value(f); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	out := make(map[string]any, len(t.items))
	for i, item := range t.items {
		var err error
		if out[t.names[i]], err = item.value(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// evaluate evaluates an expression with an account of its own.
func (f *frame) evaluate(e *expression) (any, error) {
	f.work, f.bytes = 0, 0
	return e.eval(f)
}

// join2 joins the parts of a string.
func (f *frame) join2(parts []part) (any, error) {
	var b strings.Builder
	var secret secretText
	for _, p := range parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		if p.expr.secret != "" {
			if b.Len() > 0 {
				secret = append(secret, secretPart{Text: b.String()})
				b.Reset()
			}
			secret = append(secret, secretPart{Secret: p.expr.secret})
			continue
		}
		v, err := f.evaluate(p.expr)
		if err != nil {
			return nil, err
		}
		s, err := text(v)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	if secret == nil {
		return b.String(), nil
	}
	if b.Len() > 0 {
		secret = append(secret, secretPart{Text: b.String()})
	}
	return secret, nil
}

// test evaluates a condition.
func (e *expression) test(r *reading) (bool, error) {
	f := &frame{reading: r}
	return truth(f.evaluate(e))
}

// secretAt is a place in a payload where a string with secrets goes, as a JSON pointer.
type secretAt struct {
	At    string       `json:"at"`
	Parts []secretPart `json:"parts"`
}

// hide takes the strings with secrets out of v and returns where they go.
func hide(v any, at string) (any, []secretAt) {
	var found []secretAt
	switch v := v.(type) {
	case secretText:
		return nil, []secretAt{{at, v}}
	case []any:
		for i := range v {
			inner, in := hide(v[i], at+"/"+strconv.Itoa(i))
			if in != nil {
				v[i] = inner
			}
			found = append(found, in...)
		}
	case map[string]any:
		for _, name := range sortedNames(v) {
			inner, in := hide(v[name], at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
			if in != nil {
				v[name] = inner
			}
			found = append(found, in...)
		}
	}
	return v, found
}

// fixed returns the text of a template that is a plain string.
func (t *template) fixed() (string, bool) {
	if t.raw == nil {
		return "", false
	}
	v, err := decode(t.raw)
	s, ok := v.(string)
	return s, ok && err == nil
}

// str evaluates to a string: numbers and others as they stand in text.
func (t *template) str(r *reading) (string, error) {
	v, err := t.eval(r)
	if err != nil {
		return "", err
	}
	if _, ok := v.(secretText); ok {
		return "", fmt.Errorf("a secret cannot be used here")
	}
	return text(v)
}
