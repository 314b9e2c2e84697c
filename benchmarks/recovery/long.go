package main

import (
	"context"
	"errors"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// long is a run of so many records.
type long struct{ records int }

// workflow works until there are so many records, asks, and completes.
func (l long) workflow() bide.Workflow {
	return bide.Workflow{ID: "long", Version: "1", Entry: "work", Nodes: bide.Nodes{
		"work": func(r *bide.Run) (bide.StepPlan, error) {
			if r.Seq >= int64(l.records)-2 {
				return bide.Do(bide.Ask("Go on?", nil)).ThenComplete(nil), nil
			}
			return bide.Do(bide.Call("work", nil).As("x")).Then("work"), nil
		},
	}}
}

// sample makes the run, and then opens the store anew: verifies the run, and in
// another runtime answers it, which loads it first.
func (l long) sample(ctx context.Context, v *bench.Values, p *bench.Place) error {
	var run *bide.Run
	err := l.with(ctx, p, func(rt *bide.Runtime) (err error) {
		run, err = rt.Run(ctx, l.workflow(), nil, nil)
		return err
	})
	if err != nil {
		return err
	}
	began := time.Now()
	err = l.with(ctx, p, func(rt *bide.Runtime) error {
		v.Add("open", "ms", bench.Milliseconds(time.Since(began)))
		began := time.Now()
		end, err := rt.Verify(ctx, run.ID)
		v.Add("verify", "records/s", float64(end.Seq)/time.Since(began).Seconds())
		return err
	})
	if err != nil {
		return err
	}
	return l.with(ctx, p, func(rt *bide.Runtime) error {
		if err := rt.Register(l.workflow()); err != nil {
			return err
		}
		began := time.Now()
		if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes"); err != nil {
			return err
		}
		err := bench.Completed(rt.Tick(ctx, run.ID))
		v.Add("load, answer and complete", "ms", bench.Milliseconds(time.Since(began)))
		return err
	})
}

// with opens the store for a time.
func (l long) with(ctx context.Context, p *bench.Place, do func(*bide.Runtime) error) (err error) {
	store, err := p.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	rt, err := bide.New(store, &bide.Options{TickSteps: l.records})
	if err != nil {
		return err
	}
	rt.Handle("work", bench.Work)
	return do(rt)
}
