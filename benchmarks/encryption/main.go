// Command encryption asks what it costs to keep the content of runs encrypted: the same
// runs, plain and encrypted, in turns.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/seal"
)

func main() {
	steps := flag.Int("steps", 2000, "steps of the long run, each with an effect")
	runs := flag.Int("runs", 500, "runs of one step")
	size := flag.Int("bytes", 400, "bytes of each effect's payload and result")
	bench.Main("encryption", []string{bench.SQLite, bench.File, bench.Postgres, bench.Memory}, func(ctx context.Context, b *bench.Bench) error {
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		if *steps < 1 || *runs < 1 || *size < 0 {
			return fmt.Errorf("-steps and -runs must be at least 1, -bytes at least 0")
		}
		line, err := seal.NewKey("bench")
		if err != nil {
			return err
		}
		keys, err := seal.ParseKeyring([]byte(line))
		if err != nil {
			return err
		}
		var cases []bench.Case
		for _, store := range stores {
			for _, content := range []string{"plain", "encrypted"} {
				w := work{b: b, store: store, steps: *steps, runs: *runs, text: string(bytes.Repeat([]byte("x"), *size))}
				if content == "encrypted" {
					w.keys = keys
				}
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "content": content, "bytes": fmt.Sprint(*size)}, Sample: w.sample})
			}
		}
		return b.Interleave(ctx, cases)
	})
}

type work struct {
	b           *bench.Bench
	store       string
	keys        seal.Keys // nil: what is kept is plain
	steps, runs int
	text        string
}

// open opens the store of a place, encrypted if that is asked for.
func (w *work) open(ctx context.Context, p *bench.Place) (engine.Store, error) {
	store, err := p.Open(ctx)
	if err != nil || w.keys == nil {
		return store, err
	}
	sealed, err := seal.New(ctx, store, w.keys, nil)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return sealed, nil
}

func (w *work) sample(ctx context.Context, v *bench.Values) error {
	return w.b.At(ctx, w.store, func(p *bench.Place) error {
		v.Is("durability", p.Durability)
		store, err := w.open(ctx, p)
		if err != nil {
			return err
		}
		err = w.do(ctx, v, store)
		records, counted := count(ctx, store)
		if err = errors.Join(err, counted, store.Close()); err != nil {
			return err
		}
		return atRest(ctx, v, p, records)
	})
}

func (w *work) do(ctx context.Context, v *bench.Values, store engine.Store) error {
	rt, err := bide.New(store, &bide.Options{TickSteps: w.steps + 1})
	if err != nil {
		return err
	}
	rt.Handle("work", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		return bide.Completed(call.Payload), nil
	})
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(r *bide.Run) (bide.StepPlan, error) {
		n, err := bide.Input[int64](r)
		plan := bide.Do(bide.Call("work", w.text).As("got"))
		if r.Step+1 < n {
			return plan.Then("n"), err
		}
		return plan.ThenComplete(nil), err
	}}}
	start := time.Now()
	for i := range w.runs {
		if err := bench.Completed(rt.Run(ctx, wf, 1, &bide.StartOptions{RunID: fmt.Sprintf("r%d", i)})); err != nil {
			return err
		}
	}
	v.Add("a run of one step", "us", micros(time.Since(start), w.runs))
	start = time.Now()
	if err := bench.Completed(rt.Run(ctx, wf, w.steps, &bide.StartOptions{RunID: "long", MaxSteps: int64(w.steps) + 1})); err != nil {
		return err
	}
	v.Add("a step", "us", micros(time.Since(start), w.steps))
	records, text := 0, 0
	for rec, err := range rt.Ledger(ctx, "long", 1) {
		if err != nil {
			return err
		}
		records, text = records+1, text+len(rec.Raw)
	}
	v.Add("text of a record", "bytes", float64(text)/float64(records))
	start = time.Now()
	if _, err := rt.Verify(ctx, "long"); err != nil {
		return err
	}
	v.Add("verified", "records/s", float64(records)/time.Since(start).Seconds())
	return nil
}

// atRest says what the records of a store that was closed take, with all that belongs to them.
func atRest(ctx context.Context, v *bench.Values, p *bench.Place, records int64) error {
	if p.Store == bench.Memory {
		return nil
	}
	n, err := p.Bytes(ctx)
	v.Add("at rest", "bytes/record", float64(n)/float64(records))
	return err
}

// count returns how many records all runs have.
func count(ctx context.Context, store bide.Store) (n int64, err error) {
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := store.Runs(ctx, q)
		if err != nil {
			return 0, err
		}
		for i := range page.Runs {
			n += page.Runs[i].Seq
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return n, nil
		}
	}
}

func micros(took time.Duration, n int) float64 { return float64(took.Microseconds()) / float64(n) }
