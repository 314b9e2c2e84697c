// Smallest asks a person a question, waits, and completes with the answer.
package main

import (
	"context"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
)

func main() {
	ask := func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Refund 120 EUR?", nil).As("decision")).ThenCompleteWith("decision.text"), nil
	}
	ctx := context.Background()
	rt := bide.Must(bide.New(bide.Must(sqlite.Open(ctx, "bide.db", nil)), nil))
	wf := bide.Workflow{ID: "approval", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": ask}}
	run := bide.Must(rt.Run(ctx, wf, nil, &bide.StartOptions{Key: "order-42"})) // start and tick: it asks, and waits
	for _, wait := range run.Waits {
		run = bide.Must(rt.Resume(ctx, run.ID, wait.ID, "approve"))
	}
	run = bide.Must(rt.Tick(ctx, run.ID))
	fmt.Printf("%s: %s\n", run.Status, run.Output)
}
