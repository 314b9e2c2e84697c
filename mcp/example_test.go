package mcp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/mcp"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

type guest struct {
	Name string `json:"name"`
}

func greet(_ context.Context, _ *sdk.CallToolRequest, in guest) (*sdk.CallToolResult, any, error) {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "Welcome, " + in.Name + "."}}}, nil, nil
}

// The tools of a server, which a policy lets pass, are called in a run.
func Example() {
	house := sdk.NewServer(&sdk.Implementation{Name: "house", Version: "1"}, nil)
	sdk.AddTool(house, &sdk.Tool{Name: "greet", Description: "Greets a guest."}, greet)
	server := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return house }, nil))
	defer server.Close()

	ctx := context.Background()
	client := bide.Must(mcp.New(mcp.Server{Name: "house", URL: server.URL}, nil))
	defer client.Close()
	policy := bide.Must(tool.NewPolicy(tool.Rule{Source: "mcp:house", Decide: tool.Auto}))
	set := bide.Must(tool.New(&tool.Options{Policy: policy}, bide.Must(client.Tools(ctx))...))
	calls := []tool.Call{{ID: "c1", Name: "house__greet", Args: `{"name":"Ada"}`}}
	wf := bide.Workflow{ID: "visit", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(*bide.Run) (bide.StepPlan, error) {
			plan, err := set.Plan(calls, "results")
			return plan.Then("observe"), err
		},
		"observe": func(r *bide.Run) (bide.StepPlan, error) {
			results, err := tool.Results(r.Vars, "results", calls)
			return bide.Complete(results[0].Text()), err
		},
	}}
	rt := bide.Must(bide.New(mem.New(), nil))
	set.Register(rt)
	run := bide.Must(rt.Run(ctx, wf, nil, nil))
	fmt.Printf("%s: %s\n", run.Status, run.Output)
	// Output: completed: "Welcome, Ada."
}
