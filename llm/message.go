package llm

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/go-json-experiment/json/jsontext"
)

// Role says who a message is from.
type Role string

// The roles of messages. Instructions are not a message: see Request.System.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool" // results of tool calls
)

// Message is one turn of a conversation.
type Message struct {
	Role  Role   `json:"role"`
	Parts []Part `json:"parts"`
}

// PartType says what a part is, and so which of its fields count.
type PartType string

// The types of parts, with their fields.
const (
	PartText       PartType = "text"        // Text
	PartReasoning  PartType = "reasoning"   // Text
	PartToolCall   PartType = "tool_call"   // ID, Name, and Args or ArgsText
	PartToolResult PartType = "tool_result" // ID, Name, Result, IsError
	PartImage      PartType = "image"       // Image
)

// Part is a piece of a message.
type Part struct {
	Type PartType `json:"type"`
	Text string   `json:"text,omitempty"`
	// ID joins a tool call and its result. It is unique within a response.
	ID   string `json:"tool_call_id,omitempty"`
	Name string `json:"name,omitempty"` // of the tool
	// Args is the JSON object with which the tool is called. When the model wrote
	// something else, Args is nil and ArgsText is what it wrote.
	Args     bide.JSON `json:"args,omitempty"`
	ArgsText string    `json:"args_text,omitempty"`
	// Result is what the tool gave: any JSON. A string reaches the model as
	// text, everything else as JSON text.
	Result bide.JSON `json:"result,omitempty"`
	// From is, in place of Result, the path in a run's vars where the result is, so that it is stored once. It
	// counts in messages that are in vars themselves (CallFrom, Messages).
	From    string `json:"from,omitempty"`
	IsError bool   `json:"is_error,omitempty"`
	Image   *Image `json:"image,omitempty"`
	// Meta is what a kind of provider wants back with the part, unchanged, in the next request:
	// by kind, such as {"anthropic": {"signature": "…"}}. Other kinds do not see it.
	Meta map[string]bide.JSON `json:"meta,omitempty"`
}

// Image is a reference to a picture.
type Image struct {
	// URL is an http(s) address, a data URL, or anything that Options.Images resolves.
	URL string `json:"url"`
}

// Text is a part with text.
func Text(text string) Part { return Part{Type: PartText, Text: text} }

// User is a message of the user: text, and pictures by URL.
func User(text string, images ...string) Message {
	m := Message{Role: RoleUser, Parts: []Part{Text(text)}}
	for _, url := range images {
		m.Parts = append(m.Parts, Part{Type: PartImage, Image: &Image{URL: url}})
	}
	return m
}

// Assistant is a message of the model with text.
func Assistant(text string) Message {
	return Message{Role: RoleAssistant, Parts: []Part{Text(text)}}
}

// ToolResults is a message with the results of tool calls: parts of type tool_result.
func ToolResults(results ...Part) Message { return Message{Role: RoleTool, Parts: results} }

// ToolResult is the result of the tool call with an id. It fails when result is not JSON.
func ToolResult(id, name string, result any, isError bool) (Part, error) {
	raw, err := json.Marshal(result)
	if err != nil {
		return Part{}, fmt.Errorf("result of tool call %q: %w", id, err)
	}
	return Part{Type: PartToolResult, ID: id, Name: name, Result: raw, IsError: isError}, nil
}

// Text returns the text parts, one after the other.
func (m *Message) Text() string { return m.join(PartText) }

// Reasoning returns the reasoning parts, one after the other.
func (m *Message) Reasoning() string { return m.join(PartReasoning) }

func (m *Message) join(typ PartType) string {
	var b strings.Builder
	for i := range m.Parts {
		if m.Parts[i].Type == typ {
			b.WriteString(m.Parts[i].Text)
		}
	}
	return b.String()
}

// ToolCalls returns the tool calls, in the order in which the model made them.
func (m *Message) ToolCalls() (calls []Part) {
	for _, p := range m.Parts {
		if p.Type == PartToolCall {
			calls = append(calls, p)
		}
	}
	return calls
}

// ResultText returns a tool result as the model sees it.
func (p *Part) ResultText() string {
	var text string
	if json.Unmarshal(p.Result, &text) == nil && len(p.Result) > 0 && p.Result[0] == '"' {
		return text
	}
	return string(p.Result)
}

// check lists what is wrong with a message; at is the path to it.
func (m *Message) check(at string) (faults []bide.Fault) {
	add := func(i int, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: fmt.Sprintf("%s.parts[%d]", at, i), Message: fmt.Sprintf(format, args...)})
	}
	if m.Role != RoleUser && m.Role != RoleAssistant && m.Role != RoleTool {
		faults = append(faults, bide.Fault{Path: at + ".role", Message: fmt.Sprintf("%q is none of user, assistant, tool", m.Role)})
	}
	for i, p := range m.Parts {
		switch p.Type {
		case PartText, PartReasoning:
		case PartToolCall:
			if p.Name == "" || p.ID == "" {
				add(i, "a tool call needs a tool_call_id and a name")
			}
		case PartToolResult:
			if p.ID == "" || len(p.Result) == 0 {
				add(i, "a tool result needs a tool_call_id and a result")
			}
		case PartImage:
			if p.Image == nil || p.Image.URL == "" {
				add(i, "an image needs a url")
			}
		default:
			add(i, "the type %q is none of text, reasoning, tool_call, tool_result, image", p.Type)
		}
	}
	return faults
}

// extend adds a fragment of the same part.
func (p *Part) extend(f Part) {
	p.Text += f.Text
	p.ArgsText += f.ArgsText
	if p.ID == "" {
		p.ID = f.ID
	}
	if p.Name == "" {
		p.Name = f.Name
	}
	for kind, meta := range f.Meta {
		if p.Meta == nil {
			p.Meta = map[string]bide.JSON{}
		}
		p.Meta[kind] = meta
	}
}

// RawMeta returns what a provider sent as JSON that can be recorded: raw itself when
// it is, else its text as a JSON string.
func RawMeta(raw []byte) bide.JSON {
	if v := jsontext.Value(raw).Clone(); v.IsValid() && v.Compact() == nil {
		return bide.JSON(v)
	}
	text, err := json.Marshal(strings.ToValidUTF8(string(raw), "\uFFFD"))
	if err != nil {
		return bide.JSON(`""`)
	}
	return text
}

// arguments reads what a model wrote as arguments: a JSON object that can be
// recorded, or nil. Nothing at all means no arguments.
func arguments(text string) bide.JSON {
	if strings.TrimSpace(text) == "" {
		return bide.JSON("{}")
	}
	v := jsontext.Value(text)
	if !v.IsValid() || v.Kind() != '{' || v.Compact() != nil {
		return nil
	}
	return bide.JSON(v)
}
