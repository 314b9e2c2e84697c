package bide_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

// refund asks above a limit, then pays.
var refund = bide.Workflow{ID: "refund", Version: "1", Entry: "ask", Nodes: bide.Nodes{
	"ask": func(r *bide.Run) (bide.StepPlan, error) {
		amount, err := bide.Get[int](r.Vars, "input.amount")
		if err != nil || amount <= 100 {
			return bide.Go("pay"), err
		}
		ask := bide.Ask(fmt.Sprintf("Refund %d?", amount), &bide.AskOptions{Choices: []string{"approve", "reject"}})
		return bide.Do(ask.As("decision")).Then("pay"), nil
	},
	"pay": func(r *bide.Run) (bide.StepPlan, error) {
		decision, err := bide.Get[bide.Answer](r.Vars, "decision")
		if err != nil || decision.Choice == "reject" {
			return bide.Complete("not paid"), err
		}
		return bide.Complete("paid"), nil
	},
}}

type order struct {
	Amount int `json:"amount"`
}

// demo is a runtime whose ids and clock are the same each time.
func demo() *bide.Runtime {
	rt, err := bide.New(mem.New(), &bide.Options{
		Clock: bidetest.NewClock(time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)),
		NewID: func() string { return "run-1" },
	})
	if err != nil {
		panic(err)
	}
	return rt
}

func show(run *bide.Run, err error) *bide.Run {
	if err != nil {
		fmt.Println("error:", err)
		return run
	}
	fmt.Println(strings.TrimSpace(string(run.Status) + " " + string(run.Output)))
	return run
}

func ExampleRuntime_Start() {
	rt, ctx := demo(), context.Background()
	opts := &bide.StartOptions{Key: "order-42"}
	run := show(rt.Start(ctx, refund, order{120}, opts))
	again, err := rt.Start(ctx, refund, order{120}, opts) // the same key gives the same run
	fmt.Println(again.ID == run.ID, err)
	// Output:
	// running
	// true <nil>
}

func ExampleRuntime_Tick() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Start(ctx, refund, order{120}, nil)
	run = show(rt.Tick(ctx, run.ID))
	fmt.Println(run.Waits[0].Message, run.Waits[0].Choices)
	// Output:
	// waiting
	// Refund 120? [approve reject]
}

func ExampleRuntime_Run() {
	show(demo().Run(context.Background(), refund, order{80}, nil))
	// Output: completed "paid"
}

func ExampleRuntime_Resume() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{120}, nil)
	wait := run.Waits[0].ID
	_, err := rt.Resume(ctx, run.ID, wait, "perhaps")
	fmt.Println(err)
	show(rt.Resume(ctx, run.ID, wait, "approve", bide.Command{Actor: "anna"}))
	_, err = rt.Resume(ctx, run.ID, wait, "reject", bide.Command{Actor: "bob"})
	fmt.Println(err)
	show(rt.Tick(ctx, run.ID))
	// Output:
	// the answer does not fit wait run-1.1: "perhaps" is not a choice (one of ["approve" "reject"])
	// running
	// wait run-1.1 was answered by anna at 2026-01-01T09:00:00Z with "approve"
	// completed "paid"
}

func ExampleRuntime_Pause() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{120}, nil)
	run = show(rt.Pause(ctx, run.ID, bide.Command{ID: "pause-1", Actor: "ops", Reason: "audit"}))
	fmt.Println(run.Paused.Actor, run.Paused.Reason)
	// Output:
	// paused
	// ops audit
}

func ExampleRuntime_Unpause() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{120}, nil)
	show(rt.Pause(ctx, run.ID))
	show(rt.Unpause(ctx, run.ID))
	// Output:
	// paused
	// waiting
}

func ExampleRuntime_Cancel() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{120}, nil)
	show(rt.Cancel(ctx, run.ID, bide.Command{Actor: "ops", Reason: "duplicate order"}))
	// Output: cancelled
}

func ExampleRuntime_Retry() {
	rt, ctx := demo(), context.Background()
	down := true
	rt.Handle("charge", bide.Typed(func(_ context.Context, in order) (string, error) {
		if down {
			return "", fmt.Errorf("the bank is down")
		}
		return fmt.Sprintf("charged %d", in.Amount), nil
	}))
	run, _ := rt.Run(ctx, one(bide.Call("charge", order{5})), nil, nil)
	fmt.Println(run.Status, run.Error)
	down = false
	show(rt.Retry(ctx, run.ID))
	show(rt.Tick(ctx, run.ID))
	// Output:
	// failed handler_error: the bank is down
	// running
	// completed "charged 5"
}

func ExampleRuntime_Get() {
	rt, ctx := demo(), context.Background()
	if _, err := rt.Run(ctx, refund, order{120}, nil); err != nil {
		fmt.Println(err)
	}
	run := show(rt.Get(ctx, "run-1"))
	amount, err := bide.Get[int](run.Vars, "input.amount") // a var as its Go type
	fmt.Println(amount, err)
	// Output:
	// waiting
	// 120 <nil>
}

func ExampleRuntime_Ledger() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{80}, nil)
	for rec, err := range rt.Ledger(ctx, run.ID, 2) {
		fmt.Println(rec.Seq, rec.Kind, rec.Node, err)
	}
	// Output:
	// 2 step.planned ask <nil>
	// 3 step.planned pay <nil>
	// 4 run.completed pay <nil>
}

func ExampleRuntime_StateAt() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{80}, nil)
	show(rt.StateAt(ctx, run.ID, 2))
	show(rt.StateAt(ctx, run.ID, 4))
	// Output:
	// running
	// completed "paid"
}

func ExampleRuntime_Replay() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{80}, nil)
	divergence, err := rt.Replay(ctx, run.ID)
	fmt.Println(divergence, err)
	// Output: <nil> <nil>
}

func ExampleRuntime_Verify() {
	rt, ctx := demo(), context.Background()
	run, _ := rt.Run(ctx, refund, order{80}, nil)
	position, err := rt.Verify(ctx, run.ID)
	fmt.Println(position.Seq, err)
	// Output: 4 <nil>
}

func ExampleTyped() {
	rt, ctx := demo(), context.Background()
	rt.Handle("double", bide.Typed(func(ctx context.Context, n int) (int, error) {
		fmt.Println("key", bide.InvocationFrom(ctx).Key)
		return 2 * n, nil
	}))
	show(rt.Run(ctx, one(bide.Call("double", 21)), nil, nil))
	// Output:
	// key run-1/1/0
	// completed 42
}
