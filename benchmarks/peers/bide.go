package main

import (
	"context"
	"errors"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
)

const (
	bideRunSet    = "nothing; Runtime.Run: the caller drives its run"
	bideWorkerSet = "nothing; engine.Open: the caller starts the run, a worker drives it, the caller awaits its end"
)

var (
	bideRun            = setup{"bide", "Run", bench.SQLite, bideRunSet, openBideRun}
	bideWorker         = setup{"bide", "worker", bench.SQLite, bideWorkerSet, openBideWorker}
	bideRunPostgres    = setup{"bide", "Run", bench.Postgres, bideRunSet, openBideRun}
	bideWorkerPostgres = setup{"bide", "worker", bench.Postgres, bideWorkerSet, openBideWorker}
)

func openBideRun(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	store, err := place.Open(ctx)
	if err != nil {
		return nil, err
	}
	rt, err := bench.Runtime(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	run := func(ctx context.Context) (string, error) { return result, bench.RunThreeSteps(ctx, rt) }
	return &system{durability: place.Durability, run: run, close: store.Close}, nil
}

func openBideWorker(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	e, err := engine.Open(ctx, place.URL, &engine.Options{
		Workflows: []bide.Workflow{bench.ThreeSteps},
		Handlers:  map[string]bide.Handler{"work": bench.Work},
	})
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context) (string, error) { return result, bench.StartThreeSteps(ctx, e.Runtime) }
	return &system{durability: place.Durability, run: run, close: func() error { return e.Close(context.WithoutCancel(ctx)) }}, nil
}
