package main

import (
	"context"

	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/tool"
)

// team is an agent that has others work for it. All of them together may use what its limits say; who finds nothing left
// stops early, and says so.
func team(_ context.Context, _ *options, model func(string) string) (*agent.Agent, *tool.Set, func() error, error) {
	set, err := tool.New(nil)
	if err != nil {
		return nil, nil, nil, err
	}
	worker, err := agent.New(agent.Config{ID: "worker", Description: "Looks at one side of a question and reports in a few sentences.",
		Spec: agent.Spec{Model: model("worker"), System: "You look at what you are asked about, and report in at most five sentences.", MaxTokens: 400}})
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := agent.New(agent.Config{ID: "lead", Agents: []*agent.Agent{worker}, Spec: agent.Spec{
		Model:  model("lead"),
		System: "You split a question into parts, have a worker look at each, all at the same time, and put their reports together in one answer.",
		Limits: &agent.Limits{TotalTokens: 6000},
	}})
	return a, set, func() error { return nil }, err
}
