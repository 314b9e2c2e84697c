package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/engine"
)

const (
	bideRunSet    = "nothing; Runtime.Run: the caller drives its run"
	bideWorkerSet = "nothing; engine.Open: the caller starts the run, a worker drives it, the caller watches it end"
)

var (
	bideRun            = setup{"bide, Run", sqliteStore, bideRunSet, openBideRun}
	bideWorker         = setup{"bide, worker", sqliteStore, bideWorkerSet, openBideWorker}
	bideRunPostgres    = setup{"bide, Run", postgresStore, bideRunSet, openBideRun}
	bideWorkerPostgres = setup{"bide, worker", postgresStore, bideWorkerSet, openBideWorker}
)

// bideURL is the URL of the store at place, and what its commits survive. On
// SQLite that is as documented by sqlite.DurabilityFull, the default.
func bideURL(ctx context.Context, place string) (url, durability string, err error) {
	if filepath.IsAbs(place) {
		return "sqlite:" + filepath.Join(place, "bide.db"), "FULL, journal WAL (documented)", nil
	}
	durability, err = serverDurability(ctx, place)
	return place, durability, err
}

func work(context.Context, *bide.Invocation) (bide.Outcome, error) {
	return bide.Completed(result), nil
}

func openBideRun(ctx context.Context, place string, _ int) (*system, error) {
	url, durability, err := bideURL(ctx, place)
	if err != nil {
		return nil, err
	}
	store, err := engine.OpenStore(ctx, url)
	if err != nil {
		return nil, err
	}
	rt, err := bide.New(store, nil)
	if err != nil {
		return nil, err
	}
	rt.Handle("work", work)
	run := func(ctx context.Context) (string, error) {
		run, err := rt.Run(ctx, load.ThreeSteps, nil, nil)
		if err != nil {
			return "", err
		}
		return bideResult(run)
	}
	return &system{durability: durability, run: run, close: store.Close}, nil
}

func openBideWorker(ctx context.Context, place string, _ int) (*system, error) {
	url, durability, err := bideURL(ctx, place)
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(ctx, url, &engine.Options{
		Workflows: []bide.Workflow{load.ThreeSteps},
		Handlers:  map[string]bide.Handler{"work": work},
	})
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context) (string, error) {
		run, err := e.Start(ctx, load.ThreeSteps, nil, nil)
		if err != nil {
			return "", err
		}
		for _, err := range e.Watch(ctx, run.ID, run.Seq+1) {
			if err != nil {
				return "", err
			}
		}
		if run, err = e.Get(ctx, run.ID); err != nil {
			return "", err
		}
		return bideResult(run)
	}
	return &system{durability: durability, run: run, close: func() error { return e.Close(context.Background()) }}, nil
}

func bideResult(run *bide.Run) (out string, err error) {
	if run.Status != bide.StatusCompleted {
		return "", fmt.Errorf("run %s is %s", run.ID, run.Status)
	}
	return out, json.Unmarshal(run.Output, &out)
}
