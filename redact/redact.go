// Package redact replaces what must not be kept, by rules, before a run records it:
// card numbers, addresses, members of a document by their path. What was replaced is visible as
// "[redacted:NAME]", with the name of the rule; the value is nowhere, and nobody, the workflow included,
// can use it later.
//
// It knows values and rules, and nothing of where a value is kept.
package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bide-dev/bide"
)

// Rule says what to replace: exactly one of Path and Pattern.
type Rule struct {
	// Name is what is left to see: letters, digits and ._-.
	Name string `json:"name"`
	// Path names members of values by their names from the top, with dots: "patient.ssn". "*" stands for
	// any one name or place in a list, "**" for any number of them: "**.password". The value there is replaced
	// whole. What is written to vars is also found by its path from the top of vars.
	Path string `json:"path,omitempty"`
	// Pattern is a regular expression (RE2) for parts of texts, numbers and names of members, or one of
	// the words card (payment cards, with their check digit), email and iban (with its check digits).
	Pattern string `json:"pattern,omitempty"`
	// Workflow and Effect limit the rule to a workflow and to what is given to and comes from effects of a type.
	// Default to all.
	Workflow string `json:"workflow,omitempty"`
	Effect   string `json:"effect,omitempty"`
}

// Redactor replaces by rules.
type Redactor struct{ rules []rule }

var _ bide.Redactor = (*Redactor)(nil)

type rule struct {
	Rule
	marker string
	path   []string
	find   *regexp.Regexp
	valid  func(string) bool // nil lets every match count
}

var ruleName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// New returns a redactor for rules, which are applied in their order. It fails with bide.ErrInvalidInput,
// naming the rule, when one cannot be used.
func New(rules ...Rule) (*Redactor, error) {
	r := &Redactor{}
	for i, one := range rules {
		made, err := compile(one)
		if err != nil {
			return nil, bide.Errorf(bide.CodeInvalidInput, "rule %d, %q, cannot be used: %w", i+1, one.Name, err)
		}
		r.rules = append(r.rules, made)
	}
	return r, nil
}

// Parse reads a JSON list of rules and returns the redactor for them. It fails as New does, and when a
// member is not known.
func Parse(text []byte) (*Redactor, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var rules []Rule
	if err := dec.Decode(&rules); err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the rules are a list of objects with name, path or pattern, workflow and effect: %w", err)
	}
	return New(rules...)
}

func compile(in Rule) (r rule, err error) {
	r = rule{Rule: in, marker: "[redacted:" + in.Name + "]"}
	switch {
	case !ruleName.MatchString(in.Name):
		return r, fmt.Errorf("the name has letters, digits and ._-, at most 64")
	case (in.Path == "") == (in.Pattern == ""):
		return r, fmt.Errorf("exactly one of path and pattern is needed")
	case in.Path != "":
		r.path = strings.Split(in.Path, ".")
		for _, part := range r.path {
			if part == "" {
				return r, fmt.Errorf("the path %q has an empty name", in.Path)
			}
		}
		return r, nil
	}
	if known, ok := patterns[in.Pattern]; ok {
		r.find, r.valid = known.find, known.valid
		return r, nil
	}
	if r.find, err = regexp.Compile(in.Pattern); err != nil {
		return r, err
	}
	if r.find.MatchString("") || r.find.MatchString(r.marker) {
		return r, fmt.Errorf("the pattern %q fits nothing at all, or what it leaves behind", in.Pattern)
	}
	return r, nil
}

// Redact implements bide.Redactor.
func (r *Redactor) Redact(at bide.RedactAt, value bide.JSON) bide.JSON {
	w := &walk{dec: jsontext.NewDecoder(bytes.NewReader(value))}
	for _, one := range r.rules {
		if (one.Workflow == "" || at.Workflow == "" || one.Workflow == at.Workflow) && (one.Effect == "" || at.Effect == "*" || one.Effect == at.Effect) {
			w.rules = append(w.rules, one)
		}
	}
	if len(w.rules) == 0 {
		return value
	}
	var out bytes.Buffer
	w.enc = jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true))
	if at.Path != "" {
		w.prefix = strings.Split(at.Path, ".")
	}
	if err := w.value(nil); err != nil {
		return unreadable // it is not JSON: nothing of it is kept
	}
	if !w.changed {
		return value
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// unreadable stands for what cannot be looked into.
var unreadable = bide.JSON(`"[redacted]"`)

// walk copies a value and replaces parts of it.
type walk struct {
	dec     *jsontext.Decoder
	enc     *jsontext.Encoder
	rules   []rule
	prefix  []string // where in vars the value goes
	changed bool
}

func (w *walk) value(path []string) error {
	for _, r := range w.rules {
		if r.path != nil && (matches(r.path, path) || w.prefix != nil && matches(r.path, append(w.prefix[:len(w.prefix):len(w.prefix)], path...))) {
			return w.replace(r.marker)
		}
	}
	switch w.dec.PeekKind() {
	case '{', '[':
		return w.members(path)
	case '"':
		tok, err := w.dec.ReadToken()
		if err != nil {
			return err
		}
		return w.enc.WriteToken(jsontext.String(w.text(tok.String())))
	case '0':
		raw, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		if after := w.text(string(raw)); after != string(raw) {
			return w.enc.WriteToken(jsontext.String(after))
		}
		return w.enc.WriteValue(raw)
	}
	raw, err := w.dec.ReadValue()
	if err != nil {
		return err
	}
	return w.enc.WriteValue(raw)
}

// replace writes the marker of a rule in place of the next value.
func (w *walk) replace(marker string) error {
	raw, err := w.dec.ReadValue()
	if err != nil {
		return err
	}
	var was string
	if json.Unmarshal(raw, &was) != nil || was != marker {
		w.changed = true
	}
	return w.enc.WriteToken(jsontext.String(marker))
}

// members copies an object or a list.
func (w *walk) members(path []string) error {
	begin, err := w.dec.ReadToken()
	if err != nil {
		return err
	}
	object := begin.Kind() == '{'
	if err := w.enc.WriteToken(begin); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := 0; w.dec.PeekKind() != '}' && w.dec.PeekKind() != ']'; i++ {
		name := fmt.Sprint(i)
		if object {
			tok, err := w.dec.ReadToken()
			if err != nil {
				return err
			}
			name = tok.String()
			if err := w.enc.WriteToken(jsontext.String(w.name(name, seen))); err != nil {
				return err
			}
		}
		if err := w.value(append(path[:len(path):len(path)], name)); err != nil {
			return err
		}
	}
	end, err := w.dec.ReadToken()
	if err != nil {
		return err
	}
	return w.enc.WriteToken(end)
}

// name replaces parts of a member's name; no two members of an object have the same one.
func (w *walk) name(s string, seen map[string]bool) string {
	out := w.text(s)
	for n := 2; seen[out]; n++ {
		out = fmt.Sprintf("%s#%d", w.text(s), n)
	}
	seen[out] = true
	return out
}

func (w *walk) text(s string) string {
	for _, r := range w.rules {
		if r.find == nil {
			continue
		}
		after := r.find.ReplaceAllStringFunc(s, func(part string) string {
			if r.valid != nil && !r.valid(part) {
				return part
			}
			return r.marker
		})
		w.changed = w.changed || after != s
		s = after
	}
	return s
}

// matches reports whether a path fits a pattern of one.
func matches(pattern, path []string) bool {
	for i, part := range pattern {
		if part == "**" {
			for skip := i; skip <= len(path); skip++ {
				if matches(pattern[i+1:], path[skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(path) || part != "*" && part != path[i] {
			return false
		}
	}
	return len(path) == len(pattern)
}
