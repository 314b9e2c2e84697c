package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
)

// workflows wait once, and then call a handler, which knows that the run goes on.
var workflows = []bide.Workflow{
	{ID: "answer", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": wait(bide.Ask("?", nil)), "b": resumed}},
	{ID: "event", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": wait(bide.WaitEvent("e", nil)), "b": resumed}},
}

func wait(e bide.Effect) bide.NodeFunc {
	return func(*bide.Run) (bide.StepPlan, error) { return bide.Do(e).Then("b"), nil }
}

func resumed(*bide.Run) (bide.StepPlan, error) {
	return bide.Do(bide.Call("resumed", nil)).ThenComplete(nil), nil
}

// A subject is a store with a worker at work, in this process or in another,
// and a runtime that starts and resumes runs of one workflow.
type subject struct {
	setting map[string]string
	wf      bide.Workflow
	rt      *bide.Runtime
	place   *bench.Place
	news    chan resumption
	end     func() error // of what is open
	parked  *bide.Run    // waits
}

// resumption says when a run went on, on the clock that the processes share.
type resumption struct {
	run string
	at  int64 // ns
}

func openSubjects(ctx context.Context, b *bench.Bench) (subjects []*subject, err error) {
	stores, err := b.Stores()
	if err != nil {
		return nil, err
	}
	for _, store := range stores {
		for _, wf := range workflows {
			for _, processes := range []string{"1", "2"} {
				if processes == "2" && (store == bench.Memory || store == bench.File) {
					continue // for one process at a time
				}
				s := &subject{wf: wf, news: make(chan resumption, 1), setting: map[string]string{
					"store": store, "what": wf.ID + " to resumed", "processes": processes}}
				if s.place, err = b.Place(ctx, store); err != nil {
					return subjects, err
				}
				s.setting["durability"] = s.place.Durability
				open := s.openAlone
				if processes == "2" {
					open = s.openPair
				}
				if err := open(ctx); err != nil {
					return subjects, errors.Join(err, s.place.Drop())
				}
				subjects = append(subjects, s)
			}
		}
	}
	return subjects, nil
}

func (s *subject) close() error { return errors.Join(s.end(), s.place.Drop()) }

// openEngine opens a worker that tells of each resumption.
func openEngine(ctx context.Context, url string, tell func(resumption)) (*engine.Engine, error) {
	return engine.Open(ctx, url, &engine.Options{Workflows: workflows, Handlers: map[string]bide.Handler{
		"resumed": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			tell(resumption{call.Run, time.Now().UnixNano()})
			return bide.Completed(nil), nil
		},
	}})
}

func (s *subject) openAlone(ctx context.Context) error {
	e, err := openEngine(ctx, s.place.URL, func(r resumption) { s.news <- r })
	if err != nil {
		return err
	}
	s.rt, s.end = e.Runtime, func() error { return e.Close(context.WithoutCancel(ctx)) }
	return nil
}

// openPair has the worker in another process.
func (s *subject) openPair(ctx context.Context) error {
	other, err := bench.StartChild("-serve", s.place.URL)
	if err != nil {
		return err
	}
	if _, err := other.Hear(); err != nil { // it is ready
		return errors.Join(err, other.End())
	}
	store, err := engine.OpenStore(ctx, s.place.URL)
	if err != nil {
		return errors.Join(err, other.End())
	}
	s.end = func() error { return errors.Join(store.Close(), other.End()) }
	go s.listen(other)
	s.rt, err = bide.New(store, nil)
	return err
}

// listen passes on what the other process tells, until it ends.
func (s *subject) listen(other *bench.Child) {
	for {
		line, err := other.Hear()
		if err != nil {
			return
		}
		run, at, _ := strings.Cut(line, " ")
		ns, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return
		}
		s.news <- resumption{run, ns}
	}
}

// drive is the other process, until it is told that there is no more to come.
func drive(ctx context.Context, url string) error {
	e, err := openEngine(ctx, url, func(r resumption) { fmt.Println(r.run, r.at) })
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return errors.Join(bench.WaitForParent(), e.Close(context.WithoutCancel(ctx)))
}

// pause is between looks at a run that is about to wait.
const pause = 2 * time.Millisecond

// patience bounds the wait for a resumption.
const patience = time.Minute

// park starts a run and waits until it waits.
func (s *subject) park(ctx context.Context) (err error) {
	s.parked, err = s.rt.Start(ctx, s.wf, nil, nil)
	for began := time.Now(); err == nil && s.parked.Status != bide.StatusWaiting; {
		if time.Since(began) > patience {
			return fmt.Errorf("after %v run %s is %s instead of waiting", patience, s.parked.ID, s.parked.Status)
		}
		time.Sleep(pause)
		s.parked, err = s.rt.Get(ctx, s.parked.ID)
	}
	return err
}

// resume lets the parked run go on and returns how long that took.
func (s *subject) resume(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	if s.wf.ID == "answer" {
		_, err = s.rt.Resume(ctx, s.parked.ID, s.parked.Waits[0].ID, "x")
	} else {
		err = s.rt.Send(ctx, bide.Event{ScopeID: s.parked.ID, Name: "e"})
	}
	if err != nil {
		return 0, err
	}
	select {
	case r := <-s.news:
		if r.run != s.parked.ID {
			return 0, fmt.Errorf("run %s went on instead of %s", r.run, s.parked.ID)
		}
		return time.Duration(r.at - began.UnixNano()), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("run %s has not gone on after %v", s.parked.ID, patience)
	}
}

// sample measures n resumptions one after the other.
func (s *subject) sample(ctx context.Context, v *bench.Values, n int) error {
	each := make([]time.Duration, n)
	for i := range each {
		if err := s.park(ctx); err != nil {
			return err
		}
		var err error
		if each[i], err = s.resume(ctx); err != nil {
			return err
		}
	}
	addQuantiles(v, each)
	return nil
}

// first measures one resumption, of the run that is parked.
func (s *subject) first(ctx context.Context, v *bench.Values) error {
	took, err := s.resume(ctx)
	v.Add("first", "ms", bench.Milliseconds(took))
	return err
}
