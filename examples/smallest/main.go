// Smallest asks a person a question, waits, and completes with the answer.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
)

func ask(r *bide.Run) (bide.StepPlan, error) {
	question := bide.Ask("Refund 120 EUR?", &bide.AskOptions{Choices: []string{"approve", "reject"}})
	return bide.Do(question.As("decision")).ThenCompleteWith("decision.choice"), nil
}

func main() {
	ctx := context.Background()
	store := must(sqlite.Open(ctx, "bide.db", nil))
	defer store.Close()
	rt := must(bide.New(store, nil))
	approval := bide.Workflow{ID: "approval", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": ask}}
	run := must(rt.Start(ctx, approval, nil, &bide.StartOptions{Key: "order-42"}))
	run = must(rt.Tick(ctx, run.ID)) // the question is open; the process could end here
	for _, wait := range run.Waits {
		must(rt.Resume(ctx, run.ID, wait.ID, "approve"))
	}
	run = must(rt.Tick(ctx, run.ID))
	fmt.Printf("%s: %s\n", run.Status, run.Output)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
