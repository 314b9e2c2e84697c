package anthropic

import (
	"encoding/json"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/bide-dev/bide/llm"
)

// defaultMaxTokens is for requests that say nothing; the API needs a number.
const defaultMaxTokens = 16384

// params is a request in the form of the API.
func (p *Provider) params(r *llm.Request) (*anthropic.MessageNewParams, error) {
	out := &anthropic.MessageNewParams{Model: r.Model, MaxTokens: r.MaxTokens, StopSequences: r.Stop}
	if out.MaxTokens == 0 {
		out.MaxTokens = defaultMaxTokens
	}
	if r.System != "" {
		out.System = []anthropic.TextBlockParam{{Text: r.System}}
	}
	if r.Temperature != nil {
		out.Temperature = anthropic.Float(*r.Temperature)
	}
	if r.TopP != nil {
		out.TopP = anthropic.Float(*r.TopP)
	}
	if err := setTools(out, r); err != nil {
		return nil, err
	}
	if r.Output != nil {
		if err := json.Unmarshal(r.Output.Schema, &out.OutputConfig.Format.Schema); err != nil {
			return nil, llm.Errorf(llm.CodeInvalidRequest, "output.schema is not an object: %w", err)
		}
	}
	switch r.Reasoning {
	case "":
	case "none":
		out.Thinking.OfDisabled = &anthropic.ThinkingConfigDisabledParam{}
	default:
		out.Thinking.OfAdaptive = &anthropic.ThinkingConfigAdaptiveParam{}
		out.OutputConfig.Effort = anthropic.OutputConfigEffort(r.Reasoning)
	}
	for i := range r.Messages {
		p.addMessage(out, &r.Messages[i])
	}
	return out, nil
}

func setTools(out *anthropic.MessageNewParams, r *llm.Request) error {
	for _, t := range r.Tools {
		tool := anthropic.ToolParam{Name: t.Name}
		if t.Description != "" {
			tool.Description = anthropic.String(t.Description)
		}
		if err := json.Unmarshal(t.Schema, &tool.InputSchema); err != nil {
			return llm.Errorf(llm.CodeInvalidRequest, "the schema of tool %q is not an object: %w", t.Name, err)
		}
		out.Tools = append(out.Tools, anthropic.ToolUnionParam{OfTool: &tool})
	}
	if len(r.Tools) == 0 {
		return nil
	}
	switch r.ToolChoice {
	case "none":
		out.ToolChoice.OfNone = &anthropic.ToolChoiceNoneParam{}
	case "required":
		out.ToolChoice.OfAny = &anthropic.ToolChoiceAnyParam{}
	}
	return nil
}

// addMessage adds a message; those of one role in a row become one, since all results of a turn have to be in one.
func (p *Provider) addMessage(out *anthropic.MessageNewParams, m *llm.Message) {
	role := anthropic.MessageParamRoleUser
	if m.Role == llm.RoleAssistant {
		role = anthropic.MessageParamRoleAssistant
	}
	var blocks []anthropic.ContentBlockParamUnion
	for i := range m.Parts {
		if b, ok := p.block(&m.Parts[i]); ok {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return
	}
	if n := len(out.Messages); n > 0 && out.Messages[n-1].Role == role {
		out.Messages[n-1].Content = append(out.Messages[n-1].Content, blocks...)
		return
	}
	out.Messages = append(out.Messages, anthropic.MessageParam{Role: role, Content: blocks})
}

// meta is what has to be given back with thinking, unchanged.
type meta struct {
	Signature string `json:"signature,omitempty"`
	Redacted  string `json:"redacted,omitempty"` // the whole of a block that only the provider can read
}

// block is a part in the form of the API, unless there is nothing to send.
func (p *Provider) block(part *llm.Part) (b anthropic.ContentBlockParamUnion, ok bool) {
	switch part.Type {
	case llm.PartText:
		return anthropic.NewTextBlock(part.Text), part.Text != ""
	case llm.PartReasoning:
		var m meta
		if raw := part.Meta[p.cfg.Kind]; raw == nil || json.Unmarshal(raw, &m) != nil {
			return b, false // of another provider, whose reasoning this one refuses
		}
		if m.Redacted != "" {
			return anthropic.NewRedactedThinkingBlock(m.Redacted), true
		}
		return anthropic.NewThinkingBlock(m.Signature, part.Text), m.Signature != ""
	case llm.PartToolCall:
		var input any = part.Args
		if part.Args == nil {
			input = map[string]string{"invalid_arguments": part.ArgsText}
		}
		return anthropic.NewToolUseBlock(part.ID, input, part.Name), true
	case llm.PartToolResult:
		return anthropic.NewToolResultBlock(part.ID, part.ResultText(), part.IsError), true
	case llm.PartImage:
		if mediaType, data, isData := dataURL(part.Image.URL); isData {
			return anthropic.NewImageBlockBase64(mediaType, data), true
		}
		return anthropic.NewImageBlock(anthropic.URLImageSourceParam{URL: part.Image.URL}), true
	}
	return b, false
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
