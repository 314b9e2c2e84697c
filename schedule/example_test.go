package schedule_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
)

func Example() {
	ctx := context.Background()
	rt := bide.Must(bide.New(mem.New(), nil))
	digest := bide.Workflow{ID: "digest", Version: "1", Entry: "write", Nodes: bide.Nodes{
		"write": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Complete("the digest for " + r.Labels[schedule.LabelTime]), nil
		},
	}}
	if err := rt.Register(digest); err != nil {
		fmt.Println(err)
	}
	if err := schedule.Register(rt); err != nil {
		fmt.Println(err)
	}
	s, err := schedule.Create(ctx, rt, schedule.Spec{
		Name: "digest", Cron: "30 7 * * mon-fri", TimeZone: "Europe/Berlin", Workflow: "digest", CatchUp: 1,
	}, bide.Command{Actor: "ann"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// From here on a worker does it: worker.New(rt, store, nil).Run(ctx).

	s, err = schedule.Pause(ctx, rt, s.Spec.Name, bide.Command{Actor: "ann", Reason: "holidays"})
	fmt.Println(s.Status, s.Paused.Actor, s.Paused.Reason, err)

	_, err = schedule.Create(ctx, rt, schedule.Spec{Name: "digest", Cron: "0 25 * * *", Workflow: "digest", Overlap: "perhaps"})
	fmt.Println(err)
	// Output:
	// paused ann holidays <nil>
	// schedule "digest" cannot be used: cron: hour: "25" is not a value from 0 to 23; overlap: "perhaps" is none of skip, queue, cancel and allow
}

func ExampleSpec_Next() {
	s := schedule.Spec{Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}
	times, err := s.Next(time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), 3)
	for _, t := range times {
		fmt.Println(t)
	}
	fmt.Println(err)
	// Output:
	// 2026-03-28 02:30:00 +0100 CET
	// 2026-03-29 03:30:00 +0200 CEST
	// 2026-03-30 02:30:00 +0200 CEST
	// <nil>
}
