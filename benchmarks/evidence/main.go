// Command evidence asks how fast ledgers are signed, verified, exported and imported.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
)

func main() {
	shapes := []shape{}
	runs := flag.Int("runs", 1000, "short runs, of about ten records each")
	steps := flag.Int("steps", 20_000, "steps of the one long run")
	bench.Main("evidence", []string{bench.SQLite, bench.File, bench.Postgres, bench.Memory}, func(ctx context.Context, b *bench.Bench) error {
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		if *runs < 1 || *steps < 1 || *steps > 50_000 {
			return fmt.Errorf("-runs must be at least 1, -steps from 1 to 50,000")
		}
		shapes = append(shapes, shape{fmt.Sprintf("%d short runs", *runs), *runs, 8}, shape{"one long run", 1, *steps})
		var cases []bench.Case
		for _, store := range stores {
			for _, s := range shapes {
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "runs": s.name}, Sample: func(ctx context.Context, v *bench.Values) error {
					return b.At(ctx, store, func(p *bench.Place) error { return s.sample(ctx, v, p) })
				}})
			}
		}
		return b.Interleave(ctx, cases)
	})
}

// shape is what a store holds: so many runs of so many steps.
type shape struct {
	name        string
	runs, steps int
}

// whole is all that a store offers.
type whole interface {
	engine.Store
	bide.Documents
}

func (s shape) sample(ctx context.Context, v *bench.Values, p *bench.Place) (err error) {
	v.Is("durability", p.Durability)
	opened, err := p.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	store, ok := opened.(whole)
	if !ok {
		return fmt.Errorf("%T keeps no documents", opened)
	}
	rt, err := bide.New(store, &bide.Options{TickSteps: s.steps + 1})
	if err != nil {
		return err
	}
	if err := s.fill(ctx, rt); err != nil {
		return err
	}
	return measure(ctx, v, rt, store)
}

// fill makes the runs: each step writes 200 bytes.
func (s shape) fill(ctx context.Context, rt *bide.Runtime) error {
	text := string(bytes.Repeat([]byte("text "), 40))
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(r *bide.Run) (bide.StepPlan, error) {
		if r.Step+1 >= int64(s.steps) {
			return bide.Complete(nil), nil
		}
		return bide.Go("n").Set("text", text), nil
	}}}
	for i := range s.runs {
		if _, err := rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: fmt.Sprintf("r%d", i)}); err != nil {
			return err
		}
	}
	return nil
}

func measure(ctx context.Context, v *bench.Values, rt *bide.Runtime, store whole) error {
	private, public, err := ledger.GenerateKey("bench")
	if err != nil {
		return err
	}
	signers, err := ledger.Signers(private)
	if err != nil {
		return err
	}
	keys, err := ledger.Verifiers(public)
	if err != nil {
		return err
	}
	log, err := ledger.OpenLog(ctx, store, &ledger.LogOptions{Signers: signers})
	if err != nil {
		return err
	}
	var records int64
	timed := func(what string, do func() error) error {
		start := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		v.Add(what, "records/s", float64(records)/time.Since(start).Seconds())
		return nil
	}
	rep, err := ledger.VerifyStore(ctx, store, nil) // counts
	if err != nil {
		return err
	}
	records = rep.Records
	var file bytes.Buffer
	return errors.Join(
		timed("signed", func() error { return ledger.NewNotary(rt, store, log, nil).Seal(ctx) }),
		timed("verified", func() error { return verify(ctx, store, keys) }),
		timed("exported", func() error { _, err := transfer.Export(ctx, store, &file, nil); return err }),
		timed("inspected", func() error { return inspect(file.Bytes(), keys) }),
		imported(ctx, v, file.Bytes(), records),
	)
}

func verify(ctx context.Context, store whole, keys []note.Verifier) error {
	rep, err := ledger.VerifyStore(ctx, store, &ledger.VerifyOptions{Keys: keys})
	if err == nil && (!rep.OK() || !rep.Signed) {
		err = fmt.Errorf("the store does not verify: %v", rep.Faults)
	}
	return err
}

func inspect(file []byte, keys []note.Verifier) error {
	content, err := transfer.Inspect(bytes.NewReader(file), &transfer.ReadOptions{Keys: keys}, nil)
	if err == nil && !content.OK() {
		err = fmt.Errorf("the file does not verify: %v %w", content.Faults, content.Broken)
	}
	return err
}

// imported imports into memory, which shows what importing costs beside the store that it is made into.
func imported(ctx context.Context, v *bench.Values, file []byte, records int64) error {
	to, err := engine.OpenStore(ctx, "mem:")
	if err != nil {
		return err
	}
	start := time.Now()
	if _, err = transfer.Import(ctx, to, bytes.NewReader(file), nil); err == nil {
		v.Add("imported", "records/s", float64(records)/time.Since(start).Seconds())
		v.Add("file", "bytes/record", float64(len(file))/float64(records))
	}
	return errors.Join(err, to.Close())
}
