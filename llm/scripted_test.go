package llm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/store/mem"
)

const replies = `
research:
  - reasoning: I should look.
    text: Let me look that up.
    tool_calls: [{name: search, args: {query: bide}}, {name: search, args: 'query=bide'}]
  - text: It is a runtime.
    usage: {input_tokens: 120, output_tokens: 9}
  - when: weather
    text: No idea.
`

func TestAScriptGivesItsRepliesByTurn(t *testing.T) {
	m := scriptedModels(t, replies)
	req := llm.Request{Model: "scripted/research", Messages: []llm.Message{llm.User("what is bide?")}}
	var live []string
	first, err := m.Generate(t.Context(), req, func(d llm.Delta) { live = append(live, d.Part.Text) })
	if err != nil {
		t.Fatal(err)
	}
	calls := first.ToolCalls()
	if first.Text() != "Let me look that up." || first.Reasoning() != "I should look." || first.Finish != llm.FinishToolCalls || first.Usage.Known() ||
		len(calls) != 2 || string(calls[0].Args) != `{"query":"bide"}` || calls[1].Args != nil || calls[1].ArgsText != "query=bide" || calls[0].ID == calls[1].ID {
		t.Errorf("the first reply is %+v", first)
	}
	if len(live) < 5 || strings.Join(live[:3], "") != "I should look." {
		t.Errorf("it did not come word by word: %q", live)
	}
	if !first.Provider.Scripted || first.Model != "scripted/research" || first.ServedModel != "scripted" {
		t.Errorf("the reply could be taken for a model's: %+v", first)
	}
	result, err := llm.ToolResult(calls[0].ID, "search", map[string]string{"hit": "a runtime"}, false)
	if err != nil {
		t.Fatal(err)
	}
	req.Messages = append(req.Messages, first.Message, llm.ToolResults(result))
	second, err := m.Generate(t.Context(), req, nil)
	if err != nil || second.Text() != "It is a runtime." || second.Finish != llm.FinishStop || *second.Usage.Input != 120 {
		t.Errorf("the second reply is %+v, %v", second, err)
	}
	asked := llm.Request{Model: req.Model, Messages: append(req.Messages, second.Message, llm.User("and the weather?"))}
	if third, err := m.Generate(t.Context(), asked, nil); err != nil || third.Text() != "No idea." {
		t.Errorf("the third reply is %+v, %v", third, err)
	}
	asked.Messages = append(asked.Messages, llm.User("anything else?"))
	if _, err := m.Generate(t.Context(), asked, nil); codeOf(err) != llm.CodeInvalidRequest || !strings.Contains(err.Error(), "has 2 replies") {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := m.Generate(t.Context(), llm.Request{Model: "scripted/none", Messages: req.Messages}, nil); codeOf(err) != llm.CodeInvalidRequest || !strings.Contains(err.Error(), "research") {
		t.Errorf("an unknown script: %v", err)
	}
}

func TestScriptsAreStrict(t *testing.T) {
	for text, want := range map[string]string{
		"a: [{txt: hi}]":              "txt",
		"a: [{when: hi}]":             "reply 1 of script",
		"a: hi":                       "",
		"a: [{delay: soon, text: x}]": "soon",
	} {
		if _, err := scripted.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want %q", text, err, want)
		}
	}
}

func TestAScriptThatFailsIsTriedAgainDurably(t *testing.T) {
	m := scriptedModels(t, "s: [{text: ok, fail: {code: rate_limited, message: slow down, retry_after: 1m, attempts: 1}}]")
	b := newBench(t, mem.New(), m)
	run := b.run(once(llm.Call(llm.Request{Model: "scripted/s", Messages: []llm.Message{llm.User("x")}})), nil)
	if len(run.Waits) != 1 || run.Waits[0].Until.Sub(noon).Minutes() < 1 {
		t.Fatalf("the waits are %+v", run.Waits)
	}
	b.clock.Advance(3600e9)
	if run = b.tick(run); !strings.Contains(string(run.Output), `"scripted":true`) {
		t.Errorf("the output is %s", run.Output)
	}
}

func FuzzParseScripts(f *testing.F) {
	f.Add(replies)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := scripted.Parse([]byte(text))
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a script may ask for pauses
		defer cancel()
		resp, err := p.Generate(ctx, &llm.Request{Model: "a", Messages: []llm.Message{llm.User("hi")}}, nil)
		if (resp == nil) == (err == nil) {
			t.Errorf("Generate = %v, %v", resp, err)
		}
	})
}
