// Command workers asks whether more worker processes on one PostgreSQL get more
// done: the same backlog of runs of three steps is worked off by one, two and four. It checks that no
// run ends twice and no effect is carried out twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

func main() {
	n := flag.Int("n", 5000, "runs in the backlog")
	processes := flag.String("processes", "1,2,4", "numbers of worker processes")
	work := flag.String("work", "", "be a worker process, over the store with this URL")
	bench.Main("workers", []string{bench.Postgres}, func(ctx context.Context, b *bench.Bench) error {
		if *work != "" {
			return serve(ctx, *work)
		}
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		var cases []bench.Case
		for _, store := range stores {
			for _, text := range strings.Split(*processes, ",") {
				workers, err := strconv.Atoi(text)
				if err != nil || workers < 1 {
					return fmt.Errorf("-processes: %q is not a number of processes", text)
				}
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "workers": text},
					Sample: func(ctx context.Context, v *bench.Values) error {
						return b.At(ctx, store, func(p *bench.Place) error { return sample(ctx, v, p, *n, workers) })
					}})
			}
		}
		return b.Interleave(ctx, cases)
	})
}

func sample(ctx context.Context, v *bench.Values, p *bench.Place, n, workers int) (err error) {
	v.Is("durability", p.Durability)
	if err := fill(ctx, p, n); err != nil {
		return err
	}
	crew := &crew{ended: make(chan struct{}, n)}
	defer func() { err = errors.Join(err, crew.end()) }()
	for range workers {
		if err := crew.add(p.URL); err != nil {
			return err
		}
	}
	flushes := v.Flushes("run", n)
	before, err := bench.Processor()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := crew.tell("go"); err != nil {
		return err
	}
	for i := range n {
		select {
		case <-crew.ended:
		case <-time.After(time.Minute):
			return fmt.Errorf("only %d of %d runs have ended, and none for a minute", i, n)
		}
	}
	took := time.Since(began)
	after, err := bench.Processor()
	if err != nil {
		return err
	}
	flushes()
	if err := crew.tell("count"); err != nil {
		return err
	}
	calls, err := crew.count()
	if err != nil {
		return err
	}
	if calls != 3*n || len(crew.ended) > 0 {
		return fmt.Errorf("%d effects were carried out, want %d; %d runs ended twice", calls, 3*n, len(crew.ended))
	}
	v.Add("runs", "runs/s", float64(n)/took.Seconds())
	v.Add("processor time", "ms a run", bench.Milliseconds(after-before)/float64(n))
	return nil
}

// fill starts the runs, which nobody drives yet.
func fill(ctx context.Context, p *bench.Place, n int) error {
	store, err := p.Open(ctx)
	if err != nil {
		return err
	}
	rt, err := bench.Runtime(store)
	if err != nil {
		return err
	}
	_, _, err = bench.Drive(ctx, n, 256, func(ctx context.Context, _ int) error {
		_, err := rt.Start(ctx, bench.ThreeSteps, nil, nil)
		return err
	})
	return errors.Join(err, store.Close())
}
