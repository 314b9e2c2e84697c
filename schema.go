package bide

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// noLoader refuses references outside the schema: answering a form must not
// reach for files or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %s: a schema must hold all it refers to", url)
}

// Schema is a compiled JSON Schema (drafts 4 to 2020-12). It is safe for use by many goroutines.
type Schema struct{ compiled *jsonschema.Schema }

// CompileSchema compiles a JSON Schema, which may not refer to anything outside
// itself; formats are asserted. It fails with ErrInvalidInput; the error's Faults
// say where, when the text is JSON and no valid schema.
func CompileSchema(schema JSON) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, &Error{Code: CodeInvalidInput, Message: "the schema is not JSON", Err: err}
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	err = c.AddResource(schemaURL, doc)
	if err == nil {
		var s *jsonschema.Schema
		if s, err = c.Compile(schemaURL); err == nil {
			return &Schema{s}, nil
		}
	}
	var bad *jsonschema.SchemaValidationError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return nil, &Error{Code: CodeInvalidInput, Message: "it is no JSON Schema", Faults: sortedFaults(invalid)}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return nil, &Error{Code: CodeInvalidInput, Message: strings.NewReplacer(`"`+schemaURL+`#"`, "it", `"`+schemaURL+`"`, "it", schemaURL, "").Replace(first)}
}

// schemaURL is what the library calls the schema that it is given.
const schemaURL = "bide:schema"

// Check returns every fault of value, by path and message, or none.
func (s *Schema) Check(value JSON) []Fault {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return []Fault{{"", err.Error()}}
	}
	var invalid *jsonschema.ValidationError
	if err := s.compiled.Validate(v); !errors.As(err, &invalid) {
		if err != nil {
			return []Fault{{"", err.Error()}}
		}
		return nil
	}
	return sortedFaults(invalid)
}

// CheckSchema is CompileSchema and Check; a schema that cannot be used is a fault as well.
func CheckSchema(schema, value JSON) []Fault {
	s, err := CompileSchema(schema)
	if err != nil {
		return []Fault{{"", fmt.Sprintf("the schema cannot be used: %v", err)}}
	}
	return s.Check(value)
}

// sortedFaults are the leaves of a validation error, each once, in a fixed order.
func sortedFaults(e *jsonschema.ValidationError) (faults []Fault) {
	collectFaults(e, message.NewPrinter(language.English), &faults)
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(faults)
}

// collectFaults gathers the leaves of a validation error.
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
	*out = append(*out, Fault{path, faultText(e.ErrorKind, p)})
}

// faultText says what is wrong; of a time, in words that do not depend on how it was parsed.
func faultText(k jsonschema.ErrorKind, p *message.Printer) string {
	f, ok := k.(*kind.Format)
	if !ok {
		return k.LocalizedString(p)
	}
	example := ""
	switch f.Want {
	case "date":
		example = "2026-11-23"
	case "time":
		example = "14:30:00Z"
	case "date-time":
		example = "2026-11-23T14:30:00Z"
	case "duration":
		example = "PT1H30M"
	default:
		return k.LocalizedString(p)
	}
	return fmt.Sprintf("'%v' is not a valid %s, such as %s", f.Got, f.Want, example)
}

// pointer is one step of a JSON pointer (RFC 6901).
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
