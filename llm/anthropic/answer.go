package anthropic

import (
	"cmp"
	"encoding/json"
	"strconv"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// answer is a response that is being read.
type answer struct {
	kind     string
	asm      *llm.Assembler
	resp     llm.Response
	usage    usage
	reason   string
	why      string // of a refusal
	complete bool   // the stream said so
}

// event is one event of a stream.
type event struct {
	Type    string `json:"type"`
	Index   int64  `json:"index"` // of the block that it is about
	Message struct {
		ID    string `json:"id"`
		Model string `json:"model"`
		Usage usage  `json:"usage"`
	} `json:"message"` // of message_start
	Block struct {
		Type      string `json:"type"`
		ID        string `json:"id"`
		Name      string `json:"name"`
		Text      string `json:"text"`
		Thinking  string `json:"thinking"`
		Signature string `json:"signature"`
		Data      string `json:"data"`
	} `json:"content_block"` // of content_block_start
	Delta struct {
		Type        string `json:"type"`
		Text        string `json:"text"`
		Thinking    string `json:"thinking"`
		Signature   string `json:"signature"`
		PartialJSON string `json:"partial_json"`
		StopReason  string `json:"stop_reason"`
		StopDetails struct {
			Explanation string `json:"explanation"`
		} `json:"stop_details"`
	} `json:"delta"` // of content_block_delta, and the last two of message_delta
	Usage usage `json:"usage"` // of message_delta
}

// usage is what was used; nil is unknown.
type usage struct {
	Input      *int64   `json:"input_tokens"`
	Output     *int64   `json:"output_tokens"`
	CacheRead  *int64   `json:"cache_read_input_tokens"`
	CacheWrite *int64   `json:"cache_creation_input_tokens"`
	Details    *details `json:"output_tokens_details"`
}

type details struct {
	Thinking *int64 `json:"thinking_tokens"`
}

func (a *answer) add(e *event) error {
	switch e.Type {
	case "message_start":
		a.resp.ID, a.resp.ServedModel = e.Message.ID, e.Message.Model
		a.count(e.Message.Usage)
		a.usage.Output = nil // a guess; message_delta has the count
	case "content_block_start":
		return a.addStart(e)
	case "content_block_delta":
		return a.addDelta(e)
	case "message_delta":
		a.reason, a.why = e.Delta.StopReason, e.Delta.StopDetails.Explanation
		a.count(e.Usage)
	case "message_stop":
		a.complete = true
	}
	return nil
}

// count takes over the counts that an event has.
func (a *answer) count(u usage) {
	a.usage = usage{cmp.Or(u.Input, a.usage.Input), cmp.Or(u.Output, a.usage.Output), cmp.Or(u.CacheRead, a.usage.CacheRead),
		cmp.Or(u.CacheWrite, a.usage.CacheWrite), cmp.Or(u.Details, a.usage.Details)}
}

func (a *answer) addStart(e *event) error {
	key, b := strconv.FormatInt(e.Index, 10), &e.Block
	switch b.Type {
	case "text":
		return a.asm.Add(key, llm.Part{Type: llm.PartText, Text: b.Text})
	case "thinking":
		p := llm.Part{Type: llm.PartReasoning, Text: b.Thinking}
		if b.Signature != "" {
			p.Meta = a.meta(meta{Signature: b.Signature})
		}
		return a.asm.Add(key, p)
	case "redacted_thinking":
		return a.asm.Add(key, llm.Part{Type: llm.PartReasoning, Meta: a.meta(meta{Redacted: b.Data})})
	case "tool_use":
		return a.asm.Add(key, llm.Part{Type: llm.PartToolCall, ID: b.ID, Name: b.Name})
	}
	return nil // of the provider's own tools, which no request of ours asks for
}

func (a *answer) addDelta(e *event) error {
	key, d := strconv.FormatInt(e.Index, 10), &e.Delta
	switch d.Type {
	case "text_delta":
		return a.asm.Add(key, llm.Part{Type: llm.PartText, Text: d.Text})
	case "thinking_delta":
		return a.asm.Add(key, llm.Part{Type: llm.PartReasoning, Text: d.Thinking})
	case "signature_delta":
		return a.asm.Add(key, llm.Part{Type: llm.PartReasoning, Meta: a.meta(meta{Signature: d.Signature})})
	case "input_json_delta":
		return a.asm.Add(key, llm.Part{Type: llm.PartToolCall, ArgsText: d.PartialJSON})
	}
	return nil
}

func (a *answer) meta(m meta) map[string]bide.JSON {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil // two strings
	}
	return map[string]bide.JSON{a.kind: llm.RawMeta(raw)}
}

// response is the answer when the stream has ended.
func (a *answer) response() (*llm.Response, error) {
	r := &a.resp
	r.Message = a.asm.Message()
	r.Usage = a.counts()
	switch a.reason {
	case "refusal":
		return nil, llm.Errorf(llm.CodeContentFilter, "the model refused: %s", a.why)
	case "end_turn", "stop_sequence":
		r.Finish = llm.FinishStop
	case "tool_use":
		r.Finish = llm.FinishToolCalls
	case "max_tokens", "model_context_window_exceeded":
		r.Finish = llm.FinishLength
	case "":
		return nil, llm.Errorf(llm.CodeProtocol, "the answer ended without a reason")
	default:
		r.Finish = llm.FinishOther
	}
	return r, nil
}

// counts adds up the input, which the API gives in three parts.
func (a *answer) counts() llm.Usage {
	u := llm.Usage{Output: llm.Count(a.usage.Output), CacheRead: llm.Count(a.usage.CacheRead), CacheWrite: llm.Count(a.usage.CacheWrite)}
	if a.usage.Details != nil {
		u.Reasoning = llm.Count(a.usage.Details.Thinking)
	}
	if u.Input = llm.Count(a.usage.Input); u.Input != nil {
		for _, part := range []*int64{u.CacheRead, u.CacheWrite} {
			if part != nil {
				*u.Input += *part
			}
		}
	}
	return u
}
