package flow

import (
	"bytes"
	_ "embed" // the schema
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema of documents (draft 2020-12), for editors. What it refuses, Parse refuses too; Parse also
// checks what a schema cannot say: expressions, names, jumps and their order.
func Schema() []byte { return slices.Clone(schema) }

var compiledSchema = sync.OnceValues(func() (*jsonschema.Schema, error) { return compileSchema(schema) })

// fits refuses what the parser let pass and the published schema does not, so that the two cannot drift apart.
func (p *parser) fits(root *value) {
	s, err := compiledSchema()
	if err != nil {
		p.add(root.place, "the schema of the format: %v", err)
		return
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(root.canonical(nil)))
	if err != nil {
		p.add(root.place, "%v", err)
		return
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(s.Validate(doc), &invalid) {
		return
	}
	deepest, all := 0, leaves(invalid)
	for _, l := range all {
		deepest = max(deepest, len(l.path))
	}
	for _, l := range all {
		if len(l.path) == deepest {
			p.add(root.follow(l.path).place, "%s: %s", "/"+strings.Join(l.path, "/"), l.message)
			return
		}
	}
}
