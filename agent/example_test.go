package agent_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

const script = `
clerk:
  - tool_calls: [{name: pay, args: {to: anna, amount: 120}}]
  - text: Anna has her money.
`

// A clerk wants to pay somebody, which a person has to approve.
func Example() {
	ctx, store := context.Background(), mem.New()
	set := bide.Must(tool.New(nil, tool.Func("pay", "Pays somebody.", tool.Once, func(_ context.Context, in struct {
		To     string `json:"to"`
		Amount int    `json:"amount"`
	}) (string, error) {
		return "paid", nil
	})))
	clerk := bide.Must(agent.New(agent.Config{ID: "clerk", Tools: set, Spec: agent.Spec{Model: "scripted/clerk", System: "You pay what people are owed."}}))

	kinds := llm.Kinds{llm.ScriptedName: func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return scripted.Parse([]byte(script)) }}
	models := bide.Must(llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{llm.ScriptedName: {}}}, kinds, nil))
	rt := bide.Must(bide.New(store, nil))
	rt.Handle(llm.Type, models.Handle)
	set.Register(rt)
	agent.Handle(rt, store)

	run := bide.Must(rt.Run(ctx, clerk.Workflow(), agent.Input{Task: "Anna is owed 120."}, nil))
	wait := run.Waits[0]
	fmt.Println(wait.Message, string(wait.Items[0].Args))
	bide.Must(rt.Resume(ctx, run.ID, wait.ID, bide.Approval{Approved: new(true)}, bide.Command{Actor: "ben"}))
	run = bide.Must(rt.Tick(ctx, run.ID))
	var out agent.Output
	if err := json.Unmarshal(run.Output, &out); err != nil {
		panic(err)
	}
	fmt.Println(out.ExitReason, out.Answer)
	// Output:
	// May pay be called? {"amount":120,"to":"anna"}
	// answered Anna has her money.
}
