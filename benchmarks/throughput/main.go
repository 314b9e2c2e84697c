// Command throughput asks how many durable runs of three steps a second bide
// makes, alone and with many in flight, beside the same rows written straight to the same
// engine. The two take turns, and each ratio is of neighbours.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/store/mem"
)

func main() {
	n := flag.Int("n", 2000, "runs in a sample")
	flights := flag.String("inflight", "1,8,64,512", "how many runs are in flight")
	bench.Main("throughput", bench.All, func(ctx context.Context, b *bench.Bench) error {
		cases, err := cases(ctx, b, *n, *flights)
		if err != nil {
			return err
		}
		if err := b.Interleave(ctx, cases); err != nil {
			return err
		}
		return b.Count(ctx, cases)
	})
}

func cases(ctx context.Context, b *bench.Bench, n int, flights string) (cases []bench.Case, err error) {
	stores, err := b.Stores()
	if err != nil {
		return nil, err
	}
	commits := map[int][]*bide.Commit{} // by number in flight: that is the order in which they come
	for _, store := range stores {
		for _, flight := range strings.Split(flights, ",") {
			inFlight, err := strconv.Atoi(flight)
			if err != nil || inFlight < 1 {
				return nil, fmt.Errorf("-inflight: %q is not a number of runs", flight)
			}
			if commits[inFlight] == nil {
				if commits[inFlight], err = record(ctx, n, inFlight); err != nil {
					return nil, err
				}
			}
			s := sampler{b, store, n, inFlight, commits[inFlight]}
			cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "in flight": flight}, Sample: s.sample})
		}
	}
	return cases, nil
}

// sampler measures one store with so many runs in flight.
type sampler struct {
	b           *bench.Bench
	store       string
	n, inFlight int
	commits     []*bide.Commit // the rows to write raw
}

func (s sampler) sample(ctx context.Context, v *bench.Values) error {
	var limit time.Duration
	err := s.b.At(ctx, s.store, func(p *bench.Place) (err error) {
		v.Is("durability", p.Durability)
		limit, err = raw(ctx, p, s.commits, s.inFlight)
		return err
	})
	if err != nil {
		return fmt.Errorf("raw: %w", err)
	}
	return s.b.At(ctx, s.store, func(p *bench.Place) (err error) {
		store, err := p.Open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		rt, err := bench.Runtime(store)
		if err != nil {
			return err
		}
		run := func(ctx context.Context, _ int) error { return bench.RunThreeSteps(ctx, rt) }
		if _, _, err := bench.Drive(ctx, s.inFlight, s.inFlight, run); err != nil { // warm up
			return err
		}
		perSecond, err := bench.DriveCounted(ctx, v, s.n, s.inFlight, run)
		if err != nil {
			return err
		}
		v.Add("raw", "runs/s", float64(s.n)/limit.Seconds())
		v.Add("of raw", "x", perSecond*limit.Seconds()/float64(s.n))
		v.Add("commits", "a run", float64(len(s.commits))/float64(s.n))
		return nil
	})
}

// record makes n runs in memory and keeps their commits: the rows to write raw.
func record(ctx context.Context, n, inFlight int) ([]*bide.Commit, error) {
	rec := &recorder{Store: mem.New()}
	rt, err := bench.Runtime(rec)
	if err != nil {
		return nil, err
	}
	_, _, err = bench.Drive(ctx, n, inFlight, func(ctx context.Context, _ int) error { return bench.RunThreeSteps(ctx, rt) })
	return rec.commits, err
}

// recorder keeps the commits that pass through it.
type recorder struct {
	bide.Store
	mu      sync.Mutex
	commits []*bide.Commit
}

// Commit implements bide.Store.
func (r *recorder) Commit(ctx context.Context, c *bide.Commit) error {
	err := r.Store.Commit(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits = append(r.commits, c)
	return err
}
