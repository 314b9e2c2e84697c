package flow_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/tool"
)

// A grant for a workflow, given in an agent step, is for the flow that has the step.
func TestAGrantGivenInAnAgentStepIsForItsFlow(t *testing.T) {
	h := newHost(t, nil)
	file := filepath.Join(t.TempDir(), "replies.yaml")
	if err := os.WriteFile(file, []byte("work:\n  - tool_calls: [{name: mail, args: {to: ada}}]\n  - text: done\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	models := bide.Must(llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"scripted": {File: file}}}, llm.Kinds{"scripted": scripted.Open}, nil))
	h.Handle(llm.Type, models.Handle)
	book := tool.NewGrantBook(h.Documents(), nil)
	set := bide.Must(tool.New(&tool.Options{Grants: book}, mail()))
	set.Register(h.Runtime)
	agent.Handle(h.Runtime, h.Documents().(bide.Store))
	if err := bide.Must(agent.New(agent.Config{ID: flow.AgentWorkflow, Tools: set})).Register(h.Runtime); err != nil {
		t.Fatal(err)
	}
	start := func(name string) (root string, waits []bide.Wait) {
		src := strings.Replace(string(yamlOf("- agent: {task: write, model: scripted/work, tools: [mail]}")), "flow: a", "flow: "+name, 1)
		run := h.start([]byte(src), nil)
		for _, w := range bide.Must(h.Waits(t.Context(), bide.WaitQuery{Root: run.ID})).Waits {
			if w.Kind == bide.WaitToolApproval {
				waits = append(waits, w)
			}
		}
		return run.ID, waits
	}

	first, asked := start("letters")
	if len(asked) != 1 {
		t.Fatalf("waits = %+v, want one decision", asked)
	}
	answer := bide.JSON(`{"decisions":[{"tool_call_id":"` + asked[0].Items[0].ToolCallID + `","args_sha256":"` + asked[0].Items[0].ArgsSHA256 + `","type":"approve"}],"remember":{"scope":"workflow","match":"tool"}}`)
	id, _ := bide.WaitRun(asked[0].ID)
	if _, err := h.Resume(context.Background(), id, asked[0].ID, answer, bide.Command{Actor: "anna"}); err != nil {
		t.Fatal(err)
	}
	if run := h.drive(first); run.Status != bide.StatusCompleted {
		t.Fatalf("the run is %s: %v", run.Status, run.Error)
	}
	for name, want := range map[string]int{"letters": 0, "bills": 1} {
		if _, asked := start(name); len(asked) != want {
			t.Errorf("another run of %s asks %d times, want %d", name, len(asked), want)
		}
	}
	kept, _, err := book.List(t.Context(), "", 0)
	if err != nil || len(kept) != 1 || kept[0].Of != "letters" {
		t.Errorf("the grants are %+v, %v; want one of letters", kept, err)
	}
}
