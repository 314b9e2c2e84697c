// Command growth asks whether a step costs the same late in a run as early on:
// it times every step of a run that appends a text at each, on SQLite with
// full durability, and counts the bytes on disk.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/store/sqlite"
)

func main() {
	steps := flag.Int("steps", 2000, "steps of the run")
	size := flag.Int("bytes", 1024, "bytes appended at each step")
	repeats := flag.Int("repeats", 5, "runs; each step's cost is the median over them")
	flag.Parse()
	costs := make([][]time.Duration, *repeats)
	var disk int64
	for i := range costs {
		var err error
		if costs[i], disk, err = grow(context.Background(), *steps, *size); err != nil {
			log.Fatal(err)
		}
	}
	at := func(n int) time.Duration { // the median over 40 steps around n and over all runs
		var around []time.Duration
		for _, c := range costs {
			around = append(around, c[max(n-20, 0):min(n+20, len(c))]...)
		}
		return load.Median(around)
	}
	early, late := at(50), at(*steps-20)
	text := int64(*steps) * int64(*size)
	fmt.Printf("SQLite, synchronous=FULL, %d runs of %d steps, %d bytes appended at each\n", *repeats, *steps, *size)
	fmt.Printf("step 50: %v   step %d: %v   ratio %.2f\n", early, *steps, late, float64(late)/float64(early))
	fmt.Printf("bytes on disk: %d = %.2f x the text of %d\n", disk, float64(disk)/float64(text), text)
}

// grow makes one run and returns the time between the handler calls of its steps.
func grow(ctx context.Context, steps, size int) (costs []time.Duration, disk int64, err error) {
	dir, err := os.MkdirTemp("", "growth")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, filepath.Join(dir, "bide.db"), nil)
	if err != nil {
		return nil, 0, err
	}
	rt, err := bide.New(db, &bide.Options{TickSteps: steps + 1})
	if err != nil {
		return nil, 0, err
	}
	text := strings.Repeat("x", size)
	last := time.Now()
	rt.Handle("text", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		now := time.Now()
		costs = append(costs, now.Sub(last))
		last = now
		return bide.Completed(text), nil
	})
	run, err := rt.Run(ctx, bide.Workflow{ID: "grow", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			if r.Step == int64(steps) {
				return bide.Complete(nil), nil
			}
			return bide.Do(bide.Call("text", nil).AppendTo("all")).Then("a"), nil
		},
	}}, nil, nil)
	if err != nil {
		return nil, 0, err
	}
	if run.Status != bide.StatusCompleted {
		return nil, 0, fmt.Errorf("run is %s: %v", run.Status, run.Error)
	}
	if err := db.Close(); err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(filepath.Join(dir, "bide.db"))
	if err != nil {
		return nil, 0, err
	}
	return costs, info.Size(), nil
}
