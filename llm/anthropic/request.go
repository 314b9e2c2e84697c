package anthropic

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// defaultMaxTokens is for requests that say nothing; the API needs a number.
const defaultMaxTokens = 16384

// object is a JSON object under construction.
type object = map[string]any

// request is a request in the form of the API.
func (p *Provider) request(r *llm.Request) (object, error) {
	o := object{"model": r.Model, "messages": p.messages(r), "max_tokens": defaultMaxTokens, "stream": true}
	if r.MaxTokens > 0 {
		o["max_tokens"] = r.MaxTokens
	}
	if len(r.Stop) > 0 {
		o["stop_sequences"] = r.Stop
	}
	if r.System != "" {
		o["system"] = []object{{"type": "text", "text": r.System}}
	}
	if r.Temperature != nil {
		o["temperature"] = *r.Temperature
	}
	if r.TopP != nil {
		o["top_p"] = *r.TopP
	}
	if err := setTools(o, r); err != nil {
		return nil, err
	}
	if err := setOutput(o, r); err != nil {
		return nil, err
	}
	for name, value := range r.Options {
		o[name] = value
	}
	return o, nil
}

func setTools(o object, r *llm.Request) error {
	var list []object
	for _, t := range r.Tools {
		schema, err := members(t.Schema)
		if err != nil {
			return llm.Errorf(llm.CodeInvalidRequest, "the schema of tool %q is not an object: %w", t.Name, err)
		}
		schema["type"] = json.RawMessage(`"object"`)
		tool := object{"name": t.Name, "input_schema": schema}
		if t.Description != "" {
			tool["description"] = t.Description
		}
		list = append(list, tool)
	}
	if list == nil {
		return nil
	}
	o["tools"] = list
	switch r.ToolChoice {
	case "none":
		o["tool_choice"] = object{"type": "none"}
	case "required":
		o["tool_choice"] = object{"type": "any"}
	}
	return nil
}

// setOutput asks for the form of the answer and for the effort to be put into it.
func setOutput(o object, r *llm.Request) error {
	output := object{}
	if r.Output != nil {
		schema, err := members(r.Output.Schema)
		if err != nil {
			return llm.Errorf(llm.CodeInvalidRequest, "output.schema is not an object: %w", err)
		}
		output["format"] = object{"type": "json_schema", "schema": schema}
	}
	switch r.Reasoning {
	case "":
	case "none":
		o["thinking"] = object{"type": "disabled"}
	default:
		o["thinking"] = object{"type": "adaptive"}
		output["effort"] = r.Reasoning
	}
	if len(output) > 0 {
		o["output_config"] = output
	}
	return nil
}

// members takes an object apart.
func members(raw bide.JSON) (map[string]json.RawMessage, error) {
	var out map[string]json.RawMessage
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	if out == nil {
		return nil, errors.New("it is null")
	}
	return out, nil
}

// message is one in the form of the API.
type message struct {
	Role    string   `json:"role"`
	Content []object `json:"content"`
}

// messages makes one of those of one role in a row, since all results of a turn have to be in one.
func (p *Provider) messages(r *llm.Request) []message {
	out := []message{}
	for i := range r.Messages {
		m := &r.Messages[i]
		role := "user"
		if m.Role == llm.RoleAssistant {
			role = "assistant"
		}
		var blocks []object
		for j := range m.Parts {
			if b := p.block(&m.Parts[j]); b != nil {
				blocks = append(blocks, b)
			}
		}
		if n := len(out); n > 0 && out[n-1].Role == role {
			out[n-1].Content = append(out[n-1].Content, blocks...)
		} else if blocks != nil {
			out = append(out, message{role, blocks})
		}
	}
	return out
}

// meta is what has to be given back with thinking, unchanged.
type meta struct {
	Signature string `json:"signature,omitempty"`
	Redacted  string `json:"redacted,omitempty"` // the whole of a block that only the provider can read
}

// block is a part in the form of the API; nil when there is nothing to send.
func (p *Provider) block(part *llm.Part) object {
	switch part.Type {
	case llm.PartText:
		if part.Text != "" {
			return object{"type": "text", "text": part.Text}
		}
	case llm.PartReasoning:
		return p.reasoning(part)
	case llm.PartToolCall:
		var input any = part.Args
		if part.Args == nil {
			input = object{"invalid_arguments": part.ArgsText}
		}
		return object{"type": "tool_use", "id": part.ID, "name": part.Name, "input": input}
	case llm.PartToolResult:
		return object{"type": "tool_result", "tool_use_id": part.ID, "is_error": part.IsError,
			"content": []object{{"type": "text", "text": part.ResultText()}}}
	case llm.PartImage:
		source := object{"type": "url", "url": part.Image.URL}
		if mediaType, data, ok := dataURL(part.Image.URL); ok {
			source = object{"type": "base64", "media_type": mediaType, "data": data}
		}
		return object{"type": "image", "source": source}
	}
	return nil
}

// reasoning gives thinking back; none of another provider, which this one refuses.
func (p *Provider) reasoning(part *llm.Part) object {
	var m meta
	if raw := part.Meta[p.cfg.Kind]; raw == nil || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	switch {
	case m.Redacted != "":
		return object{"type": "redacted_thinking", "data": m.Redacted}
	case m.Signature != "":
		return object{"type": "thinking", "signature": m.Signature, "thinking": part.Text}
	}
	return nil
}

// dataURL takes a base64 data URL apart.
func dataURL(url string) (mediaType, data string, ok bool) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return "", "", false
	}
	mediaType, data, ok = strings.Cut(rest, ";base64,")
	return mediaType, data, ok
}
