package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// Doc is a document that was found to be without fault. It does not change, and may be used from
// many goroutines.
type Doc struct {
	id, title, version string
	source             []byte
	canonical          []byte
	schema             json.RawMessage
	input              *inputCheck
	env                []EnvVar
	secrets            []string
	calls              calls
	timeout            time.Duration
	output             *template
	steps              *block
	onError            *handler
	scope              *scope
	graph              *graph
	cache              cache
	warnings           []Fault
}

// EnvVar is a setting that a document declares.
type EnvVar struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Default     *string `json:"default,omitempty"` // nil when a value must be given
}

// calls is what a document needs of others.
type calls struct{ flows, tools, models, effects map[string]bool }

// ID is the name of the flow, and of its workflow.
func (d *Doc) ID() string { return d.id }

// Title is what the document says it is, or empty.
func (d *Doc) Title() string { return d.title }

// Label is the version that the author gave it, for people; or empty.
func (d *Doc) Label() string { return d.version }

// Version is the content hash: 32 hexadecimal digits of the SHA-256 of the document in its canonical form,
// JSON with sorted members. Comments and layout do not count.
func (d *Doc) Version() string {
	sum := sha256.Sum256(d.canonical)
	return hex.EncodeToString(sum[:16])
}

// Source is the text that was parsed. It must not be changed.
func (d *Doc) Source() []byte { return d.source }

// Timeout is how long a run of the document may take, waits included; zero means forever.
func (d *Doc) Timeout() time.Duration { return d.timeout }

// InputSchema is the JSON Schema of the input, or nil when any input will do.
func (d *Doc) InputSchema() json.RawMessage { return d.schema }

// Env lists the settings that the document declares, by name.
func (d *Doc) Env() []EnvVar { return slices.Clone(d.env) }

// Secrets lists the names of the secrets that the document refers to.
func (d *Doc) Secrets() []string { return slices.Clone(d.secrets) }

// Flows lists the workflows that the document starts by a fixed name.
func (d *Doc) Flows() []string { return slices.Sorted(maps.Keys(d.calls.flows)) }

// Tools lists the tools that the document calls by a fixed name.
func (d *Doc) Tools() []string { return slices.Sorted(maps.Keys(d.calls.tools)) }

// Models lists the models that the document names.
func (d *Doc) Models() []string { return slices.Sorted(maps.Keys(d.calls.models)) }

// Effects lists the types of effects for which a handler is needed.
func (d *Doc) Effects() []string { return slices.Sorted(maps.Keys(d.calls.effects)) }

// parser reads a document.
type parser struct {
	faults
	doc            *Doc
	scope          *scope
	node           string // that evaluates the expressions being read
	refs           []*reference
	steps          map[string]*step // by id
	all            []*step          // in the order of the document
	sets           []assignment
	jumps          []*handler
	secretsAllowed bool
	secrets        map[string]bool
}

// assignment is a variable that a step sets.
type assignment struct {
	name  string
	step  *step
	place place
}

// Parse reads a document, in YAML or JSON. name is what faults call it. When anything is wrong
// with it, the error is an *Error that lists every fault.
func Parse(name string, src []byte) (*Doc, error) {
	p := &parser{faults: faults{file: name}, steps: map[string]*step{}, secrets: map[string]bool{}}
	root := p.read(src)
	if root == nil {
		return nil, p.err()
	}
	p.doc = &Doc{source: src, canonical: root.canonical(nil),
		calls: calls{flows: map[string]bool{}, tools: map[string]bool{}, models: map[string]bool{}, effects: map[string]bool{}}}
	p.scope = &scope{names: map[string]*binding{}}
	p.doc.scope = p.scope
	for _, name := range []string{"input", "env", "run", "error"} {
		p.scope.names[name] = &binding{kind: 'i', path: []string{name}}
	}
	p.document(root)
	p.declareVariables()
	p.resolve()
	if len(p.list) == 0 {
		p.fits(root)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	p.doc.graph = p.link()
	p.checkOrder()
	p.doc.secrets = slices.Sorted(maps.Keys(p.secrets))
	if err := p.err(); err != nil {
		return nil, err
	}
	p.lint()
	return p.doc, nil
}

// MustParse is Parse for documents that are part of a program; it panics on a fault.
func MustParse(name string, src []byte) *Doc { return bide.Must(Parse(name, src)) }

var (
	flowName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
	stepName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	typeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)
)

func (p *parser) document(root *value) {
	if root.kind != '{' {
		p.add(root.place, "a document is an object, not %s", root.what()).Suggestion = "begin with bide: 1"
		return
	}
	o := p.object(root, "a flow", "bide", "flow", "title", "version", "input", "env", "timeout", "steps", "output", "on_error")
	switch v := o.required("bide"); {
	case v == nil:
	case v.kind != '0' || v.text != "1":
		p.add(v.place, "the version of the format is 1, not %s", v.what())
	}
	if v := o.required("flow"); v != nil {
		p.doc.id = p.name(v, flowName, "the name of a flow begins with a letter and has letters, digits, - and _, at most 64")
		if p.doc.id == AgentWorkflow {
			p.add(v.place, "a flow cannot be called %q: that is the workflow of agent steps", AgentWorkflow).Suggestion = "give it another name, such as my_agent"
		}
	}
	p.doc.title, p.doc.version = o.text("title"), o.text("version")
	if v := o.get("input"); v != nil {
		p.inputSchema(v)
	}
	if v := o.get("env"); v != nil {
		p.environment(v)
	}
	if d := o.duration("timeout"); d != nil {
		p.doc.timeout = d.fixed
		if d.text != nil {
			p.add(o.get("timeout").place, "the timeout of a flow is fixed, such as 24h")
		}
	}
	if v := o.required("steps"); v != nil {
		p.doc.steps = p.block(v, nil)
	}
	if v := o.get("on_error"); v != nil {
		p.doc.onError = p.handler(v, nil)
	}
	if v := o.get("output"); v != nil {
		p.node = nodeEnd
		p.doc.output = p.template(v)
	}
}

