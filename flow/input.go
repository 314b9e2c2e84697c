package flow

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/bide-dev/bide"
)

// FailureInput is the code of the failure of a run whose input does not fit the document's schema.
const FailureInput = "invalid_input"

// inputCheck is a compiled schema of inputs.
type inputCheck struct {
	schema *jsonschema.Schema
	raw    any // for its defaults
}

// nothing refuses references to other documents.
type nothing struct{}

func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, but a schema must hold all it refers to", url)
}

// compileSchema compiles a JSON Schema.
func compileSchema(raw []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nothing{})
	c.AssertFormat()
	if err := c.AddResource("flow:schema", doc); err != nil {
		return nil, err
	}
	return c.Compile("flow:schema")
}

// checkSchema reports what is wrong with a schema in the document.
func (p *parser) checkSchema(v *value) *jsonschema.Schema {
	s, err := compileSchema(v.canonical(nil))
	if err == nil {
		return s
	}
	var bad *jsonschema.SchemaValidationError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		text := strings.NewReplacer(`"flow:schema#"`, "it", `"flow:schema"`, "it", "flow:schema", "").Replace(firstLine(err.Error()))
		p.add(v.place, "the JSON Schema cannot be used: %s", text)
		return nil
	}
	f := leaves(invalid)[0]
	p.add(v.follow(f.path).place, "the JSON Schema cannot be used: %s: %s", strings.Join(f.path, "."), f.message)
	return nil
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

// leaf is one thing wrong with a value.
type leaf struct {
	path    []string
	message string
}

// leaves lists the causes of a validation error, each once, in a fixed order.
func leaves(e *jsonschema.ValidationError) (out []leaf) {
	printer := message.NewPrinter(language.English)
	var collect func(e *jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		for _, c := range e.Causes {
			collect(c)
		}
		if len(e.Causes) == 0 {
			out = append(out, leaf{e.InstanceLocation, e.ErrorKind.LocalizedString(printer)})
		}
	}
	collect(e)
	order := func(a, b leaf) int {
		return cmp.Or(slices.Compare(a.path, b.path), strings.Compare(a.message, b.message))
	}
	slices.SortFunc(out, order)
	return slices.CompactFunc(out, func(a, b leaf) bool { return order(a, b) == 0 })
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
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, []bide.Fault{{Message: err.Error()}}
	}
	var invalid *jsonschema.ValidationError
	if err := c.schema.Validate(doc); errors.As(err, &invalid) {
		for _, l := range leaves(invalid) {
			path := ""
			for _, name := range l.path {
				path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			}
			faults = append(faults, bide.Fault{Path: path, Message: l.message})
		}
	} else if err != nil {
		faults = append(faults, bide.Fault{Message: err.Error()})
	}
	return append(writes, more...), faults
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
