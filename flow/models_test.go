package flow_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/tool"
)

// withModels gives a host scripts for models, tools, and the general agent.
func withModels(t *testing.T, scripts string, tools ...tool.Tool) *host {
	t.Helper()
	h := newHost(t, nil)
	file := filepath.Join(t.TempDir(), "replies.yaml")
	if err := os.WriteFile(file, []byte(scripts), 0o600); err != nil {
		t.Fatal(err)
	}
	models := bide.Must(llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"scripted": {File: file}}}, llm.Kinds{"scripted": scripted.Open}, nil))
	h.Handle(llm.Type, models.Handle)
	policy := bide.Must(tool.NewPolicy(tool.Rule{Tool: "mail", Decide: tool.Ask}, tool.Rule{Decide: tool.Auto}))
	set := bide.Must(tool.New(&tool.Options{Policy: policy}, tools...))
	set.Register(h.Runtime)
	agent.Handle(h.Runtime, h.Documents().(bide.Store))
	if err := bide.Must(agent.New(agent.Config{ID: flow.AgentWorkflow, Tools: set})).Register(h.Runtime); err != nil {
		t.Fatal(err)
	}
	return h
}

type mailArgs struct {
	To string `json:"to"`
}

// mail sends to everybody but nobody.
func mail() tool.Tool {
	return tool.Func("mail", "Sends a mail.", tool.Once, func(_ context.Context, in mailArgs) (string, error) {
		if in.To == "nobody" {
			return "", fmt.Errorf("there is no such address")
		}
		return "sent to " + in.To, nil
	})
}

func upper() tool.Tool {
	return tool.Func("greet", "Greets.", tool.ReadOnly, func(_ context.Context, in mailArgs) (string, error) { return "hello " + in.To, nil })
}

func TestAModelAnswersInAStep(t *testing.T) {
	h := withModels(t, `
judge: [{text: '{"ok": true}'}]
chat:
  - {text: never}
  - {reasoning: Hm., text: it is fine}
`)
	run := h.start(yamlOf(`
- {id: judge, llm: {model: "scripted/{{ env.model }}", prompt: "Is {{ input.x }} fine?", schema: {type: object}}}
- {id: chat, if: judge.output.ok, llm: {model: scripted/chat, messages: [{role: user, content: hi}, {role: assistant, content: ho}, {role: user, content: and?}]}}
- return: ["{{ judge.output.ok }}", "{{ said(chat) }}", "{{ chat.finish }}"]
env: {model: judge}
`), map[string]any{"x": "it"})
	completed(t, run, `[true,"it is fine","stop"]`)
}

func TestToolStepsAreCallsThatPeopleDecideAbout(t *testing.T) {
	h := withModels(t, "{}", mail(), upper())
	run := h.start(yamlOf(`
- {id: one, tool: {name: greet, args: {to: "{{ input.x }}"}}}
- {id: both, tool: [{name: mail, args: {to: anna}}, {name: greet, args: {to: ben}}, {name: fax}]}
- return: ["{{ one.content }}", "{{ both[0].content }}", "{{ both[1].content }}", "{{ both[2].status }}"]
`), map[string]any{"x": "it"})
	if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitToolApproval || string(run.Waits[0].Items[0].Args) != `{"to":"anna"}` {
		t.Fatalf("waits = %+v, want an approval of the mail to anna", run.Waits)
	}
	completed(t, h.answer(run, bide.Approval{Approved: new(true)}), `["hello it","sent to anna","hello ben","error"]`)
}

func TestAnEffectStepIsCarriedOutByWhoeverKnowsItsType(t *testing.T) {
	h := newHost(t, nil)
	tries := 0
	h.Handle("resize", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if tries++; tries == 1 {
			return bide.Outcome{}, fmt.Errorf("not yet")
		}
		return bide.Completed(call.Payload), nil
	})
	src := yamlOf(`
- {id: small, effect: {type: resize, payload: {image: "{{ input.x }}", width: 200}}, retry: {attempts: 2, backoff: 1s, jitter: 0}}
- {id: none, effect: {type: resize}}
- return: ["{{ small.image }}", "{{ small.width }}", "{{ none }}"]
`)
	completed(t, h.pass(h.start(src, map[string]any{"x": "cat.png"}), time.Second), `["cat.png",200,{}]`)
	if got := fmt.Sprint(parse(t, src).Effects()); got != "[resize]" {
		t.Errorf("the document needs %s", got)
	}
	for _, typ := range []string{"http", "LLM_CALL", "start_run", "bide.webhook.send", "agent.draw", "\"{{ input.x }}\"", "''"} {
		if got := faultsOf(t, string(yamlOf("- effect: {type: "+typ+"}"))); !strings.Contains(got, "bide's own") && !strings.Contains(got, "cannot be the type") {
			t.Errorf("type %s: %s", typ, got)
		}
	}
}

func TestAnAgentStepIsARunOfAnAgent(t *testing.T) {
	h := withModels(t, `
work:
  - tool_calls: [{name: greet, args: {to: ada}}, {name: mail, args: {to: ada}}]
  - text: '{"done": 1}'
`, mail(), upper())
	run := h.start(yamlOf(`
- id: work
  agent: {task: "tidy up {{ input.x }}", model: scripted/work, tools: [greet], schema: {type: object}, limits: {iterations: 5, cost: "0.5", allow_unpriced: true}, ask_user: true}
- return: ["{{ work.output.output.done }}", "{{ work.output.exit_reason }}", "{{ work.output.used.tool_calls }}"]
`), map[string]any{"x": "it"})
	completed(t, run, `[1,"answered",1]`)

	doc := parse(t, yamlOf(`
- {llm: {model: openai/m, prompt: x}}
- {tool: {name: mail}}
- {agent: {task: x, tools: [greet]}}
- {agent: {task: x, workflow: other}}
`))
	if got := fmt.Sprint(doc.Tools(), doc.Effects(), doc.Flows(), doc.Models()); got != "[greet mail] [LLM_CALL tool_call] [agent other] [openai/m]" {
		t.Errorf("the document needs %s", got)
	}
}

func TestModelStepsThatCannotBeUsedSaySo(t *testing.T) {
	h := withModels(t, "{}", mail())
	for steps, want := range map[string]string{
		"- agent: {task: x, limits: {patience: 3}}":                      `unknown field "patience"`,
		"- agent: {task: x, tools: [fax]}":                               `there is no tool "fax"; there are ["mail"]`,
		"- llm: {model: scripted/x, prompt: x, max_tokens: many}":        `max_tokens`,
		"- llm: {model: scripted/x, messages: [{role: me, content: a}]}": `"me" is none of user, assistant, tool`,
	} {
		run := h.start(yamlOf(steps), nil)
		if run.Status != bide.StatusFailed || run.Error == nil || !strings.Contains(run.Error.Message, want) {
			t.Errorf("%s: the run is %s with %v, want %q", steps, run.Status, run.Error, want)
		}
	}
}
