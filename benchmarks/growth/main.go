// Command growth asks whether a step costs the same late in a run as early on,
// when every step appends a text to the vars; and how many bytes on the disk a conversation
// needs for its text.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

func main() {
	steps := flag.Int("steps", 5000, "steps of a run")
	sizes := flag.String("bytes", "1024,20480", "bytes appended at each step")
	turns := flag.Int("turns", 200, "turns of the conversation")
	text := flag.Int("text", 4096, "bytes of new text per turn")
	bench.Main("growth", []string{bench.SQLite, bench.File, bench.Postgres, bench.Memory}, func(ctx context.Context, b *bench.Bench) error {
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		if *steps < around || *turns < 1 || *text < 1 {
			return fmt.Errorf("-steps must be at least %d, -turns and -text at least 1", around)
		}
		var cases []bench.Case
		for _, store := range stores {
			for _, size := range strings.Split(*sizes, ",") {
				size, err := strconv.Atoi(size)
				if err != nil || size < 1 {
					return fmt.Errorf("-bytes: %q are not numbers of bytes", *sizes)
				}
				g := grower{b, store, *steps, size}
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "bytes per step": fmt.Sprint(size)}, Sample: g.sampleSteps})
			}
			if store != bench.Memory {
				g := grower{b, store, *turns, *text}
				cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "turns": fmt.Sprint(*turns), "bytes per turn": fmt.Sprint(*text)}, Sample: g.sampleDisk})
			}
		}
		return b.Interleave(ctx, cases)
	})
}

// grower makes a run of so many steps, each of which appends so many bytes.
type grower struct {
	b           *bench.Bench
	store       string
	steps, size int
}

// around is how many steps are looked at to say what one costs.
const around = 40

// sampleSteps says what steps cost. What one costs now and then, a snapshot for
// instance, is in the mean of all up to a step, and not in the median around it.
func (g grower) sampleSteps(ctx context.Context, v *bench.Values) error {
	return g.b.At(ctx, g.store, func(p *bench.Place) error {
		costs, _, err := g.grow(ctx, v, p)
		if err != nil {
			return err
		}
		at := func(n int) float64 {
			n = min(n, len(costs)-around/2)
			return bench.Milliseconds(bench.Median(costs[max(n-around/2, 0) : n+around/2]))
		}
		upTo := func(n int) float64 {
			var sum time.Duration
			for _, c := range costs[:n] {
				sum += c
			}
			return bench.Milliseconds(sum) / float64(n)
		}
		for _, n := range []int{50, 500, 2000, 5000} {
			if n <= g.steps {
				v.Add(fmt.Sprintf("step %d", n), "ms", at(n))
				v.Add(fmt.Sprintf("mean up to step %d", n), "ms", upTo(n))
			}
		}
		v.Add("last step beside step 50", "x", at(g.steps)/at(50))
		v.Add("slowest step", "ms", bench.Milliseconds(slices.Max(costs)))
		return nil
	})
}

func (g grower) sampleDisk(ctx context.Context, v *bench.Values) error {
	return g.b.At(ctx, g.store, func(p *bench.Place) error {
		_, open, err := g.grow(ctx, v, p)
		if err != nil {
			return err
		}
		closed, err := p.Bytes(ctx)
		text := float64(g.steps * g.size)
		v.Add("on disk, open", "x the text", float64(open)/text)
		v.Add("on disk, closed", "x the text", float64(closed)/text)
		return err
	})
}

// grow makes the run. It returns the times between the handler calls of its
// steps, and the size of the store before it was closed.
func (g grower) grow(ctx context.Context, v *bench.Values, p *bench.Place) (costs []time.Duration, size int64, err error) {
	v.Is("durability", p.Durability)
	store, err := p.Open(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	rt, err := bide.New(store, &bide.Options{TickSteps: g.steps + 1})
	if err != nil {
		return nil, 0, err
	}
	random := rand.NewChaCha8([32]byte{})
	last := time.Now()
	rt.Handle("text", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		costs = append(costs, time.Since(last))
		defer func() { last = time.Now() }() // making up text is no part of it
		return bide.Completed(text(random, g.size)), nil
	})
	if err := bench.Completed(rt.Run(ctx, growing, g.steps, &bide.StartOptions{MaxSteps: int64(g.steps) + 1})); err != nil {
		return nil, 0, err
	}
	size, err = p.Bytes(ctx)
	return costs, size, err
}

// text makes up text that no engine can compress.
func text(random *rand.ChaCha8, size int) string {
	b := make([]byte, size)
	_, _ = random.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)[:size]
}

// growing is a run of as many steps as its input says.
var growing = bide.Workflow{ID: "growing", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(r *bide.Run) (bide.StepPlan, error) {
		steps, err := bide.Input[int64](r)
		if err != nil || r.Step >= steps {
			return bide.Complete(nil), err
		}
		return bide.Do(bide.Call("text", nil).AppendTo("all")).Then("a"), nil
	},
}}
