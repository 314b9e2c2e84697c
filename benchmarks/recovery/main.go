// Command recovery kills a process with many runs in flight and asks how long
// it takes, from the start of the next one, until all of them go on; and how fast a long run is verified and resumed.
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

func main() {
	n := flag.Int("n", 1000, "runs in flight")
	records := flag.Int("records", 10_000, "records of the long run")
	takeover := flag.Bool("takeover", true, "measure also that a worker under another name takes over, which waits out a lease of 30s")
	victim := flag.String("victim", "", "be the process that is killed, over the store with this URL")
	bench.Main("recovery", []string{bench.SQLite, bench.File, bench.Postgres}, func(ctx context.Context, b *bench.Bench) error {
		if *victim != "" {
			return fall(ctx, *victim, *n)
		}
		if *n < 1 || *records < 100 {
			return fmt.Errorf("-n must be at least 1, -records at least 100")
		}
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		var cases []bench.Case
		add := func(store, what string, sample func(context.Context, *bench.Values, *bench.Place) error) {
			cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "what": what},
				Sample: func(ctx context.Context, v *bench.Values) error {
					return b.At(ctx, store, func(p *bench.Place) error {
						v.Is("durability", p.Durability)
						return sample(ctx, v, p)
					})
				}})
		}
		for _, store := range stores {
			add(store, fmt.Sprintf("kill -9 with %d runs in flight", *n), crash{*n, name}.sample)
			if store == bench.Postgres && *takeover {
				add(store, fmt.Sprintf("kill -9 with %d runs in flight, and another worker's name", *n), crash{*n, ""}.sample)
			}
			add(store, fmt.Sprintf("a run of %d records", *records), long{*records}.sample)
		}
		return b.Interleave(ctx, cases)
	})
}
