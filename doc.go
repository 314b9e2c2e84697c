// Package bide runs durable workflows: programs that wait, for a person, a
// timer, an event or a job, cross restarts while they do, and can say
// afterwards what happened.
//
// # A workflow is a graph of nodes
//
// A node looks at the run and returns a [StepPlan]: which effects should happen, what to
// write, and where to go then. It is pure code; the runtime does the rest.
//
//	ask := func(r *bide.Run) (bide.StepPlan, error) {
//		return bide.Do(bide.Ask("Pay?", nil).As("decision")).Then("pay"), nil
//	}
//	wf := bide.Workflow{ID: "refund", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": ask, "pay": pay}}
//
// # Three verbs drive it
//
//	rt, err := bide.New(store, nil)
//	run, err := rt.Start(ctx, wf, input, nil)                      // begin
//	run, err = rt.Tick(ctx, run.ID)                                // until it ends or waits
//	run, err = rt.Resume(ctx, run.ID, run.Waits[0].ID, "approve")  // answer; then Tick again
//
// [Runtime.Pause], [Runtime.Unpause], [Runtime.Cancel] and [Runtime.Retry] are the others. Every
// verb takes a [Command] whose id makes it safe to send twice.
//
// # Effects are requests; handlers carry them out
//
// [Ask], [Form], [Tell], [SleepFor], [SleepUntil], [WaitEvent], [Job] and [Query] are built in.
// Any other type is registered, with JSON in between:
//
//	rt.Handle("charge", bide.Typed(func(ctx context.Context, in Order) (Receipt, error) { … }))
//	return bide.Do(bide.Call("charge", order).As("receipt").WithRetry(bide.RetryPolicy{Attempts: 5})).Then("tell"), nil
//
// An effect is announced on record before its handler runs. If the process dies in between, it
// runs again with the same idempotency key; one planned with [Effect.Once] does not, and asks a person instead.
//
// # A wait holds nothing
//
// A pause is a [Wait] in the store: no goroutine, no stack, no process. [Runtime.Waits] lists what
// is open, and anybody may answer, from anywhere, later. The first answer wins.
//
// # The ledger is the truth
//
// Everything that happens is a [Record], linked to the one before by hash. A run's state is the
// [Fold] of its records; [Runtime.StateAt] rebuilds any past one, [Runtime.Replay] runs today's code
// against yesterday's results, [Runtime.Verify] checks the chain.
//
// The package knows no clock but [Options.Clock], no store but the [Store] it is given, and nothing
// of servers, models or user interfaces.
package bide
