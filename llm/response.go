package llm

import "github.com/bide-dev/bide"

// Response is a model's answer: an assistant's message, with what is known about how it
// came to be. Its JSON can be read as a Message, so that a response is an entry of a conversation.
type Response struct {
	Message
	Model    string       `json:"model"` // as it was asked for: provider/model
	Provider ProviderInfo `json:"provider"`
	// ServedModel and ID are what the provider says that it used, and its name for the response.
	ServedModel string `json:"served_model,omitempty"`
	ID          string `json:"response_id,omitempty"`
	Finish      Finish `json:"finish"`
	Usage       Usage  `json:"usage"`
	// Cost is what the usage costs; nil when it is not known.
	Cost *Cost `json:"cost,omitempty"`
	// Output is the answer to a Request with an Output, which it fits.
	Output bide.JSON `json:"output,omitempty"`
}

// ProviderInfo says where an answer came from.
type ProviderInfo struct {
	Kind string `json:"kind"` // the protocol, such as "openai"
	// Scripted marks an answer that no model gave.
	Scripted bool `json:"scripted,omitempty"`
}

// Finish is why an answer ended.
type Finish string

// The ends of answers.
const (
	FinishStop      Finish = "stop"       // the model had said what it wanted
	FinishToolCalls Finish = "tool_calls" // it wants results of tool calls
	FinishLength    Finish = "length"     // it was cut off at a limit on tokens
	FinishOther     Finish = "other"
)

// Usage is how many tokens an answer took. What the provider did not say is nil: unknown, not zero.
type Usage struct {
	// Input counts all that the model read, what came from a cache included; Output all
	// that it wrote, reasoning included.
	Input  *int64 `json:"input_tokens,omitempty"`
	Output *int64 `json:"output_tokens,omitempty"`
	// CacheRead and CacheWrite are the parts of Input that were read from, and written to, a cache of prompts.
	CacheRead  *int64 `json:"cache_read_tokens,omitempty"`
	CacheWrite *int64 `json:"cache_write_tokens,omitempty"`
	// Reasoning is the part of Output that is reasoning.
	Reasoning *int64 `json:"reasoning_tokens,omitempty"`
}

// Known reports whether both totals are known.
func (u *Usage) Known() bool { return u.Input != nil && u.Output != nil }

// Total is Input and Output together, and whether both are known.
func (u *Usage) Total() (int64, bool) {
	if !u.Known() {
		return 0, false
	}
	return *u.Input + *u.Output, true
}
