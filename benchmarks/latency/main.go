// Command latency asks how long it takes from an answer or an event to the
// resumed run: in one process, with a worker at work, and from one process to another
// over one store; right away, and after a while of quiet.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/engine"
)

// workflows wait once, and then call a handler, which knows that the run goes on.
var workflows = []bide.Workflow{
	{ID: "ask", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": wait(bide.Ask("?", nil)), "b": resumed}},
	{ID: "event", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": wait(bide.WaitEvent("e", nil)), "b": resumed}},
}

func wait(e bide.Effect) bide.NodeFunc {
	return func(*bide.Run) (bide.StepPlan, error) { return bide.Do(e).Then("b"), nil }
}

func resumed(*bide.Run) (bide.StepPlan, error) {
	return bide.Do(bide.Call("resumed", nil)).ThenComplete(nil), nil
}

func main() {
	url := flag.String("store", "", "store URL; by default a SQLite file in a temporary folder")
	n := flag.Int("n", 300, "runs of each kind")
	quiet := flag.Duration("quiet", 0, "time without any work before each measurement")
	serve := flag.String("serve", "", "be the other process: drive the runs of this store and print the time of each resumption")
	flag.Parse()
	if *serve != "" {
		check(drive(*serve))
		return
	}
	if *url == "" {
		dir, err := os.MkdirTemp("", "latency")
		check(err)
		defer os.RemoveAll(dir)
		*url = "sqlite:" + filepath.Join(dir, "bide.db")
	}
	fmt.Printf("%s, quiet before each: %v\n", *url, *quiet)
	for _, place := range []string{"one process", "two processes"} {
		for _, wf := range workflows {
			took, err := measure(*url, wf, place == "one process", *n, *quiet)
			check(err)
			slices.Sort(took)
			fmt.Printf("%s -> resumed, %s: p50 %v, p99 %v over %d\n", wf.ID, place, load.Median(took), took[len(took)*99/100], len(took))
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// open is an engine that reports each resumption. Without a worker it drives nothing of its own.
func open(url string, at func(run string, t time.Time)) (*engine.Engine, error) {
	return engine.Open(context.Background(), url, &engine.Options{Workflows: workflows, Handlers: map[string]bide.Handler{
		"resumed": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			at(call.Run, time.Now())
			return bide.Completed(nil), nil
		},
	}})
}

// drive is the other process.
func drive(url string) error {
	out := bufio.NewWriter(os.Stdout)
	e, err := open(url, func(run string, t time.Time) {
		fmt.Fprintln(out, run, t.UnixNano())
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready", 0)
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent closes it
	return errors.Join(err, e.Close(context.Background()))
}

type resumption struct {
	run string
	at  int64
}

func measure(url string, wf bide.Workflow, alone bool, n int, quiet time.Duration) (took []time.Duration, err error) {
	ctx := context.Background()
	resumptions := make(chan resumption, n)
	var rt *bide.Runtime
	if alone {
		e, err := open(url, func(run string, t time.Time) { resumptions <- resumption{run, t.UnixNano()} })
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, e.Close(ctx)) }()
		rt = e.Runtime
	} else {
		stop, err := other(url, resumptions)
		if err != nil {
			return nil, err
		}
		defer stop()
		store, err := engine.OpenStore(ctx, url)
		if err != nil {
			return nil, err
		}
		defer store.Close()
		if rt, err = bide.New(store, nil); err != nil {
			return nil, err
		}
	}
	for range n {
		run, err := rt.Start(ctx, wf, nil, nil)
		if err != nil {
			return nil, err
		}
		for run.Status != bide.StatusWaiting {
			if run, err = rt.Get(ctx, run.ID); err != nil {
				return nil, err
			}
		}
		time.Sleep(quiet)
		began := time.Now()
		if wf.ID == "ask" {
			_, err = rt.Resume(ctx, run.ID, run.Waits[0].ID, "x")
		} else {
			err = rt.Send(ctx, bide.Event{ScopeID: run.ID, Name: "e"})
		}
		if err != nil {
			return nil, err
		}
		r := <-resumptions
		if r.run != run.ID {
			return nil, fmt.Errorf("run %s went on, not %s", r.run, run.ID)
		}
		took = append(took, time.Duration(r.at-began.UnixNano()))
	}
	return took, nil
}

// other starts the process that drives the runs.
func other(url string, resumptions chan<- resumption) (stop func(), err error) {
	cmd := exec.Command(os.Args[0], "-serve", url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	lines.Scan() // ready
	go func() {
		for lines.Scan() {
			var r resumption
			if _, err := fmt.Sscan(lines.Text(), &r.run, &r.at); err == nil {
				resumptions <- r
			}
		}
	}()
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}, nil
}
