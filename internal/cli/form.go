package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// asker puts questions to a person, a line each.
type asker interface {
	ask(ctx context.Context, prompt string) (string, error)
	say(line string) error
}

// schema is what a form reads of a JSON Schema. The rest is for the kernel to check.
type schema struct {
	Type        any             `json:"type"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Properties  json.RawMessage `json:"properties"`
	Required    []string        `json:"required"`
	Enum        []bide.JSON     `json:"enum"`
	Default     bide.JSON       `json:"default"`
	Items       *schema         `json:"items"`
}

func readSchema(raw bide.JSON) *schema {
	s := &schema{}
	if json.Unmarshal(raw, s) != nil {
		return &schema{} // true, false, or something that the kernel would refuse
	}
	return s
}

// kind is the one type that the schema allows, or empty.
func (s *schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any: // ["string", "null"]
		kinds := slices.DeleteFunc(slices.Clone(t), func(v any) bool { return v == "null" })
		if len(kinds) == 1 {
			if one, ok := kinds[0].(string); ok {
				return one
			}
		}
	}
	if len(s.Properties) > 0 {
		return "object"
	}
	return ""
}

// property is a member of an object's schema.
type property struct {
	name string
	raw  bide.JSON
}

// members lists the members of a JSON object in the order in which they are written.
func members(object bide.JSON) (out []property, err error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("not an object: %.40s", object)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw bide.JSON
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		out = append(out, property{name.(string), raw})
	}
	return out, nil
}

// maxFieldsShown bounds how many fields of a form are named where they are not asked for.
const maxFieldsShown = 10

// fieldsOf says what an answer to a form has, as arguments: type='done|again|fail', and if wanted message=TEXT.
func fieldsOf(s *schema) string {
	properties, err := members(s.Properties)
	if err != nil || len(properties) == 0 || len(properties) > maxFieldsShown {
		return "NAME=VALUE…"
	}
	var must, may []string
	for _, p := range properties {
		field := shellWord(p.name + "=" + readSchema(p.raw).placeholder())
		if slices.Contains(s.Required, p.name) {
			must = append(must, field)
		} else {
			may = append(may, field)
		}
	}
	switch {
	case len(may) == 0:
		return strings.Join(must, " ")
	case len(must) == 0:
		return strings.Join(may, " ")
	}
	return strings.Join(must, " ") + ", and if wanted " + strings.Join(may, " ")
}

// placeholder stands for a value of the schema.
func (s *schema) placeholder() string {
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			text := string(v)
			if json.Unmarshal(v, &text) != nil { // a number or the like stays as it is written
				text = string(v)
			}
			values = append(values, text)
		}
		return strings.Join(values, "|")
	}
	switch s.kind() {
	case "string":
		return "TEXT"
	case "number", "integer":
		return "NUMBER"
	case "boolean":
		return "true|false"
	}
	return "JSON"
}

// maxFormDepth is how deep objects in objects are asked for member by member; below that, as JSON.
const maxFormDepth = 4

// fillForm asks for a value that fits a schema: an object member by member, those that are required
// first, in the order in which required names them. known are members that are not asked for.
func fillForm(ctx context.Context, t asker, raw, known bide.JSON) (bide.JSON, error) {
	s := readSchema(raw)
	if s.kind() == "object" && len(s.Properties) > 0 {
		return fillObject(ctx, t, s, known, "", 1)
	}
	value, ok, err := fillField(ctx, t, s, "value", true, 1)
	if err == nil && !ok {
		value = bide.JSON("null")
	}
	return value, err
}

func fillObject(ctx context.Context, t asker, s *schema, known bide.JSON, path string, depth int) (bide.JSON, error) {
	properties, err := members(s.Properties)
	if err != nil {
		return nil, err
	}
	place := func(p property) int {
		if i := slices.Index(s.Required, p.name); i >= 0 {
			return i
		}
		return len(s.Required)
	}
	slices.SortStableFunc(properties, func(a, b property) int { return place(a) - place(b) })
	var have []property
	if known != nil {
		if have, err = members(known); err != nil {
			return nil, err
		}
	}
	for _, p := range properties {
		if slices.ContainsFunc(have, func(h property) bool { return h.name == p.name }) {
			continue
		}
		value, ok, err := fillField(ctx, t, readSchema(p.raw), path+p.name, slices.Contains(s.Required, p.name), depth)
		if err != nil {
			return nil, err
		}
		if ok {
			have = append(have, property{p.name, value})
		}
	}
	return object(have)
}

// object is the JSON object of members, in their order.
func object(have []property) (bide.JSON, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range have {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := plainJSON(p.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(p.raw)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// fillField asks for one value until it fits its type. An empty line takes the default, or leaves
// out what is not required.
func fillField(ctx context.Context, t asker, s *schema, name string, required bool, depth int) (value bide.JSON, ok bool, err error) {
	if s.kind() == "object" && len(s.Properties) > 0 && depth < maxFormDepth {
		if !required {
			yes, err := t.ask(ctx, fmt.Sprintf("%s: fill it in? [y/N] ", oneLine(name)))
			if err != nil || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(yes)), "y") {
				return nil, false, err
			}
		}
		value, err := fillObject(ctx, t, s, nil, name+".", depth+1)
		return value, err == nil, err
	}
	prompt := fieldPrompt(s, name, required)
	for range 100 {
		line, err := t.ask(ctx, prompt)
		if err != nil {
			return nil, false, err
		}
		line = strings.TrimSpace(line)
		switch {
		case line != "":
		case s.Default != nil:
			return s.Default, true, nil
		case !required:
			return nil, false, nil
		case s.kind() == "string" && len(s.Enum) == 0 || s.kind() == "boolean":
			if err := t.say("  " + name + " is needed"); err != nil {
				return nil, false, err
			}
			continue
		}
		value, err := parseField(s, line)
		if err == nil {
			return value, true, nil
		}
		if err := t.say("  " + err.Error()); err != nil {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("no value for %s after 100 attempts: %w", name, io.ErrNoProgress)
}

func fieldPrompt(s *schema, name string, required bool) string {
	label := name
	switch {
	case s.Title != "":
		label = s.Title
	case s.Description != "":
		label = name + " (" + s.Description + ")"
	}
	switch {
	case len(s.Enum) > 0:
		var words []string
		for _, e := range s.Enum {
			words = append(words, unquoted(e))
		}
		label += " [" + strings.Join(words, "/") + "]"
	case s.kind() == "boolean":
		label += " [y/n]"
	case s.kind() == "array":
		label += ", separated by commas"
	case s.kind() == "" || s.kind() == "object":
		label += ", as JSON or text"
	}
	if s.Default != nil {
		label += fmt.Sprintf(" (default %s)", unquoted(s.Default))
	} else if !required {
		label += " (optional)"
	}
	return oneLine(label) + ": "
}

// unquoted is a JSON string without its quotes; other values as they are.
func unquoted(raw bide.JSON) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// parseField reads what a person wrote as a value of the schema's type.
func parseField(s *schema, text string) (bide.JSON, error) {
	for _, e := range s.Enum {
		if unquoted(e) == text {
			return e, nil
		}
	}
	if len(s.Enum) > 0 {
		return nil, fmt.Errorf("%q is not one of the choices", text)
	}
	switch s.kind() {
	case "string":
		return plainJSON(text)
	case "number", "integer":
		var n json.Number
		if json.Unmarshal([]byte(text), &n) != nil || text[0] == '"' {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return bide.JSON(text), nil
	case "boolean":
		switch strings.ToLower(text) {
		case "y", "yes", "true":
			return bide.JSON("true"), nil
		case "n", "no", "false":
			return bide.JSON("false"), nil
		}
		return nil, fmt.Errorf("%q is neither yes nor no", text)
	case "array":
		return parseList(s, text)
	}
	if json.Valid([]byte(text)) {
		return bide.JSON(text), nil
	}
	if s.kind() == "object" {
		return nil, errors.New("that is not a JSON object")
	}
	return plainJSON(text)
}

// parseList reads a JSON array, or items separated by commas.
func parseList(s *schema, text string) (bide.JSON, error) {
	if text == "" {
		text = "[]"
	}
	if strings.HasPrefix(text, "[") && json.Valid([]byte(text)) {
		return bide.JSON(text), nil
	}
	item := s.Items
	if item == nil {
		item = &schema{}
	}
	items := []bide.JSON{}
	for part := range strings.SplitSeq(text, ",") {
		value, err := parseField(item, strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		items = append(items, value)
	}
	return plainJSON(items)
}
