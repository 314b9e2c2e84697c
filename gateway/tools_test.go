package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

type mailArgs struct {
	To string `json:"to"`
}

// tools are a mail that people decide about, except to the boss, and a reader that passes.
func tools(t testing.TB, opts *tool.Options) *tool.Set {
	t.Helper()
	opts.Policy = bide.Must(tool.NewPolicy(tool.Rule{Tool: "mail", When: `args.to == "boss"`, Decide: tool.Deny}, tool.Rule{Tool: "mail", Decide: tool.Ask}, tool.Rule{Decide: tool.Auto}))
	return bide.Must(tool.New(opts,
		tool.Func("mail", "Sends a mail.", tool.Once, func(_ context.Context, in mailArgs) (string, error) { return "sent to " + in.To, nil }),
		tool.Func("read", "Reads mails.", tool.ReadOnly, func(context.Context, struct{}) (string, error) { return "none", nil })))
}

// echo is a provider that repeats what it is told, for three tokens.
type echo struct{}

func (echo) Generate(_ context.Context, req *llm.Request, _ func(llm.Delta)) (*llm.Response, error) {
	said := req.Messages[len(req.Messages)-1]
	return &llm.Response{Message: llm.Message{Role: llm.RoleAssistant, Parts: said.Parts}, Finish: llm.FinishStop, Usage: llm.Usage{Input: new(int64(2)), Output: new(int64(1))}}, nil
}

func models(t testing.TB) *llm.Models {
	t.Helper()
	cfg := llm.Config{Default: "work/big", Providers: map[string]llm.ProviderConfig{"work": {Kind: "openai", BaseURL: "https://vllm.example.com/v1", Key: "env:WORK_KEY"}}}
	kinds := llm.Kinds{"openai": func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return echo{}, nil }}
	return bide.Must(llm.New(cfg, kinds, &llm.Options{NamedOnly: true}))
}

// equipped gives a server tools, models, and grants.
func equipped(t testing.TB, opts *gateway.Options) *gateway.Options {
	t.Helper()
	opts.Grants = tool.NewGrantBook(mem.New(), nil)
	for id, g := range map[string]struct {
		scope bide.GrantScope
		of    string
	}{"x.1": {bide.GrantSession, "nights"}, "y.1": {bide.GrantWorkflow, "approval"}, "z.1": {bide.GrantWorkflow, auth.GrantsOf("approval", map[string]string{auth.NamespaceLabel: "acme"})}} {
		if err := opts.Grants.AddGrant(t.Context(), g.scope, g.of, bide.Grant{ID: id, Scope: g.scope, Match: bide.GrantTool, Tool: "mail"}); err != nil {
			t.Fatal(err)
		}
	}
	opts.Tools, opts.Models = tools(t, &tool.Options{}), models(t)
	opts.ToolServers = func() []api.ToolServer { return []api.ToolServer{{Name: "files", Error: "refused"}} }
	opts.Compact = func(context.Context) (int64, int64, error) { return 2000, 1000, nil }
	opts.CaseOf = func(_ context.Context, run *bide.Run) ([]byte, []string, error) {
		if !run.Status.Final() {
			return nil, nil, bide.Errorf(bide.CodeWrongStatus, "run %s cannot become a case", run.ID)
		}
		return []byte("cases of " + run.ID), nil, nil
	}
	return opts
}

// caller is a workflow that makes one call of the tool mail.
func caller(set *tool.Set) bide.Workflow {
	calls := []tool.Call{{ID: "c", Name: "mail", Args: `{"to":"anna"}`}}
	return bide.Workflow{ID: "caller", Version: "1", Entry: "call", Nodes: bide.Nodes{
		"call": func(*bide.Run) (bide.StepPlan, error) {
			plan, err := set.Plan(calls, "results")
			return plan.Then("end"), err
		},
		"end": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil },
	}}
}

// granting is a server that keeps grants, and a workflow of it that makes one call of the tool mail.
func granting(t *testing.T) (*server, bide.Workflow) {
	t.Helper()
	store := mem.New()
	book := tool.NewGrantBook(store, nil)
	set := tools(t, &tool.Options{Grants: book, GrantsOf: auth.GrantsOf})
	rt := bide.Must(bide.New(store, nil))
	set.Register(rt)
	return serverOf(t, rt, store, &gateway.Options{Workflows: []bide.Workflow{caller(set)}, Grants: book, Tools: set}), caller(set)
}

