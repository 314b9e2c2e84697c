package main

import (
	"context"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
)

func byCaller(ctx context.Context, p *bench.Place) (runner, error) {
	store, err := p.Open(ctx)
	if err != nil {
		return runner{}, err
	}
	rt, err := bench.Runtime(store)
	return runner{func(ctx context.Context) error { return bench.RunThreeSteps(ctx, rt) }, store.Close}, err
}

func byWorker(ctx context.Context, p *bench.Place) (runner, error) {
	e, err := engine.Open(ctx, p.URL, &engine.Options{
		Workflows: []bide.Workflow{bench.ThreeSteps}, Handlers: map[string]bide.Handler{"work": bench.Work},
	})
	return runner{func(ctx context.Context) error { return bench.StartThreeSteps(ctx, e.Runtime) },
		func() error { return e.Close(context.WithoutCancel(ctx)) }}, err
}
