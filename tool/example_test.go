package tool_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

type payArgs struct {
	To     string `json:"to"`
	Amount int    `json:"amount" jsonschema:"in cents"`
}

func pay(_ context.Context, in payArgs) (string, error) {
	return fmt.Sprintf("paid %d to %s", in.Amount, in.To), nil
}

// A model asks for two payments. The small one passes; the other waits for a
// person, who changes the amount.
func ExampleSet_Plan() {
	policy := bide.Must(tool.NewPolicy(tool.Rule{Tool: "pay", When: "args.amount < 1000", Decide: tool.Auto}))
	set := bide.Must(tool.New(&tool.Options{Policy: policy}, tool.Func("pay", "Pays somebody.", tool.Once, pay)))
	calls := []tool.Call{
		{ID: "c1", Name: "pay", Args: `{"to":"anna","amount":500}`},
		{ID: "c2", Name: "pay", Args: `{"to":"ben","amount":5000}`},
	}
	wf := bide.Workflow{ID: "payments", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(*bide.Run) (bide.StepPlan, error) {
			plan, err := set.Plan(calls, "results")
			return plan.Then("observe"), err
		},
		"observe": func(r *bide.Run) (bide.StepPlan, error) {
			results, err := tool.Results(r.Vars, "results", calls)
			return bide.Complete(results), err
		},
	}}
	rt := bide.Must(bide.New(mem.New(), nil))
	set.Register(rt)
	ctx := context.Background()
	run := bide.Must(rt.Run(ctx, wf, nil, nil))

	wait := run.Waits[0]
	item := wait.Items[0]
	fmt.Println(wait.Kind, item.Name, string(item.Args))
	bide.Must(rt.Resume(ctx, run.ID, wait.ID, bide.Approval{Decisions: []bide.ToolDecision{{
		ToolCallID: item.ToolCallID, ArgsSHA256: item.ArgsSHA256, Type: bide.VerbEdit, Args: json.RawMessage(`{"to":"ben","amount":50}`), Reason: "a typo",
	}}}, bide.Command{Actor: "anna"}))
	run = bide.Must(rt.Tick(ctx, run.ID))
	for _, res := range bide.Must(tool.Results(run.Vars, "results", calls)) {
		fmt.Printf("%s %s: %s\n", res.ToolCallID, res.Status, res.Text())
	}
	// Output:
	// tool_approval pay {"to":"ben","amount":5000}
	// c1 ok: paid 500 to anna
	// c2 ok: A person changed the arguments from {"to":"ben","amount":5000} to {"to":"ben","amount":50}. Reason: a typo.
	//
	// paid 50 to ben
}