// A grant for a workflow lets later calls pass in its own namespace alone, and none once it is revoked over the run that it was given in.
func TestAGrantForAWorkflowStaysInItsNamespaceAndEndsWhenItIsRevoked(t *testing.T) {
	s, _ := granting(t)
	begin := func(as string) *bide.Run { return s.start(as, `{"workflow":"caller"}`) }

	first := begin("operator@acme")
	if len(first.Waits) != 1 {
		t.Fatalf("run = %s, want one wait", first.Status)
	}
	answer := fmt.Sprintf(`{"decisions":[{"tool_call_id":"c","args_sha256":%q,"type":"approve"}],"remember":{"scope":"workflow","match":"tool"}}`, first.Waits[0].Items[0].ArgsSHA256)
	if got := s.ask("approver@acme", http.MethodPost, "/v1/waits/"+first.Waits[0].ID+"/answer", answer); got.Status != http.StatusOK {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	s.tick(first.ID)
	if run := begin("operator@acme"); run.Status != bide.StatusCompleted {
		t.Errorf("a run of the same namespace is %s, want completed by the grant", run.Status)
	}
	if run := begin("operator"); len(run.Waits) != 1 {
		t.Errorf("a run of another namespace is %s with the grant, want a wait", run.Status)
	}
	if got := s.ask("viewer@acme", http.MethodGet, "/v1/grants", ""); got.field(t, "grants.0.of") != "caller" || got.field(t, "grants.0.by") != "approver@acme" {
		t.Errorf("grants = %s", got.Body)
	}
	if got := s.ask("viewer", http.MethodGet, "/v1/grants", ""); got.field(t, "grants") != "[]" {
		t.Errorf("grants of the default namespace = %s", got.Body)
	}
	id := first.Waits[0].ID
	if got := s.ask("approver@acme", http.MethodDelete, "/v1/runs/"+first.ID+"/grants/"+id, ""); got.Status != http.StatusOK {
		t.Fatalf("revoke = %d %s", got.Status, got.Body)
	}
	if run := begin("operator@acme"); len(run.Waits) != 1 {
		t.Errorf("after the grant was revoked, a run is %s, want a wait", run.Status)
	}
}

// What does a step of a flow, as the run of an agent step, asks in the flow's name, and its grants are the flow's.
func TestAWaitBelowAStepNamesTheFlowThatAGrantIsFor(t *testing.T) {
	s, call := granting(t)
	step := func(of string) *bide.Run {
		run := bide.Must(s.rt.Run(t.Context(), call, nil, &bide.StartOptions{Labels: map[string]string{bide.LabelOf: of}}))
		return bide.Must(s.rt.Get(t.Context(), run.ID))
	}
	first := step("refund")
	at := "/v1/waits/" + first.Waits[0].ID
	if got := s.ask("viewer", http.MethodGet, at, ""); got.field(t, "workflow") != "refund" {
		t.Errorf("wait = %s", got.Body)
	}
	answer := fmt.Sprintf(`{"decisions":[{"tool_call_id":"c","args_sha256":%q,"type":"approve"}],"remember":{"scope":"workflow","match":"tool"}}`, first.Waits[0].Items[0].ArgsSHA256)
	if got := s.ask("approver", http.MethodPost, at+"/answer", answer); got.Status != http.StatusOK {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	s.tick(first.ID)
	if got := s.ask("viewer", http.MethodGet, "/v1/grants", ""); got.field(t, "grants.0.of") != "refund" {
		t.Errorf("grants = %s", got.Body)
	}
	for of, status := range map[string]bide.Status{"refund": bide.StatusCompleted, "order": bide.StatusWaiting} {
		if run := step(of); run.Status != status {
			t.Errorf("a step of %s is %s, want %s", of, run.Status, status)
		}
	}
}

// What agents share and what calls of models took is there for whoever sees the runs.
func TestBudgetsAndUsageAreThoseOfRunsThatAreSeen(t *testing.T) {
	store := mem.New()
	rt := bide.Must(bide.New(store, nil))
	rt.Handle(llm.Type, models(t).Handle)
	agent.Handle(rt, store)
	set := tools(t, &tool.Options{})
	set.Register(rt)
	helper := bide.Must(agent.New(agent.Config{ID: "helper", Description: "Helps."}))
	boss := bide.Must(agent.New(agent.Config{ID: "boss", Agents: []*agent.Agent{helper}, Spec: agent.Spec{Limits: &agent.Limits{TotalTokens: 1000}}}))
	if err := boss.Register(rt); err != nil {
		t.Fatal(err)
	}
	s := serverOf(t, rt, store, &gateway.Options{Workflows: []bide.Workflow{boss.Workflow()}})
	run := s.start("operator@acme", `{"workflow":"boss","input":{"task":"say hello"}}`)
	if run.Status != bide.StatusCompleted {
		t.Fatalf("run = %s: %v", run.Status, run.Error)
	}
	got := s.ask("viewer@acme", http.MethodGet, "/v1/budgets", "")
	if got.field(t, "budgets.0.id") != run.ID || got.field(t, "budgets.0.limits.total_tokens") != "1000" || got.field(t, "budgets.0.used.input_tokens") != "2" || got.field(t, "budgets.0.runs") != "1" {
		t.Errorf("budgets = %s", got.Body)
	}
	got = s.ask("viewer@acme", http.MethodGet, "/v1/usage?q=flow:boss", "")
	if got.field(t, "runs.0.run_id") != run.ID || got.field(t, "runs.0.usage.output_tokens") != "1" || !strings.Contains(got.field(t, "runs.0.usage.by_model"), "work/big") {
		t.Errorf("usage = %s", got.Body)
	}
	for path, member := range map[string]string{"/v1/budgets": "budgets", "/v1/usage": "runs"} {
		if got := s.ask("viewer", http.MethodGet, path, ""); got.field(t, member) != "[]" {
			t.Errorf("%s of another namespace = %s", path, got.Body)
		}
	}
}
