package gateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

const tagTools = "tools"

func (s *Server) registerTools() {
	register(s, operation{id: "list-tools", method: http.MethodGet, path: "/v1/tools", tag: tagTools, right: auth.View,
		summary: "The tools that steps and agents may call", about: "With their arguments, what the policy says about their calls, and the servers that they come from."}, s.listTools)
	register(s, operation{id: "list-models", method: http.MethodGet, path: "/v1/models", tag: tagTools, right: auth.View,
		summary: "Where models can be asked, and at which prices", about: "Without what is secret."}, s.listModels)
	register(s, operation{id: "list-grants", method: http.MethodGet, path: "/v1/grants", tag: tagTools, right: auth.View,
		summary: "List the grants of sessions and workflows", about: "Those for one run are in the run. A page may be shorter than the limit and not be the last."}, s.listGrants)
	register(s, operation{id: "revoke-shared-grant", method: http.MethodDelete, path: "/v1/grants/{grant}", tag: tagTools, right: auth.Decide, status: http.StatusNoContent,
		summary: "End a grant of a session or workflow", about: "Calls of tools that it would have let pass ask again."}, s.revokeShared)
	register(s, operation{id: "list-budgets", method: http.MethodGet, path: "/v1/budgets", tag: tagTools, right: auth.View,
		summary: "List the limits that agents share with those that they call", about: "A page may be shorter than the limit and not be the last."}, s.listBudgets)
	register(s, operation{id: "list-usage", method: http.MethodGet, path: "/v1/usage", tag: tagTools, right: auth.View,
		summary: "Tokens and cost of the calls of models, by run, newest first", about: "For the runs that match a search, as of GET /v1/runs. A page may be shorter than the limit and not be the last."}, s.listUsage)
}

func (s *Server) listTools(context.Context, *none) (*result[api.ToolList], error) {
	out := &api.ToolList{Tools: []api.Tool{}, Servers: []api.ToolServer{}}
	if s.opts.Tools != nil {
		for _, name := range s.opts.Tools.Names() {
			t, _ := s.opts.Tools.Tool(name)
			out.Tools = append(out.Tools, shownTool(&t, s.opts.Tools.Rules(name)))
		}
	}
	if s.opts.ToolServers != nil {
		out.Servers = append(out.Servers, s.opts.ToolServers()...)
	}
	return ok(out), nil
}

func shownTool(t *tool.Tool, rules []tool.Rule) api.Tool {
	out := api.Tool{Name: t.Name, Description: t.Description, Schema: t.Schema, Source: t.Source, Annotations: *t.Annotations, Safety: string(t.Safety),
		Decide: string(rules[0].Decide), Rules: []api.ToolRule{}, Timeout: bide.Duration(t.Timeout), AtOnce: t.AtOnce, MaxResult: t.MaxResult}
	if t.Safety == tool.Once {
		out.Safety = "once"
	}
	if slices.ContainsFunc(rules, func(r tool.Rule) bool { return r.Decide != rules[0].Decide }) {
		out.Decide = api.DecideDepends
	}
	for _, r := range rules {
		out.Rules = append(out.Rules, api.ToolRule{When: r.When, Decide: string(r.Decide), Reason: r.Reason})
	}
	return out
}

func (s *Server) listModels(context.Context, *none) (*result[api.ModelList], error) {
	out := &api.ModelList{Providers: []api.ModelProvider{}, Prices: []api.ModelPrice{}}
	m := s.opts.Models
	if m == nil {
		return ok(out), nil
	}
	out.Default = m.Default()
	for _, name := range m.Providers() {
		p := m.Config(name)
		out.Providers = append(out.Providers, api.ModelProvider{Name: name, Kind: p.Kind, BaseURL: p.BaseURL, Key: p.Key})
	}
	for _, p := range m.Prices().All() {
		out.Prices = append(out.Prices, api.ModelPrice{Model: p.Model, Input: p.Input.String(), Output: p.Output.String(),
			CacheRead: p.CacheRead.String(), CacheWrite: p.CacheWrite.String(), Version: p.Version})
	}
	return ok(out), nil
}

