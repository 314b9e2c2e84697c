package agent

import (
	"context"
	"encoding/json"

	"github.com/bide-dev/bide"
)

// TypeBudget is the effect that opens a budget wait.
const TypeBudget = "agent.budget"

// budget asks a person about a limit that was reached.
func (a *Agent) budget(s *state) (bide.StepPlan, error) {
	var v verdict
	if err := s.get(map[string]any{"reached": &v}); err != nil {
		return bide.StepPlan{}, err
	}
	return bide.Do(bide.Call(TypeBudget, v).As("budget")).Then(nodeRaise), nil
}

func (h *host) handleBudget(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var v verdict
	if err := json.Unmarshal(call.Payload, &v); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	return bide.Waiting(bide.Wait{Kind: bide.WaitBudget, Key: string(v.Reached), Message: "A limit of agent " + call.Workflow + " is reached: " + v.Message + ".",
		Schema: limitsSchema, Details: call.Payload}), nil
}

// raise takes a person's word on a limit that was reached.
func (a *Agent) raise(s *state) (bide.StepPlan, error) {
	var v verdict
	var back string
	var said bide.Budget
	if err := s.get(map[string]any{"reached": &v, "back": &back, "budget": &said}); err != nil {
		return bide.StepPlan{}, err
	}
	if said.Type != bide.BudgetRaise {
		return bide.Go(nodeFinish).Set("exit_reason", ExitStopped), nil
	}
	var more Limits
	if err := json.Unmarshal(said.Limits, &more); err != nil {
		return bide.StepPlan{}, err
	}
	plan := bide.Go(back).Delete("reached").Delete("budget")
	if v.Pool != "" {
		return plan.Set("raise", raise{v.Pool, more}), nil
	}
	var raised Limits
	if err := s.get(map[string]any{"limits": &raised}); err != nil {
		return plan, err
	}
	return plan.Set("limits", more.over(raised)), nil
}
