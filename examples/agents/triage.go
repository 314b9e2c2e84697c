package main

import (
	"context"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// ticket is the form that triage gives its answer.
var ticket = bide.JSON(`{"type":"object","additionalProperties":false,"required":["queue","urgency","summary"],"properties":{` +
	`"queue":{"enum":["billing","technical","other"]},"urgency":{"type":"integer","minimum":1,"maximum":5},"summary":{"type":"string"}}}`)

// triage is an agent that sorts what customers write; its output fits a schema.
func triage(_ context.Context, _ *options, model func(string) string) (*agent.Agent, *tool.Set, func() error, error) {
	set, err := tool.New(nil)
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := agent.New(agent.Config{ID: "triage", Spec: agent.Spec{
		Model:  model("triage"),
		System: "You sort messages of customers. urgency is 1 for no hurry, to 5 for danger. summary is one sentence.",
		Output: &llm.Output{Name: "ticket", Schema: ticket},
	}})
	return a, set, func() error { return nil }, err
}
