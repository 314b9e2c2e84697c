package llm

import (
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/go-json-experiment/json/jsontext"
)

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
	schema, err := bide.CompileSchema(want.Schema)
	if err != nil {
		return &Error{Code: CodeInvalidRequest, Message: "output.schema", Err: err}
	}
	if faults := schema.Check(bide.JSON(doc)); len(faults) > 0 {
		return &Error{Code: CodeInvalidOutput, Message: fmt.Sprintf("the answer does not fit the schema: %s; it was: %s", oneLine(faults), clip(text))}
	}
	r.Output = bide.JSON(doc)
	return nil
}

// oneLine lists faults in one line.
func oneLine(faults []bide.Fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, "; ")
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
