// Command latency asks how long one thing takes when little else goes on: a run
// from start to end; and from an answer or an event to the resumed run, in one process and
// from one process to another over one store, at work and after a while of quiet.
package main

import (
	"context"
	"errors"
	"flag"
	"maps"
	"time"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

func main() {
	n := flag.Int("n", 300, "runs in a sample")
	quiet := flag.Duration("quiet", 0, "measure also the first answer and the first event after so long without any work")
	serve := flag.String("serve", "", "be the other process: drive the runs of the store with this URL, and tell of each resumption")
	bench.Main("latency", []string{bench.SQLite, bench.Postgres, bench.File, bench.Memory}, func(ctx context.Context, b *bench.Bench) error {
		if *serve != "" {
			return drive(ctx, *serve)
		}
		if err := whole(ctx, b, *n); err != nil {
			return err
		}
		return resumptions(ctx, b, *n, *quiet)
	})
}

// whole measures runs of three steps from start to end, one after the other:
// driven by the caller, and by a worker while the caller watches.
func whole(ctx context.Context, b *bench.Bench, n int) error {
	stores, err := b.Stores()
	if err != nil {
		return err
	}
	var cases []bench.Case
	for _, store := range stores {
		for _, driver := range []struct {
			name string
			open func(context.Context, *bench.Place) (runner, error)
		}{{"the caller", byCaller}, {"a worker", byWorker}} {
			cases = append(cases, bench.Case{
				Setting: map[string]string{"store": store, "driven by": driver.name},
				Sample: func(ctx context.Context, v *bench.Values) error {
					return b.At(ctx, store, func(p *bench.Place) error { return sampleWhole(ctx, v, p, driver.open, n) })
				},
			})
		}
	}
	return b.Interleave(ctx, cases)
}

// runner makes one run.
type runner struct {
	run   func(context.Context) error
	close func() error
}

func sampleWhole(ctx context.Context, v *bench.Values, p *bench.Place, open func(context.Context, *bench.Place) (runner, error), n int) error {
	r, err := open(ctx, p)
	if err != nil {
		return err
	}
	v.Is("durability", p.Durability)
	_, each, err := bench.Drive(ctx, n, 1, func(ctx context.Context, _ int) error { return r.run(ctx) })
	if err == nil {
		addQuantiles(v, each)
	}
	return errors.Join(err, r.close())
}

func addQuantiles(v *bench.Values, each []time.Duration) {
	v.Add("p50", "ms", bench.Milliseconds(bench.Median(each)))
	v.Add("p99", "ms", bench.Milliseconds(bench.Quantile(each, 0.99)))
}

// resumptions measures how soon waiting runs go on.
func resumptions(ctx context.Context, b *bench.Bench, n int, quiet time.Duration) (err error) {
	subjects, err := openSubjects(ctx, b)
	defer func() {
		for _, s := range subjects {
			err = errors.Join(err, s.close())
		}
	}()
	if err != nil {
		return err
	}
	cases := func(quiet time.Duration, sample func(*subject, context.Context, *bench.Values) error) (out []bench.Case) {
		for _, s := range subjects {
			setting := maps.Clone(s.setting)
			setting["quiet before"] = quiet.String()
			out = append(out, bench.Case{Setting: setting, Sample: func(ctx context.Context, v *bench.Values) error { return sample(s, ctx, v) }})
		}
		return out
	}
	err = b.Interleave(ctx, cases(0, func(s *subject, ctx context.Context, v *bench.Values) error { return s.sample(ctx, v, n) }))
	if err != nil || quiet == 0 {
		return err
	}
	first := cases(quiet, (*subject).first)
	for range b.Repeats { // all are quiet at the same time
		for _, s := range subjects {
			if err := s.park(ctx); err != nil {
				return err
			}
		}
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := b.Turn(ctx, first); err != nil {
			return err
		}
	}
	return nil
}
