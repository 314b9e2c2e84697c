package llm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/store/mem"
)

// A workflow that asks a model and completes with the answer. With a key in the environment, "openai/gpt-5-mini" in place of
// the script, and openai.Open among the kinds, it asks that one.
func Example() {
	dir := bide.Must(os.MkdirTemp("", "llm"))
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "replies.yaml")
	if err := os.WriteFile(file, []byte("triage: [{text: urgent}]"), 0o600); err != nil {
		panic(err)
	}
	cfg := llm.Config{Providers: map[string]llm.ProviderConfig{"scripted": {File: file}}}
	models := bide.Must(llm.New(cfg, llm.Kinds{"scripted": scripted.Open}, nil))

	rt := bide.Must(bide.New(mem.New(), nil))
	rt.Handle(llm.Type, models.Handle)
	triage := func(r *bide.Run) (bide.StepPlan, error) {
		ticket, err := bide.Input[string](r)
		call := llm.Call(llm.Request{Model: "scripted/triage", Messages: []llm.Message{llm.User("How urgent is this? " + ticket)}})
		return bide.Do(call.As("answer")).ThenCompleteWith("answer.parts.0.text"), err
	}
	wf := bide.Workflow{ID: "triage", Version: "1", Entry: "triage", Nodes: bide.Nodes{"triage": triage}}
	run := bide.Must(rt.Run(context.Background(), wf, "the server is on fire", nil))
	fmt.Printf("%s: %s\n", run.Status, run.Output)
	// Output: completed: "urgent"
}
