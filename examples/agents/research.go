package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/tool"
)

// shelf is what there is to read.
var shelf = map[string]string{
	"pisa-height": "The tower of Pisa is 55.86 m high on the low side and 56.67 m on the high side.",
	"pisa-lean":   "The tower of Pisa leans because the ground on its south side is soft clay that gave way while it was built.",
	"eiffel":      "The Eiffel tower is 330 m high.",
}

type searchArgs struct {
	Words string `json:"words" jsonschema:"all of them have to be in the text"`
}

type publishArgs struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// research is an agent that may read as it likes, and asks before it publishes anything.
func research(_ context.Context, _ *options, model func(string) string) (*agent.Agent, *tool.Set, func() error, error) {
	search := tool.Func("search", "Finds texts that have all the words.", tool.ReadOnly, func(_ context.Context, in searchArgs) (map[string]string, error) {
		found := map[string]string{}
		for name, text := range shelf {
			hit := true
			for _, word := range strings.Fields(strings.ToLower(in.Words)) {
				hit = hit && strings.Contains(strings.ToLower(text), word)
			}
			if hit {
				found[name] = text
			}
		}
		return found, nil
	})
	publish := tool.Func("publish", "Publishes a text, for everybody to read. It cannot be taken back.", tool.Once, func(_ context.Context, in publishArgs) (string, error) {
		return fmt.Sprintf("published %q", in.Title), nil
	})
	policy, err := tool.NewPolicy(tool.Rule{When: "annotations.readOnlyHint", Decide: tool.Auto, Reason: "it only reads"})
	if err != nil {
		return nil, nil, nil, err
	}
	set, err := tool.New(&tool.Options{Policy: policy, Approval: tool.Approval{Allowed: []bide.Verb{bide.VerbApprove, bide.VerbReject}}}, search, publish)
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := agent.New(agent.Config{ID: "researcher", Tools: set, Spec: agent.Spec{
		Model: model("research"), AskUser: true,
		System: "You answer questions from what the search tool finds, and from nothing else. Publish the answer, then repeat it, with the names of the texts that it comes from.",
		Limits: &agent.Limits{Iterations: 12, OnReached: agent.ReachedAsk},
	}})
	return a, set, func() error { return nil }, err
}
