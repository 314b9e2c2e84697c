// Command recovery kills a process with many runs in flight and asks how long
// it takes, from the start of the next one, until all of them go on; and how
// fast a long run is verified and loaded.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/worker"
)

// slow is a run whose one effect does not end before it is killed.
var slow = bide.Workflow{ID: "slow", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("slow", nil)).ThenComplete(nil), nil },
}}

func main() {
	n := flag.Int("n", 1000, "runs in flight")
	records := flag.Int("records", 10_000, "records of the long run")
	victim := flag.String("victim", "", "be the process that is killed, over this store")
	flag.Parse()
	ctx := context.Background()
	if *victim != "" {
		check(fall(ctx, *victim, *n))
		return
	}
	dir, err := os.MkdirTemp("", "recovery")
	check(err)
	defer os.RemoveAll(dir)
	check(recovery(ctx, "sqlite:"+filepath.Join(dir, "bide.db"), *n))
	check(verify(ctx, "sqlite:"+filepath.Join(dir, "long.db"), *records))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open(ctx context.Context, url string, n int, handle bide.Handler) (*engine.Engine, error) {
	return engine.Open(ctx, url, &engine.Options{
		Worker: worker.Options{Runs: n, Batch: 256}, Workflows: []bide.Workflow{slow}, Handlers: map[string]bide.Handler{"slow": handle},
	})
}

// fall brings n runs into flight, says so, and waits for death.
func fall(ctx context.Context, url string, n int) error {
	var flying sync.WaitGroup
	flying.Add(n)
	e, err := open(ctx, url, n, func(ctx context.Context, _ *bide.Invocation) (bide.Outcome, error) {
		flying.Done()
		<-ctx.Done()
		return bide.Outcome{}, ctx.Err()
	})
	if err != nil {
		return err
	}
	for range n {
		if _, err := e.Start(ctx, slow, nil, nil); err != nil {
			return err
		}
	}
	flying.Wait()
	fmt.Println("flying")
	select {}
}

func recovery(ctx context.Context, url string, n int) (err error) {
	cmd := exec.Command(os.Args[0], "-victim", url, "-n", fmt.Sprint(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if !bufio.NewScanner(out).Scan() {
		return errors.New("the process to be killed ended by itself")
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait()

	var going sync.WaitGroup
	going.Add(n)
	began := time.Now()
	e, err := open(ctx, url, n, func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		going.Done()
		return bide.Completed(call.Attempt), nil
	})
	if err != nil {
		return err
	}
	opened := time.Since(began)
	going.Wait()
	fmt.Printf("killed with %d runs in flight; all going again %v after the start of the next process (open: %v)\n", n, time.Since(began), opened)
	return e.Close(ctx)
}

func verify(ctx context.Context, url string, records int) error {
	store, err := engine.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	defer store.Close()
	rt, err := load.Runtime(store)
	if err != nil {
		return err
	}
	run, err := rt.Run(ctx, bide.Workflow{ID: "long", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			if r.Seq >= int64(records) {
				return bide.Complete(nil), nil
			}
			return bide.Do(bide.Call("work", nil).As("x")).Then("a"), nil
		},
	}}, nil, nil)
	if err != nil {
		return err
	}
	var verified, loaded []float64
	for range 9 {
		began := time.Now()
		if _, err := rt.Verify(ctx, run.ID); err != nil {
			return err
		}
		verified = append(verified, float64(run.Seq)/time.Since(began).Seconds())
		fresh, err := bide.New(store, nil)
		if err != nil {
			return err
		}
		began = time.Now()
		if _, err := fresh.Get(ctx, run.ID); err != nil {
			return err
		}
		loaded = append(loaded, float64(time.Since(began).Microseconds()))
	}
	fmt.Printf("a run of %d records: verified at %s records/s; loaded in %s us\n", run.Seq, load.Spread(verified), load.Spread(loaded))
	return nil
}
