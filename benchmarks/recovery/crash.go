package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/worker"
)

// slow is a run whose one effect does not end before its process is killed.
var slow = bide.Workflow{ID: "slow", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("slow", nil)).ThenComplete(nil), nil },
}}

// name is the worker's in the process that is killed. One that comes back under
// it need not wait until the lease ends.
const name = "worker-1"

func open(ctx context.Context, url, name string, n int, handle bide.Handler) (*engine.Engine, error) {
	return engine.Open(ctx, url, &engine.Options{
		Worker: worker.Options{ID: name, Runs: n, Batch: 256}, Workflows: []bide.Workflow{slow}, Handlers: map[string]bide.Handler{"slow": handle},
	})
}

// fall brings n runs into flight, says so, and waits for death.
func fall(ctx context.Context, url string, n int) error {
	var flying sync.WaitGroup
	flying.Add(n)
	e, err := open(ctx, url, name, n, func(ctx context.Context, _ *bide.Invocation) (bide.Outcome, error) {
		flying.Done()
		<-ctx.Done()
		return bide.Outcome{}, ctx.Err()
	})
	if err != nil {
		return err
	}
	_, _, err = bench.Drive(ctx, n, 64, func(ctx context.Context, _ int) error {
		_, err := e.Start(ctx, slow, nil, nil)
		return err
	})
	if err != nil {
		return err
	}
	flying.Wait()
	fmt.Println("flying")
	return errors.Join(bench.WaitForParent(), e.Close(context.WithoutCancel(ctx)))
}

// crash is a death with n runs in flight, and the worker that comes next.
type crash struct {
	n      int
	worker string // its name; empty for a fresh one
}

func (c crash) sample(ctx context.Context, v *bench.Values, p *bench.Place) error {
	victim, err := bench.StartChild("-victim", p.URL, "-n", fmt.Sprint(c.n))
	if err != nil {
		return err
	}
	if _, err := victim.Hear(); err != nil {
		return err
	}
	if err := victim.Kill(); err != nil {
		return err
	}
	again := make(chan *bide.Invocation, 2*c.n)
	began := time.Now()
	e, err := open(ctx, p.URL, c.worker, c.n, func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		again <- call
		return bide.Completed(nil), nil
	})
	if err != nil {
		return err
	}
	opened := time.Since(began)
	runs := map[string]bool{}
	for len(runs) < c.n && err == nil {
		select {
		case call := <-again:
			if call.Attempt != 2 || runs[call.Run] {
				err = fmt.Errorf("run %s: attempt %d, want one second attempt", call.Run, call.Attempt)
			}
			runs[call.Run] = true
		case <-time.After(2 * time.Minute):
			err = fmt.Errorf("%d of %d runs have not gone on after two minutes", c.n-len(runs), c.n)
		}
	}
	v.Add("store open", "ms", bench.Milliseconds(opened))
	v.Add("all going again", "ms", bench.Milliseconds(time.Since(began)))
	return errors.Join(err, e.Close(context.WithoutCancel(ctx)))
}
