package flow

import (
	"cmp"
	_ "embed" // the schema
	"slices"
	"sync"

	"github.com/bide-dev/bide"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema of documents (draft 2020-12), for editors. What it refuses, Parse refuses too; Parse also
// checks what a schema cannot say: expressions, names, jumps and their order.
func Schema() []byte { return slices.Clone(schema) }

var compiledSchema = sync.OnceValues(func() (*bide.Schema, error) { return bide.CompileSchema(schema) })

// fits refuses what the parser let pass and the published schema does not, so that the two cannot drift apart.
func (p *parser) fits(root *value) {
	s, err := compiledSchema()
	if err != nil {
		p.add(root.place, "the schema of the format: %v", err)
		return
	}
	faults := s.Check(root.canonical(nil))
	if len(faults) == 0 {
		return
	}
	deepest := slices.MaxFunc(faults, func(a, b bide.Fault) int { return cmp.Compare(len(steps(a.Path)), len(steps(b.Path))) })
	p.add(root.follow(steps(deepest.Path)).place, "%s: %s", deepest.Path, deepest.Message)
}
