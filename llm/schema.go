package llm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// noLoader refuses references outside the schema.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %s: a schema must hold all it refers to", url)
}

func compileSchema(schema bide.JSON) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	if err := c.AddResource("bide:output", doc); err != nil {
		return nil, err
	}
	return c.Compile("bide:output")
}

// readOutput sets Output from the text of the answer, if that fits.
func (r *Response) readOutput(want *Output) error {
	text := unfence(r.Text())
	if r.Finish == FinishLength {
		return &Error{Code: CodeInvalidOutput, Message: "the answer was cut off at the limit on tokens"}
	}
	doc := jsontext.Value(text)
	if !doc.IsValid() || doc.Compact() != nil {
		return &Error{Code: CodeInvalidOutput, Message: "the answer is not JSON; it was: " + clip(text)}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return &Error{Code: CodeInvalidOutput, Message: err.Error()}
	}
	schema, err := compileSchema(want.Schema)
	if err != nil {
		return &Error{Code: CodeInvalidRequest, Message: "output.schema", Err: err}
	}
	var invalid *jsonschema.ValidationError
	if err := schema.Validate(value); errors.As(err, &invalid) {
		return &Error{Code: CodeInvalidOutput, Message: fmt.Sprintf("the answer does not fit the schema: %s; it was: %s", leaves(invalid), clip(text))}
	} else if err != nil {
		return &Error{Code: CodeInvalidOutput, Message: err.Error()}
	}
	r.Output = bide.JSON(doc)
	return nil
}

// leaves lists what a validation found, in one line.
func leaves(e *jsonschema.ValidationError) string {
	_, faults, _ := strings.Cut(e.Error(), "\n")
	return strings.Join(strings.Fields(strings.ReplaceAll(faults, "\n", ";")), " ")
}

// unfence takes off the Markdown fence that models like to put around JSON.
func unfence(text string) string {
	text = strings.TrimSpace(text)
	inner, ok := strings.CutPrefix(text, "```")
	if !ok {
		return text
	}
	inner = strings.TrimPrefix(inner, "json")
	return strings.TrimSpace(strings.TrimSuffix(inner, "```"))
}
