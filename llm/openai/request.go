package openai

import (
	"encoding/json"

	"github.com/bide-dev/bide/llm"
)

// object is a JSON object under construction.
type object = map[string]any

// request is a request in the form of the protocol.
func (p *Provider) request(r *llm.Request) object {
	o := object{"model": r.Model, "messages": p.messages(r), "stream": true, "stream_options": object{"include_usage": true}}
	if len(r.Tools) > 0 {
		o["tools"] = tools(r.Tools)
		if r.ToolChoice != "" {
			o["tool_choice"] = r.ToolChoice
		}
	}
	if r.Output != nil {
		name := r.Output.Name
		if name == "" {
			name = "output"
		}
		o["response_format"] = object{"type": "json_schema", "json_schema": object{"name": name, "schema": r.Output.Schema}}
	}
	if r.MaxTokens > 0 {
		field := "max_tokens"
		if p.ownServer {
			field = "max_completion_tokens"
		}
		o[field] = r.MaxTokens
	}
	if r.Temperature != nil {
		o["temperature"] = *r.Temperature
	}
	if r.TopP != nil {
		o["top_p"] = *r.TopP
	}
	if r.Seed != nil {
		o["seed"] = *r.Seed
	}
	if len(r.Stop) > 0 {
		o["stop"] = r.Stop
	}
	if r.Reasoning != "" {
		o["reasoning_effort"] = r.Reasoning
	}
	for name, value := range r.Options {
		o[name] = value
	}
	return o
}

func tools(list []llm.Tool) (out []object) {
	for _, t := range list {
		f := object{"name": t.Name, "parameters": t.Schema}
		if t.Description != "" {
			f["description"] = t.Description
		}
		out = append(out, object{"type": "function", "function": f})
	}
	return out
}

func (p *Provider) messages(r *llm.Request) (out []object) {
	if r.System != "" {
		out = append(out, object{"role": "system", "content": r.System})
	}
	for i := range r.Messages {
		switch m := &r.Messages[i]; m.Role {
		case llm.RoleAssistant:
			out = append(out, p.assistant(m))
		case llm.RoleTool:
			for _, part := range m.Parts {
				if part.Type == llm.PartToolResult {
					out = append(out, object{"role": "tool", "tool_call_id": part.ID, "content": part.ResultText()})
				}
			}
		default:
			out = append(out, object{"role": "user", "content": userContent(m)})
		}
	}
	return out
}

// userContent is text alone where there is nothing else, since not every server takes lists.
func userContent(m *llm.Message) any {
	var list []object
	plain := true
	for _, part := range m.Parts {
		switch part.Type {
		case llm.PartText:
			list = append(list, object{"type": "text", "text": part.Text})
		case llm.PartImage:
			plain = false
			list = append(list, object{"type": "image_url", "image_url": object{"url": part.Image.URL}})
		}
	}
	if plain {
		return m.Text()
	}
	return list
}

// meta is what the protocol's variants want back with the part it came with.
type meta struct {
	// Field is where reasoning came: "reasoning_content" or "reasoning".
	Field   string          `json:"field,omitempty"`
	Details json.RawMessage `json:"reasoning_details,omitempty"` // of OpenRouter
	Extra   json.RawMessage `json:"extra_content,omitempty"`     // of Gemini: signatures of thoughts
}

func (p *Provider) metaOf(part *llm.Part) (m meta) {
	if raw := part.Meta[p.cfg.Kind]; raw != nil {
		if json.Unmarshal(raw, &m) != nil {
			return meta{} // from a hand-written message: nothing we could send back
		}
	}
	return m
}

// assistant is an answer of the model, given back. Plain reasoning goes back only beside tool calls: there
// the servers that have it want it, elsewhere some refuse it.
func (p *Provider) assistant(m *llm.Message) object {
	o := object{"role": "assistant"}
	var calls []object
	for i := range m.Parts {
		part := &m.Parts[i]
		extra := p.metaOf(part)
		switch part.Type {
		case llm.PartReasoning:
			if extra.Details != nil {
				o["reasoning_details"] = extra.Details
			} else if extra.Field != "" && len(m.ToolCalls()) > 0 {
				o[extra.Field] = part.Text
			}
		case llm.PartToolCall:
			args := part.ArgsText
			if part.Args != nil {
				args = string(part.Args)
			}
			c := object{"id": part.ID, "type": "function", "function": object{"name": part.Name, "arguments": args}}
			if extra.Extra != nil {
				c["extra_content"] = extra.Extra
			}
			calls = append(calls, c)
		case llm.PartText:
			if extra.Extra != nil {
				o["extra_content"] = extra.Extra
			}
		}
	}
	if text := m.Text(); text != "" || calls == nil {
		o["content"] = text
	}
	if calls != nil {
		o["tool_calls"] = calls
	}
	return o
}