// seesGrants reports whether the grants of a session or workflow are the principal's to know of, and how it calls that. Whoever
// is limited to some runs sees the grants of workflows that it is limited to, and none of sessions.
func seesGrants(p *auth.Principal, scope bide.GrantScope, of string) (name string, sees bool) {
	name, sees = p.Local(of)
	if len(p.Labels) > 0 || len(p.Workflows) > 0 && (scope != bide.GrantWorkflow || !slices.Contains(p.Workflows, name)) {
		return name, false
	}
	return name, sees
}

func (s *Server) listGrants(ctx context.Context, in *Paged) (*result[api.GrantPage], error) {
	out := &api.GrantPage{Grants: []api.SharedGrant{}}
	if s.opts.Grants == nil {
		return ok(out), nil
	}
	all, next, err := s.opts.Grants.List(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	p := auth.From(ctx)
	for _, g := range all {
		if name, sees := seesGrants(p, g.Scope, g.Of); sees {
			out.Grants = append(out.Grants, api.SharedGrant{Grant: g.Grant, Of: name})
		}
	}
	out.Next = next
	return ok(out), nil
}

type revokeShared struct {
	Keyed
	Grant string          `path:"grant" maxLength:"200" doc:"id of the grant"`
	Scope bide.GrantScope `query:"scope" required:"true" enum:"session,workflow" doc:"what it is for"`
	Of    string          `query:"of" required:"true" maxLength:"1000" doc:"the session or workflow"`
}

func (s *Server) revokeShared(ctx context.Context, in *revokeShared) (*struct{}, error) {
	p := auth.From(ctx)
	of := p.Scoped(in.Of)
	if _, sees := seesGrants(p, in.Scope, of); s.opts.Grants == nil || !sees {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no grant %q of %s %q", in.Grant, in.Scope, in.Of)
	}
	return nil, s.opts.Grants.RevokeGrant(ctx, in.Scope, of, in.Grant, p.Actor)
}

// revokeBeyond ends a grant of a run for what else it counts for.
func (s *Server) revokeBeyond(ctx context.Context, run *bide.Run, id string) error {
	i := slices.IndexFunc(run.Grants, func(g bide.Grant) bool { return g.ID == id })
	if i < 0 || s.opts.Grants == nil || run.Grants[i].Scope == bide.GrantRun {
		return nil
	}
	return s.opts.Grants.End(ctx, run.Grants[i], auth.GrantOf(run, &run.Grants[i]), auth.From(ctx).Actor)
}

// BudgetPage is one page of budgets.
type BudgetPage struct {
	Budgets []agent.Standing `json:"budgets" nullable:"false" doc:"each with the id of the agent's run"`
	Next    string           `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

func (s *Server) listBudgets(ctx context.Context, in *Paged) (*result[BudgetPage], error) {
	all, next, err := agent.Pools(ctx, s.store, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	v := s.sight(ctx, auth.View)
	out := &BudgetPage{Budgets: []agent.Standing{}, Next: next}
	for _, one := range all {
		sees, err := s.trees.SeesRun(ctx, v.p, one.ID)
		if err != nil {
			return nil, err
		}
		if sees {
			out.Budgets = append(out.Budgets, one)
		}
	}
	return ok(out), nil
}

func (s *Server) listUsage(ctx context.Context, in *listRuns) (*result[api.UsagePage], error) {
	page, err := s.listRuns(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &api.UsagePage{Runs: []api.RunUsage{}, Next: page.Body.Next}
	for i := range page.Body.Runs {
		r := &page.Body.Runs[i]
		sum, err := llm.Spent(s.rt.Ledger(ctx, r.ID, 1))
		if err != nil {
			return nil, err
		}
		if sum.Calls > 0 || sum.Failed > 0 {
			out.Runs = append(out.Runs, api.RunUsage{RunID: r.ID, Workflow: r.Workflow, Status: r.Status, Usage: sum})
		}
	}
	return ok(out), nil
}
