package redact_test

import (
	"context"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/redact"
	"github.com/bide-dev/bide/store/mem"
)

// What rules name is replaced before anything is recorded; the run goes on with what is left.
func Example() {
	rules := bide.Must(redact.New(
		redact.Rule{Name: "card", Pattern: "card"},
		redact.Rule{Name: "pin", Path: "**.pin"},
	))
	rt := bide.Must(bide.New(mem.New(), &bide.Options{Redact: rules}))
	echo := func(*bide.Run) (bide.StepPlan, error) { return bide.StepPlan{}.ThenCompleteWith("input"), nil }
	wf := bide.Workflow{ID: "echo", Version: "1", Entry: "echo", Nodes: bide.Nodes{"echo": echo}}
	input := map[string]any{"note": "pay with 4111 1111 1111 1111", "pin": 1234}
	run := bide.Must(rt.Run(context.Background(), wf, input, nil))
	fmt.Printf("%s\n", run.Output)
	// Output: {"note":"pay with [redacted:card]","pin":"[redacted:pin]"}
}