// name reads a string that fits a pattern.
func (p *parser) name(v *value, pattern *regexp.Regexp, rule string) string {
	if v.kind != '"' {
		p.add(v.place, "a name is needed here, not %s", v.what())
		return ""
	}
	if !pattern.MatchString(v.text) {
		p.add(v.place, "%q cannot be used: %s", v.text, rule)
		return ""
	}
	return v.text
}

func (p *parser) environment(v *value) {
	if v.kind != '{' {
		p.add(v.place, "env is an object of names and their defaults, not %s", v.what())
		return
	}
	for _, m := range v.members {
		e := EnvVar{Name: p.name(m.name, stepName, "the name of a setting has letters, digits and _")}
		def := m.value
		if m.kind == '{' {
			o := p.object(m.value, "a setting", "default", "description")
			e.Description, def = o.text("description"), o.get("default")
		}
		switch {
		case def == nil || def.kind == 'n':
		case def.kind == '{' || def.kind == '[':
			p.add(def.place, "a setting is text, not %s", def.what())
		default:
			e.Default = &def.text
		}
		p.doc.env = append(p.doc.env, e)
	}
	slices.SortFunc(p.doc.env, func(a, b EnvVar) int { return map[bool]int{true: -1, false: 1}[a.Name < b.Name] })
}

// declareVariables gives every variable its place: that of the outermost body that sets it.
func (p *parser) declareVariables() {
	depth := func(s *scope) (n int) {
		for ; s.parent != nil; s = s.parent {
			n++
		}
		return n
	}
	slices.SortStableFunc(p.sets, func(a, b assignment) int { return depth(a.step.scope) - depth(b.step.scope) })
	for _, a := range p.sets {
		b, owner := a.step.scope.find(a.name)
		switch {
		case b == nil:
			a.step.scope.names[a.name] = &binding{kind: 'v', path: []string{a.name}, steps: []*step{a.step}, place: a.place}
			continue
		case b.kind == 's':
			p.add(a.place, "%q is the id of a step; a variable needs another name", a.name)
		case b.kind != 'v':
			p.add(a.place, "%q stands for something else here; a variable needs another name", a.name)
		}
		for s := a.step.scope; s != owner; s = s.parent {
			if s.child {
				p.add(a.place, "%q belongs to the outside; a branch or concurrent body cannot set it", a.name).Suggestion = "give it back as output or with return"
				break
			}
		}
		b.steps = append(b.steps, a.step)
	}
}

// resolve finds what every name stands for and where every jump goes.
func (p *parser) resolve() {
	for _, ref := range p.refs {
		if ref.resolve() {
			p.checkEnv(ref)
			continue
		}
		if s := p.steps[ref.name]; s != nil {
			p.add(ref.place, "step %q is inside of %q, and not known outside", ref.name, s.scope.from.name()).Suggestion = fmt.Sprintf("use the result of %q", s.scope.from.name())
			continue
		}
		p.add(ref.place, "there is no %q here", ref.name).near(ref.name, ref.scope.visible())
	}
	for _, h := range p.jumps {
		p.resolveJump(h)
	}
}

// checkEnv refuses settings that are not declared.
func (p *parser) checkEnv(ref *reference) {
	if ref.name != "env" || ref.bound.kind != 'i' || len(ref.chain) == 0 {
		return
	}
	names := []string{}
	for _, e := range p.doc.env {
		names = append(names, e.Name)
	}
	if !slices.Contains(names, ref.chain[0]) {
		fault := p.add(ref.place, "the setting %q is not declared under env", ref.chain[0])
		fault.near(ref.chain[0], names)
		if fault.Suggestion == "" {
			fault.Suggestion = fmt.Sprintf("declare it with env: {%s: }", ref.chain[0])
		}
	}
}

func (p *parser) resolveJump(h *handler) {
	if h.to == "end" {
		return
	}
	target := p.steps[h.to]
	if target == nil {
		p.add(h.place, "there is no step %q to go to", h.to).near(h.to, append(slices.Collect(maps.Keys(p.steps)), "end"))
		return
	}
	for b := h.from; b != nil; b = b.outer() {
		if target.in == b {
			h.target = target
			return
		}
		if b.body {
			break // the body of a for_each or a branch is not left by a jump
		}
	}
	p.add(h.place, "step %q cannot be reached by a jump from here", h.to).Suggestion = "a jump goes to a step of the same list, or of a list around it that is not outside of a for_each or parallel"
}
