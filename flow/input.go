package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
)

// FailureInput is the code of the failure of a run whose input does not fit the document's schema.
const FailureInput = "invalid_input"

// inputCheck is a compiled schema of inputs.
type inputCheck struct {
	schema *bide.Schema
	raw    any // for its defaults
}

// checkSchema reports what is wrong with a schema in the document.
func (p *parser) checkSchema(v *value) *bide.Schema {
	s, err := bide.CompileSchema(v.canonical(nil))
	var bad *bide.Error
	switch {
	case err == nil:
		return s
	case errors.As(err, &bad) && len(bad.Faults) > 0:
		f := bad.Faults[0]
		path := steps(f.Path)
		p.add(v.follow(path).place, "the JSON Schema cannot be used: %s: %s", strings.Join(path, "."), f.Message)
	default:
		p.add(v.place, "the JSON Schema cannot be used: %v", err)
	}
	return nil
}

// steps are the parts of a JSON pointer (RFC 6901).
func steps(pointer string) (out []string) {
	for i, part := range strings.Split(pointer, "/") {
		if i > 0 {
			out = append(out, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
	}
	return out
}

// follow goes down a path as far as it leads.
func (v *value) follow(path []string) *value {
	for _, name := range path {
		next := v.get(name)
		for i, item := range v.items {
			if fmt.Sprint(i) == name {
				next = item
			}
		}
		if next == nil {
			break
		}
		v = next
	}
	return v
}

func (p *parser) inputSchema(v *value) {
	p.doc.schema = v.canonical(nil)
	s := p.checkSchema(v)
	if s == nil {
		return
	}
	raw, err := decode(p.doc.schema)
	if err != nil {
		p.add(v.place, "%v", err)
		return
	}
	p.doc.input = &inputCheck{s, raw}
}

// CheckInput says what is wrong with an input, defaults filled in: nothing when it can be used.
func (d *Doc) CheckInput(input json.RawMessage) []bide.Fault {
	v, err := decode(input)
	if err != nil {
		return []bide.Fault{{Message: "the input is not JSON: " + err.Error()}}
	}
	_, faults := d.input.check(v)
	return faults
}

// check fills in defaults and validates. It returns the writes that bring the defaults into vars.
func (c *inputCheck) check(v any) (writes []bide.Write, faults []bide.Fault) {
	if c == nil {
		return nil, nil
	}
	if schema, ok := c.raw.(map[string]any); ok && v == nil && schema["type"] == "object" {
		v = map[string]any{}
		writes = append(writes, bide.Write{Op: bide.OpSet, Path: "input", Value: bide.JSON("{}")})
	}
	full, more := fill(c.raw, v, "input")
	raw, err := encode(full)
	if err != nil {
		return nil, []bide.Fault{{Message: err.Error()}}
	}
	return append(writes, more...), c.schema.Check(raw)
}

// fill returns v with the defaults of a schema's properties where v has none.
func fill(schema, v any, path string) (any, []bide.Write) {
	s, ok := schema.(map[string]any)
	object, isObject := v.(map[string]any)
	properties, has := s["properties"].(map[string]any)
	if !ok || !isObject || !has {
		return v, nil
	}
	out := make(map[string]any, len(object))
	for name, member := range object {
		out[name] = member
	}
	var writes []bide.Write
	for _, name := range sortedNames(properties) {
		at := path + "." + strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name)
		if member, has := out[name]; has {
			full, more := fill(properties[name], member, at)
			out[name], writes = full, append(writes, more...)
			continue
		}
		property, ok := properties[name].(map[string]any)
		def, has := property["default"]
		if !ok || !has || name == "" {
			continue
		}
		out[name] = def
		if raw, err := encode(def); err == nil {
			writes = append(writes, bide.Write{Op: bide.OpSet, Path: at, Value: raw})
		}
	}
	return out, writes
}
