package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// schema is the part of JSON Schema that the API's description uses.
type schema struct {
	Ref         string             `json:"$ref"`
	Type        oneOrMore          `json:"type"`
	Description string             `json:"description"`
	Enum        []any              `json:"enum"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Items       *schema            `json:"items"`
	Additional  json.RawMessage    `json:"additionalProperties"`
}

// oneOrMore is a type or a list of types.
type oneOrMore []string

// UnmarshalJSON reads either form.
func (o *oneOrMore) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*o = make(oneOrMore, 1)
		return json.Unmarshal(raw, &(*o)[0])
	}
	return json.Unmarshal(raw, (*[]string)(o))
}

// typesOf writes a TypeScript type for every schema of an OpenAPI document.
func typesOf(openapi []byte) ([]byte, error) {
	var doc struct {
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(openapi, &doc); err != nil {
		return nil, err
	}
	if len(doc.Components.Schemas) == 0 {
		return nil, fmt.Errorf("there is no schema at components.schemas")
	}
	var b bytes.Buffer
	b.WriteString("// Made by go generate out of gateway/openapi.json. Do not edit.\n\nimport type { Json } from \"./json\";\n")
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		fmt.Fprintf(&b, "\nexport type %s = %s;\n", name, doc.Components.Schemas[name].text(""))
	}
	return b.Bytes(), nil
}

// text is the type in TypeScript, its lines indented.
func (s *schema) text(indent string) string {
	switch {
	case s == nil:
		return "Json"
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			raw, err := json.Marshal(v)
			if err != nil {
				panic(err) // it was JSON before
			}
			values = append(values, string(raw))
		}
		return strings.Join(values, " | ")
	case len(s.Type) == 0:
		return "Json"
	}
	var alternatives []string
	for _, t := range s.Type {
		alternatives = append(alternatives, s.ofType(t, indent))
	}
	return strings.Join(alternatives, " | ")
}

func (s *schema) ofType(t, indent string) string {
	switch t {
	case "integer":
		return "number"
	case "array":
		item := s.Items.text(indent)
		if strings.Contains(item, " | ") {
			item = "(" + item + ")"
		}
		return item + "[]"
	case "object":
		return s.object(indent)
	}
	return t
}

func (s *schema) object(indent string) string {
	if len(s.Properties) == 0 {
		var value schema
		if len(s.Additional) == 0 || s.Additional[0] != '{' || json.Unmarshal(s.Additional, &value) != nil {
			return "{ [name: string]: Json }"
		}
		return "{ [name: string]: " + value.text(indent) + " }"
	}
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		if p.Description != "" {
			fmt.Fprintf(&b, "%s  /** %s */\n", indent, strings.ReplaceAll(p.Description, "*/", "* /"))
		}
		optional := "?"
		if slices.Contains(s.Required, name) {
			optional = ""
		}
		if !isName(name) {
			name = strconv.Quote(name)
		}
		fmt.Fprintf(&b, "%s  %s%s: %s;\n", indent, name, optional, p.text(indent+"  "))
	}
	b.WriteString(indent + "}")
	return b.String()
}

// isName reports whether a name needs no quotes as a member.
func isName(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
