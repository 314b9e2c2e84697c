package bide

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// noLoader refuses references outside the schema: answering a form must not
// reach for files or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %s: a schema must hold all it refers to", url)
}

func compileSchema(schema JSON) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	if err := c.AddResource("bide:schema", doc); err != nil {
		return nil, err
	}
	return c.Compile("bide:schema")
}

// CheckSchema returns every fault of value against a JSON Schema (drafts 4 to
// 2020-12), by path and message, or none. A schema that cannot be used is a fault
// as well; one may not refer to anything outside itself.
func CheckSchema(schema, value JSON) []Fault {
	s, err := compileSchema(schema)
	if err != nil {
		return []Fault{{"", fmt.Sprintf("the schema cannot be used: %v", err)}}
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return []Fault{{"", err.Error()}}
	}
	var invalid *jsonschema.ValidationError
	if err := s.Validate(v); !errors.As(err, &invalid) {
		if err != nil {
			return []Fault{{"", err.Error()}}
		}
		return nil
	}
	var faults []Fault
	collectFaults(invalid, message.NewPrinter(language.English), &faults)
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(faults)
}

// collectFaults gathers the leaves of a validation error, each once.
func collectFaults(e *jsonschema.ValidationError, p *message.Printer, out *[]Fault) {
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			collectFaults(c, p, out)
		}
		return
	}
	path := ""
	for _, name := range e.InstanceLocation {
		path += pointer(name)
	}
	*out = append(*out, Fault{path, e.ErrorKind.LocalizedString(p)})
}

// pointer is one step of a JSON pointer (RFC 6901).
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
