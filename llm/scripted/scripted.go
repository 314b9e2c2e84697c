// Package scripted answers from a file, for demonstrations and tests. What it says is marked as scripted, and its
// models are named scripted/…, so that nobody takes it for a model's. It knows nothing of effects or prices.
//
// A file is YAML, or JSON: scripts by name, each a list of replies.
//
//	research:
//	  - text: Let me look that up.
//	    tool_calls: [{name: search, args: {query: bide}}]
//	  - text: It is a workflow runtime.
//	    usage: {input_tokens: 120, output_tokens: 9}
//	  - when: weather
//	    text: I do not know about the weather.
//
// The model scripted/research gives the n-th reply to a conversation that has n-1 answers already: it keeps no
// state, and a restart changes nothing. A reply with "when" is given, whatever the turn, when the last message
// contains that text; it is not counted among the others.
package scripted

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"go.yaml.in/yaml/v4"
)

// Provider answers from scripts.
type Provider struct {
	scripts map[string][]Reply
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Open     = Open
)

// Reply is one answer.
type Reply struct {
	When      string     `yaml:"when"` // part of the last message; see the package comment
	Reasoning string     `yaml:"reasoning"`
	Text      string     `yaml:"text"`
	ToolCalls []ToolCall `yaml:"tool_calls"`
	Finish    llm.Finish `yaml:"finish"` // defaults to tool_calls if there are any, else to stop
	Usage     Usage      `yaml:"usage"`
	// Delay is the pause before each word, such as 30ms. Defaults to none.
	Delay time.Duration `yaml:"delay"`
	// Fail fails the first attempts instead of answering.
	Fail *Failure `yaml:"fail"`
}

// ToolCall is a call that the script makes.
type ToolCall struct {
	ID   string `yaml:"id"` // defaults to one that is derived
	Name string `yaml:"name"`
	Args any    `yaml:"args"` // an object; a text is passed on as it is, valid or not
}

// Usage is what the script says that it used; what is not said is unknown.
type Usage struct {
	Input  *int64 `yaml:"input_tokens"`
	Output *int64 `yaml:"output_tokens"`
}

// Failure is an error in place of an answer.
type Failure struct {
	Code       llm.Code      `yaml:"code"`
	Message    string        `yaml:"message"`
	RetryAfter time.Duration `yaml:"retry_after"`
	Attempts   int           `yaml:"attempts"` // how many attempts fail. Defaults to all.
}

// Open is the llm.Open of the kind "scripted". It fails when the file cannot be read or has something unknown in it.
func Open(cfg llm.ProviderConfig, _ llm.Env) (llm.Provider, error) {
	if cfg.File == "" {
		return nil, errors.New("it needs a file with scripts")
	}
	b, err := os.ReadFile(cfg.File)
	if err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	p, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.File, err)
	}
	return p, nil
}

// Parse reads a file of scripts. It fails when something in it is not known.
func Parse(b []byte) (*Provider, error) {
	p := &Provider{}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&p.scripts); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.scripts)) {
		for i, r := range p.scripts[name] {
			if r.Text == "" && len(r.ToolCalls) == 0 && r.Fail == nil {
				return nil, fmt.Errorf("reply %d of script %q has no text, no tool_calls and no fail", i+1, name)
			}
		}
	}
	return p, nil
}

// Generate implements llm.Provider. It fails with llm.CodeInvalidRequest when the script is unknown or at its end.
func (p *Provider) Generate(ctx context.Context, req *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	script, ok := p.scripts[req.Model]
	if !ok {
		return nil, llm.Errorf(llm.CodeInvalidRequest, "there is no script %q; there are %s", req.Model, strings.Join(slices.Sorted(maps.Keys(p.scripts)), ", "))
	}
	r, err := choose(script, req)
	if err != nil {
		return nil, err
	}
	if err := r.fail(ctx); err != nil {
		return nil, err
	}
	asm := llm.NewAssembler(emit)
	if err := r.say(ctx, asm); err != nil {
		return nil, err
	}
	resp := &llm.Response{Message: asm.Message(), Finish: r.Finish, Provider: llm.ProviderInfo{Scripted: true}, ServedModel: llm.ScriptedName,
		Usage: llm.Usage{Input: llm.Count(r.Usage.Input), Output: llm.Count(r.Usage.Output)}}
	switch {
	case resp.Finish != "":
	case len(r.ToolCalls) > 0:
		resp.Finish = llm.FinishToolCalls
	default:
		resp.Finish = llm.FinishStop
	}
	return resp, nil
}

// choose finds the reply to a conversation.
func choose(script []Reply, req *llm.Request) (*Reply, error) {
	turn := 0
	for _, m := range req.Messages {
		if m.Role == llm.RoleAssistant {
			turn++
		}
	}
	last := &req.Messages[len(req.Messages)-1]
	said := last.Text()
	for i := range last.Parts {
		said += last.Parts[i].ResultText()
	}
	n := 0
	var next *Reply
	for i := range script {
		r := &script[i]
		switch {
		case r.When != "" && strings.Contains(said, r.When):
			return r, nil
		case r.When != "":
		case n == turn && next == nil:
			next = r
			n++
		default:
			n++
		}
	}
	if next == nil {
		return nil, llm.Errorf(llm.CodeInvalidRequest, "the script %q has %d replies; the conversation is at answer %d", req.Model, n, turn+1)
	}
	return next, nil
}

// fail is the error that the script has for this attempt.
func (r *Reply) fail(ctx context.Context) error {
	f := r.Fail
	if f == nil {
		return nil
	}
	attempt := 1
	if inv := bide.InvocationFrom(ctx); inv != nil {
		attempt = inv.Attempt
	}
	if f.Attempts > 0 && attempt > f.Attempts {
		return nil
	}
	return &llm.Error{Code: f.Code, Message: f.Message, RetryAfter: bide.Duration(f.RetryAfter)}
}

// say gives the reply word by word.
func (r *Reply) say(ctx context.Context, asm *llm.Assembler) error {
	for _, part := range []llm.Part{{Type: llm.PartReasoning, Text: r.Reasoning}, {Type: llm.PartText, Text: r.Text}} {
		if part.Text == "" {
			continue
		}
		for _, word := range strings.SplitAfter(part.Text, " ") {
			if err := pause(ctx, r.Delay); err != nil {
				return err
			}
			if err := asm.Add(string(part.Type), llm.Part{Type: part.Type, Text: word}); err != nil {
				return err
			}
		}
	}
	for i, c := range r.ToolCalls {
		args, ok := c.Args.(string)
		if !ok && c.Args != nil {
			raw, err := json.Marshal(c.Args)
			if err != nil {
				return llm.Errorf(llm.CodeInvalidRequest, "the arguments of call %d are not JSON: %w", i+1, err)
			}
			args = string(raw)
		}
		if err := asm.Add("call "+strconv.Itoa(i), llm.Part{Type: llm.PartToolCall, ID: c.ID, Name: c.Name, ArgsText: args}); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return llm.Transport(ctx, llm.CodeCancelled, ctx.Err())
	}
	return nil
}
