package worker_test

import (
	"context"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

// commitsUntil returns how many commits are made from act until a run ends.
func (h *host) commitsUntil(t *testing.T, end func(*bide.Commit) bool, act func() error) (n int) {
	t.Helper()
	commits := make(chan *bide.Commit, 1000)
	stop := h.Observe(func(n bide.Notice) { commits <- n.Commit })
	defer stop()
	if err := act(); err != nil {
		t.Fatal(err)
	}
	for c := range commits {
		if n++; end(c) {
			return n
		}
		if n == 100 {
			t.Fatal("no end after 100 commits")
		}
	}
	return n
}

// ready drives one run to its end, so that the worker is known to be at work.
func (h *host) ready(t *testing.T) {
	t.Helper()
	wf := bide.Workflow{ID: "ready", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil },
	}}
	if _, err := h.Start(t.Context(), wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	h.waitEnded(t, 1)
}

func TestWhatGoesOnHereGoesOnInTheCommitThatLetsIt(t *testing.T) {
	final := func(c *bide.Commit) bool { return c.Info.Status.Final() }
	work := func(rt *bide.Runtime) {
		rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed(nil), nil })
	}
	three := bide.Workflow{ID: "three", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("work", nil)).Then("b"), nil },
		"b": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("work", nil)).Then("c"), nil },
		"c": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("work", nil)).ThenComplete(nil), nil },
	}}
	wait := func(e bide.Effect) bide.Workflow {
		return bide.Workflow{ID: "wait", Version: "1", Entry: "a", Nodes: bide.Nodes{
			"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(e).Then("b"), nil },
			"b": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("work", nil)).ThenComplete(nil), nil },
		}}
	}
	t.Run("a run of three effects takes four commits", func(t *testing.T) {
		h := newHost(t, mem.New(), slowPoll, work, three)
		h.ready(t)
		n := h.commitsUntil(t, final, func() error { _, err := h.Start(t.Context(), three, nil, nil); return err })
		if n != 4 {
			t.Errorf("%d commits, want 4", n)
		}
	})
	for name, tc := range map[string]struct {
		effect bide.Effect
		act    func(h *host, c *bide.Commit) error
	}{
		"an answer": {bide.Ask("?", nil), func(h *host, c *bide.Commit) error {
			_, err := h.Resume(context.Background(), c.RunID, c.Opened[0].ID, "x")
			return err
		}},
		"an event": {bide.WaitEvent("e", nil), func(h *host, c *bide.Commit) error {
			return h.Send(context.Background(), bide.Event{ScopeID: c.RunID, Name: "e", ID: "1"})
		}},
	} {
		t.Run(name+" and the next effect are one commit", func(t *testing.T) {
			wf := wait(tc.effect)
			h := newHost(t, mem.New(), slowPoll, work, wf)
			h.ready(t)
			if _, err := h.Start(t.Context(), wf, nil, nil); err != nil {
				t.Fatal(err)
			}
			c := <-h.opens
			// One that resolves the wait and announces the effect, one that ends it and the run.
			if n := h.commitsUntil(t, final, func() error { return tc.act(h, c) }); n != 2 {
				t.Errorf("%d commits, want 2", n)
			}
		})
	}
}

func TestAnEventSentTwiceGoesOnOnce(t *testing.T) {
	wf := bide.Workflow{ID: "twice", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.WaitEvent("e", nil)).Then("b"), nil },
		"b": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.WaitEvent("e", nil).As("second")).ThenCompleteWith("second"), nil
		},
	}}
	h := newHost(t, mem.New(), slowPoll, nil, wf)
	h.ready(t)
	run, err := h.Start(t.Context(), wf, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-h.opens
	for _, id := range []string{"1", "1", "2"} {
		if err := h.Send(t.Context(), bide.Event{ScopeID: run.ID, Name: "e", ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	h.waitEnded(t, 1)
	run, err = h.Get(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := bide.Get[bide.ReceivedEvent](run.Vars, "second"); err != nil || e.ID != "2" {
		t.Errorf("the second event is %q (%v), want 2", e.ID, err)
	}
}

func TestAWorkerWithoutAFreePlaceTakesRunsOnLater(t *testing.T) {
	release, wf := make(chan struct{}), flow(func(*bide.Run) bide.Effect { return bide.Call("work", nil) })
	h := newHost(t, mem.New(), &worker.Options{Runs: 2, Poll: slowPoll.Poll}, func(rt *bide.Runtime) {
		rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			<-release
			return bide.Completed(nil), nil
		})
	}, wf)
	h.ready(t)
	for range 10 {
		if _, err := h.Start(t.Context(), wf, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.w.Stats().Driving; n > 2 {
		t.Errorf("%d runs are driven, want 2 at most", n)
	}
	close(release)
	h.waitEnded(t, 10)
}
