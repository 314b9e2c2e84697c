package seal_test

import (
	"context"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
)

// Content is encrypted at rest; its key is destroyed when somebody asks for that.
func Example() {
	ctx := context.Background()
	keys := bide.Must(seal.ParseKeyring([]byte(bide.Must(seal.NewKey("2026-01"))))) // in earnest: seal.OpenKeyring
	store := bide.Must(seal.New(ctx, mem.New(), keys, nil))
	rt := bide.Must(bide.New(store, nil))

	greet := func(r *bide.Run) (bide.StepPlan, error) {
		name, err := bide.Input[string](r)
		return bide.Complete("Hello, " + name), err
	}
	wf := bide.Workflow{ID: "greet", Version: "1", Entry: "greet", Nodes: bide.Nodes{"greet": greet}}
	run := bide.Must(rt.Run(ctx, wf, "Ann", &bide.StartOptions{Labels: map[string]string{"customer": "42"}}))
	fmt.Printf("%s\n", run.Output)

	mine := bide.Must(rt.Runs(ctx, bide.RunQuery{Labels: map[string]string{"customer": "42"}}))
	for _, r := range mine.Runs {
		run = bide.Must(rt.Shred(ctx, r.ID, bide.Command{Actor: "ann", Reason: "the customer asked to"}))
	}
	_, err := rt.Verify(ctx, run.ID)
	fmt.Println(run.Status, run.Shredded.Reason, run.Output == nil, err)
	// Output:
	// "Hello, Ann"
	// completed the customer asked to true <nil>
}
