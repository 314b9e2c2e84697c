package client

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/gateway/api"
)

// Tools lists the tools that steps and agents may call, and the servers that they come from.
func (c *Client) Tools(ctx context.Context) (*api.ToolList, error) {
	return get[api.ToolList](ctx, c, nil, "tools")
}

// Models says where models can be asked, and at which prices.
func (c *Client) Models(ctx context.Context) (*api.ModelList, error) {
	return get[api.ModelList](ctx, c, nil, "models")
}

// Grants lists the grants of sessions and workflows; those for one run are in the run. A page may be shorter than the limit and not the last.
func (c *Client) Grants(ctx context.Context, limit int, cursor string) (*api.GrantPage, error) {
	return get[api.GrantPage](ctx, c, values("limit", number(limit), "cursor", cursor), "grants")
}

// RevokeGrant ends a grant where it was given: for the run, and for its session or workflow if it counts for that.
func (c *Client) RevokeGrant(ctx context.Context, runID, grantID, commandID string) (*bide.Run, error) {
	return change[bide.Run](ctx, c, http.MethodDelete, commandID, nil, "runs", runID, "grants", grantID)
}

// RevokeSharedGrant ends a grant by what it is for: a session or a workflow.
func (c *Client) RevokeSharedGrant(ctx context.Context, g *api.SharedGrant, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("grants", g.ID), query: values("scope", string(g.Scope), "of", g.Of), key: commandID}, nil)
}

// BudgetPage is one page of the budgets that agents share.
type BudgetPage struct {
	Budgets []agent.Standing `json:"budgets"` // each with the id of the agent's run
	Next    string           `json:"next,omitempty"`
}

// Budgets lists the budgets that agents share with those that they start, and how far they are used. A page may be shorter than the
// limit and not the last.
func (c *Client) Budgets(ctx context.Context, limit int, cursor string) (*BudgetPage, error) {
	return get[BudgetPage](ctx, c, values("limit", number(limit), "cursor", cursor), "budgets")
}
