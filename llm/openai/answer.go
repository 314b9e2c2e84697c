package openai

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// chunk is one event of a stream.
type chunk struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Error   json.RawMessage `json:"error"`
	Usage   *usage          `json:"usage"`
	Choices []struct {
		Index        int     `json:"index"`
		Delta        delta   `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
}

type delta struct {
	Content          string            `json:"content"`
	Refusal          string            `json:"refusal"`
	ReasoningContent string            `json:"reasoning_content"`
	Reasoning        string            `json:"reasoning"`
	ReasoningDetails []json.RawMessage `json:"reasoning_details"`
	ToolCalls        []toolCall        `json:"tool_calls"`
	Extra            json.RawMessage   `json:"extra_content"`
}

type toolCall struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
	Extra json.RawMessage `json:"extra_content"`
}

type usage struct {
	Prompt        *int64 `json:"prompt_tokens"`
	Completion    *int64 `json:"completion_tokens"`
	PromptDetails struct {
		Cached *int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning *int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// answer is a response that is being read.
type answer struct {
	kind    string
	asm     *llm.Assembler
	resp    llm.Response
	finish  string
	refusal strings.Builder
	field   string            // where reasoning came
	details []json.RawMessage // of reasoning
	calls   []callSlot
}

// callSlot is a tool call under way.
type callSlot struct {
	index int // as the server numbers it
	id    string
}

func (a *answer) add(c *chunk) error {
	if c.ID != "" {
		a.resp.ID = c.ID
	}
	if c.Model != "" {
		a.resp.ServedModel = c.Model
	}
	if u := c.Usage; u != nil {
		a.resp.Usage = llm.Usage{Input: llm.Count(u.Prompt), Output: llm.Count(u.Completion),
			CacheRead: llm.Count(u.PromptDetails.Cached), Reasoning: llm.Count(u.CompletionDetails.Reasoning)}
	}
	for i := range c.Choices {
		ch := &c.Choices[i]
		if ch.Index != 0 {
			continue
		}
		if err := a.addDelta(&ch.Delta); err != nil {
			return err
		}
		if ch.FinishReason != nil && *ch.FinishReason != "" {
			a.finish = *ch.FinishReason
		}
	}
	return nil
}

func (a *answer) addDelta(d *delta) error {
	a.details = append(a.details, d.ReasoningDetails...)
	text := d.Reasoning
	if text != "" {
		a.field = "reasoning"
	}
	if d.ReasoningContent != "" { // some servers send the same text under both names
		text, a.field = d.ReasoningContent, "reasoning_content"
	}
	if text != "" {
		if err := a.asm.Add("reasoning", llm.Part{Type: llm.PartReasoning, Text: text}); err != nil {
			return err
		}
	}
	a.refusal.WriteString(d.Refusal)
	if d.Content != "" || len(d.Extra) > 0 {
		part := llm.Part{Type: llm.PartText, Text: d.Content}
		if len(d.Extra) > 0 {
			part.Meta = a.meta(meta{Extra: d.Extra})
		}
		if err := a.asm.Add("text", part); err != nil {
			return err
		}
	}
	for i := range d.ToolCalls {
		if err := a.addCall(&d.ToolCalls[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *answer) meta(m meta) map[string]bide.JSON {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil // m holds what was parsed as JSON before
	}
	return map[string]bide.JSON{a.kind: llm.RawMeta(raw)}
}

// addCall finds the call that a fragment belongs to. Most servers number them; some number all of them 0, or none,
// and send each whole, with an id of its own.
func (a *answer) addCall(c *toolCall) error {
	slot := -1
	for i, s := range a.calls {
		same := c.ID == "" || s.id == "" || c.ID == s.id
		switch {
		case c.Index != nil && *c.Index == s.index && same:
			slot = i
		case c.Index == nil && (c.ID != "" && c.ID == s.id || c.ID == "" && c.Function.Name == ""):
			slot = i
		}
	}
	if slot < 0 {
		slot = len(a.calls)
		s := callSlot{index: -1, id: c.ID}
		if c.Index != nil {
			s.index = *c.Index
		}
		a.calls = append(a.calls, s)
	}
	part := llm.Part{Type: llm.PartToolCall, ID: c.ID, Name: c.Function.Name, ArgsText: c.Function.Arguments}
	if len(c.Extra) > 0 {
		part.Meta = a.meta(meta{Extra: c.Extra})
	}
	return a.asm.Add("call "+strconv.Itoa(slot), part)
}

// mergeDetails joins the fragments of reasoning_details: texts of consecutive ones with the same index.
func mergeDetails(list []json.RawMessage) []any {
	var out []any
	for _, raw := range list {
		var d map[string]any
		if json.Unmarshal(raw, &d) != nil {
			out = append(out, raw)
			continue
		}
		if len(out) == 0 {
			out = append(out, d)
			continue
		}
		last, ok := out[len(out)-1].(map[string]any)
		if !ok || d["type"] != last["type"] || d["index"] == nil || d["index"] != last["index"] {
			out = append(out, d)
			continue
		}
		for name, value := range d {
			was, isText := last[name].(string)
			more, moreText := value.(string)
			if isText && moreText && (name == "text" || name == "summary" || name == "data") {
				value = was + more
			}
			if value != nil {
				last[name] = value
			}
		}
	}
	return out
}

// endReasoning adds what has to be given back with the reasoning.
func (a *answer) endReasoning() error {
	m := meta{Field: a.field}
	if len(a.details) > 0 {
		var err error
		if m.Details, err = json.Marshal(mergeDetails(a.details)); err != nil {
			return llm.Errorf(llm.CodeProtocol, "reasoning_details: %w", err)
		}
	}
	if m.Field == "" && m.Details == nil {
		return nil
	}
	return a.asm.Add("reasoning", llm.Part{Type: llm.PartReasoning, Meta: a.meta(m)})
}

// response is the answer when the stream has ended.
func (a *answer) response(ctx context.Context) (*llm.Response, error) {
	if a.finish == "" {
		return nil, llm.Transport(ctx, llm.CodeProtocol, errCut)
	}
	if a.refusal.Len() > 0 {
		return nil, llm.Errorf(llm.CodeContentFilter, "the model refused: %s", a.refusal.String())
	}
	if err := a.endReasoning(); err != nil {
		return nil, err
	}
	a.resp.Message = a.asm.Message()
	switch reason := a.finish; {
	case reason == "content_filter":
		return nil, llm.Errorf(llm.CodeContentFilter, "the answer was stopped by a content filter")
	case reason == "error":
		return nil, llm.Errorf(llm.CodeOverloaded, "the server ended the answer with an error")
	case reason == "length":
		a.resp.Finish = llm.FinishLength
	case len(a.calls) > 0: // some servers say "stop" here
		a.resp.Finish = llm.FinishToolCalls
	case reason == "stop":
		a.resp.Finish = llm.FinishStop
	default:
		a.resp.Finish = llm.FinishOther
	}
	return &a.resp, nil
}
