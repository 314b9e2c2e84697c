// Command scale parks many runs on questions, events and timers in a SQLite
// file, opens it with a worker, and asks what that costs at rest and how long
// one of them takes to go on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/engine"
)

var parked = bide.Workflow{ID: "parked", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("go", &bide.EventOptions{Timeout: bide.Duration(1000 * time.Hour)})).Then("b"), nil
	},
	"b": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("resumed", nil)).ThenComplete(nil), nil
	},
}}

func main() {
	n := flag.Int("n", 100_000, "parked runs, each with an event wait and a timer")
	rest := flag.Duration("rest", 20*time.Second, "how long to watch the idle process")
	flag.Parse()
	if err := scale(context.Background(), *n, *rest); err != nil {
		log.Fatal(err)
	}
}

func scale(ctx context.Context, n int, rest time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "scale")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bide.db")
	if err := park(ctx, "sqlite:"+file, n); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	resumed := make(chan time.Time, 1)
	began := time.Now()
	e, err := engine.Open(ctx, "sqlite:"+file, &engine.Options{Workflows: []bide.Workflow{parked}, Handlers: map[string]bide.Handler{
		"resumed": func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			resumed <- time.Now()
			return bide.Completed(nil), nil
		},
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(ctx)) }()
	fmt.Printf("%d parked runs, each on an event and a timer; %d bytes on disk a run; open: %v\n", n, info.Size()/int64(n), time.Since(began))

	cpu := processor()
	time.Sleep(rest)
	cpu = processor() - cpu
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	fmt.Printf("at rest for %v: %.3f %% of a core, %d goroutines, %.1f MB of heap, %.1f MB from the system\n", rest,
		100*cpu.Seconds()/rest.Seconds(), runtime.NumGoroutine(), float64(mem.HeapAlloc)/1e6, float64(mem.Sys)/1e6)

	var took []time.Duration
	for _, i := range rand.Perm(n)[:min(n, 500)] {
		began := time.Now()
		if err := e.Send(ctx, bide.Event{ScopeID: id(i), Name: "go"}); err != nil {
			return err
		}
		took = append(took, (<-resumed).Sub(began))
	}
	slices.Sort(took)
	fmt.Printf("event to one of them -> resumed: p50 %v, p99 %v over %d\n", load.Median(took), took[len(took)*99/100], len(took))
	return nil
}

func id(i int) string { return fmt.Sprintf("parked-%d", i) }

// park starts the runs and brings each to its waits.
func park(ctx context.Context, url string, n int) error {
	store, err := engine.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	rt, err := bide.New(store, nil)
	if err != nil {
		return err
	}
	const workers = 128
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				_, errs[w] = rt.Run(ctx, parked, nil, &bide.StartOptions{RunID: id(i)})
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, store.Close())...)
}

// processor is the processor time of this process so far.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
