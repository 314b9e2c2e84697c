package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
)

// crew are worker processes, each of which does what serve does.
type crew struct {
	members []*member
	ended   chan struct{} // receives one for each run that has ended
}

type member struct {
	*bench.Child
	calls int   // effects carried out, as it says
	err   error // of listening
	heard chan struct{}
}

// add starts a worker process and waits until it is ready.
func (c *crew) add(url string) error {
	child, err := bench.StartChild("-work", url)
	if err != nil {
		return err
	}
	m := &member{Child: child, heard: make(chan struct{})}
	c.members = append(c.members, m)
	if _, err := child.Hear(); err != nil {
		close(m.heard)
		return err
	}
	go m.listen(c.ended)
	return nil
}

// listen hears of runs that have ended, and then how many effects there were.
func (m *member) listen(ended chan<- struct{}) {
	defer close(m.heard)
	for {
		line, err := m.Hear()
		if err != nil {
			m.err = err
			return
		}
		if line != "end" {
			m.calls, m.err = strconv.Atoi(line)
			return
		}
		ended <- struct{}{}
	}
}

// tell sends a line to all.
func (c *crew) tell(line string) error {
	for _, m := range c.members {
		if err := m.Tell(line); err != nil {
			return err
		}
	}
	return nil
}

// count returns how many effects all have carried out. It is for after they were asked.
func (c *crew) count() (calls int, err error) {
	for _, m := range c.members {
		<-m.heard
		calls += m.calls
		err = errors.Join(err, m.err)
	}
	return calls, err
}

// end ends the processes.
func (c *crew) end() (err error) {
	for _, m := range c.members {
		err = errors.Join(err, m.End())
	}
	return err
}

// serve is a worker process. It does not know the workflow, and so takes no
// run, before it is told to go. It says when a run has ended, and how many effects it has carried out when asked.
func serve(ctx context.Context, url string) error {
	var calls atomic.Int64
	e, err := engine.Open(ctx, url, &engine.Options{Handlers: map[string]bide.Handler{
		"work": func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
			calls.Add(1)
			return bench.Work(ctx, call)
		},
	}})
	if err != nil {
		return err
	}
	defer e.Observe(func(n bide.Notice) {
		if n.Commit.Info.Status == bide.StatusCompleted {
			fmt.Println("end")
		}
	})()
	fmt.Println("ready")
	parent := bufio.NewScanner(os.Stdin)
	for parent.Scan() {
		switch parent.Text() {
		case "go":
			if err := e.Register(bench.ThreeSteps); err != nil {
				return err
			}
			e.Worker().Wake()
		case "count":
			fmt.Println(calls.Load())
		}
	}
	return errors.Join(parent.Err(), e.Close(context.WithoutCancel(ctx)))
}
