package llm

import (
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
)

// Request is one question to a model.
type Request struct {
	// Model is provider/model. The provider is a name in the configuration; the rest is the provider's own.
	// Empty means Config.Default.
	Model string `json:"model,omitempty"`
	// System are the instructions.
	System   string    `json:"system,omitempty"`
	Messages []Message `json:"messages,omitempty"`
	Tools    []Tool    `json:"tools,omitempty"`
	// ToolChoice is "auto" (the default), "none" or "required".
	ToolChoice string `json:"tool_choice,omitempty"`
	// Output asks for JSON instead of text.
	Output *Output `json:"output,omitempty"`
	// MaxTokens bounds the answer, reasoning included. Defaults to what the provider has; for Anthropic, 16384.
	MaxTokens   int64    `json:"max_tokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"top_p,omitempty"`
	Stop        []string `json:"stop,omitempty"` // texts that end the answer
	Seed        *int64   `json:"seed,omitempty"` // where the provider has one
	// Reasoning is how much the model thinks first: "none", "low", "medium" or "high". Defaults to the provider's default.
	Reasoning string `json:"reasoning,omitempty"`
	// Options are fields of the provider's own request, set as they are at its top level,
	// such as {"service_tier": "flex"}.
	Options map[string]bide.JSON `json:"options,omitempty"`
}

// Tool is what a model may call.
type Tool struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Schema      bide.JSON `json:"schema"` // JSON Schema of the arguments, an object
}

// Output is the form of an answer. An answer that does not fit fails the attempt with
// CodeInvalidOutput. The next attempt tells the model what was wrong; the effect's retry policy bounds how many there are,
// and each is on record, with what the model said.
type Output struct {
	Name   string    `json:"name,omitempty"` // for the provider. Defaults to "output".
	Schema bide.JSON `json:"schema"`         // JSON Schema
	// Prompt puts the schema into the instructions instead of the provider's own field for
	// it: for servers that have none, or refuse the schema.
	Prompt bool `json:"prompt,omitempty"`
}

// check lists everything that is wrong with the request.
func (r *Request) check() error {
	var faults []bide.Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if len(r.Messages) == 0 {
		add("messages", "there are none")
	}
	for i := range r.Messages {
		faults = append(faults, r.Messages[i].check(fmt.Sprintf("messages[%d]", i))...)
	}
	for i, t := range r.Tools {
		if t.Name == "" || len(t.Schema) == 0 {
			add(fmt.Sprintf("tools[%d]", i), "a tool needs a name and a schema")
		}
	}
	oneOf := func(path, value string, allowed ...string) {
		for _, a := range append(allowed, "") {
			if value == a {
				return
			}
		}
		add(path, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
	oneOf("tool_choice", r.ToolChoice, "auto", "none", "required")
	oneOf("reasoning", r.Reasoning, "none", "low", "medium", "high")
	if r.MaxTokens < 0 {
		add("max_tokens", "%d is negative", r.MaxTokens)
	}
	if r.Output != nil {
		if _, err := bide.CompileSchema(r.Output.Schema); err != nil {
			add("output.schema", "%v", err)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalidRequest, Message: "the request cannot be sent", Err: &bide.Error{Faults: faults, Message: "faults"}}
}
