package bide_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// cost is what a workload asks of a store. These figures do not depend on the
// machine: a change of one is a change of what bide costs, and is made on purpose.
type cost struct{ commits, records, loads int }

// meter counts what is asked of a store.
type meter struct {
	*mem.Store
	cost
	bytes int // of records
}

func (m *meter) Commit(ctx context.Context, c *bide.Commit) error {
	m.commits++
	for _, rec := range c.Records {
		m.records++
		m.bytes += len(rec.Raw)
	}
	for _, start := range c.Starts {
		m.records += len(start.Records)
	}
	return m.Store.Commit(ctx, c)
}

func (m *meter) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	m.loads++
	return m.Store.Load(ctx, runID, have)
}

// works is a runtime whose effects "work" give their payload back.
func works(t testing.TB, store bide.Store, opts *bide.Options, workflows ...bide.Workflow) *bide.Runtime {
	t.Helper()
	rt, err := bide.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Register(workflows...); err != nil {
		t.Fatal(err)
	}
	rt.Handle("work", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		return bide.Completed(call.Payload), nil
	})
	return rt
}

// chain is a workflow of n steps with one effect each; what is given is appended to "log".
func chain(n int, payload any) bide.Workflow {
	return bide.Workflow{ID: "chain", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			plan := bide.Do(bide.Call("work", payload).AppendTo("log"))
			if r.Step+1 < int64(n) {
				return plan.Then("a"), nil
			}
			return plan.ThenComplete(nil), nil
		},
	}}
}

func TestWhatStandardWorkCosts(t *testing.T) {
	kid := chain(1, nil)
	kid.ID = "kid"
	for name, tc := range map[string]struct {
		workflow bide.Workflow
		answer   any // to the wait it stops at, if it does
		want     cost
	}{
		"a run of three effects":                 {chain(3, "x"), nil, cost{commits: 4, records: 8}},
		"a run of a hundred effects":             {chain(100, "x"), nil, cost{commits: 101, records: 202}},
		"a run of pure steps":                    {pure(50), nil, cost{commits: 1, records: 52}},
		"a question and its answer":              {one(bide.Ask("?", nil)), "yes", cost{commits: 3, records: 5, loads: 1}},
		"an effect that fails and is made again": {one(bide.Call("none", nil)), nil, cost{commits: 2, records: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meter{Store: mem.New()}
			rt := works(t, m, nil, tc.workflow, kid)
			run := must[*bide.Run](t)(rt.Run(ctx, tc.workflow, nil, nil))
			if tc.answer != nil {
				must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, tc.answer))
				run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
			}
			if !run.Status.Final() {
				t.Fatalf("the run is %s", run.Status)
			}
			if m.cost != tc.want {
				t.Errorf("it costs %+v, want %+v", m.cost, tc.want)
			}
		})
	}
}

// pure is a workflow of n steps without effects.
func pure(n int64) bide.Workflow {
	return bide.Workflow{ID: "pure", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			if r.Step+1 < n {
				return bide.Go("a"), nil
			}
			return bide.Complete(nil), nil
		},
	}}
}

func TestAStepWritesWhatItAddsAndNotWhatIsThere(t *testing.T) {
	const turns, text = 200, 4 << 10
	m := &meter{Store: mem.New()}
	wf := chain(turns, nil)
	wf.Nodes["a"] = func(r *bide.Run) (bide.StepPlan, error) {
		plan := bide.Do(bide.Call("text", nil).AppendTo("log"))
		if r.Step+1 < turns {
			return plan.Then("a"), nil
		}
		return plan.ThenComplete(nil), nil
	}
	rt := works(t, m, nil, wf)
	var at []int
	rt.Handle("text", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		at = append(at, m.bytes)
		return bide.Completed(strings.Repeat("t", text)), nil
	})
	must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	if limit := turns * text * 5 / 4; m.bytes > limit {
		t.Errorf("%d turns of %d bytes take %d bytes of records, want %d at most", turns, text, m.bytes, limit)
	}
	early, late := at[20]-at[10], at[190]-at[180]
	if late > early+100 {
		t.Errorf("ten late turns take %d bytes, ten early ones %d", late, early)
	}
}

// reads counts what watching asks of a store.
type reads struct {
	*mem.Store
	feeds, others atomic.Int64
}

func (r *reads) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	r.feeds.Add(1)
	return r.Store.Feed(ctx, q)
}

func (r *reads) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	r.others.Add(1)
	return r.Store.Load(ctx, runID, have)
}

func (r *reads) Records(ctx context.Context, runID string, from int64, limit int) ([][]byte, error) {
	r.others.Add(1)
	return r.Store.Records(ctx, runID, from, limit)
}

func TestNewsOfAnotherProcessIsReadOnceHoweverManyWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const watchers = 50
		wf := one(bide.Ask("?", nil))
		r := &reads{Store: mem.New()}
		here, there := works(t, r, nil, wf), works(t, r.Store, nil, wf)
		ctx, cancel := context.WithCancel(ctx)
		// Of every run there is somebody who follows it and somebody who awaits its end, and as many follow all.
		var heard, ended atomic.Int64
		var runs []*bide.Run
		for range watchers {
			run := must[*bide.Run](t)(there.Run(ctx, wf, nil, nil))
			runs = append(runs, run)
			go func() {
				for range here.Watch(ctx, run.ID, run.Seq+1) {
					heard.Add(1)
				}
			}()
			go func() {
				for range here.WatchAll(ctx, bide.FeedQuery{After: bide.FeedEnd}) {
					heard.Add(1)
				}
			}()
			go func() {
				if _, err := here.Await(ctx, run.ID); err == nil {
					ended.Add(1)
				}
			}()
		}
		synctest.Wait()
		here.Hint(false) // of what was begun meanwhile
		synctest.Wait()
		for _, run := range runs[:3] {
			r.feeds.Store(0)
			r.others.Store(0)
			heard.Store(0)
			ended.Store(0)
			must[*bide.Run](t)(there.Cancel(ctx, run.ID))
			here.Hint(false)
			synctest.Wait()
			if heard.Load() != watchers+1 || ended.Load() != 1 {
				t.Errorf("%d heard of the end of a run, want the %d who follow all and the one who follows it; %d awaited it, want one", heard.Load(), watchers, ended.Load())
			}
			if feeds, others := r.feeds.Load(), r.others.Load(); feeds != 1 || others > 4 {
				t.Errorf("one run has ended: the feed was read %d times, want once, and runs %d times, want a few", feeds, others)
			}
		}
		r.feeds.Store(0)
		r.others.Store(0)
		<-time.After(3500 * time.Millisecond) // of the test's own time
		synctest.Wait()
		if feeds, others := r.feeds.Load(), r.others.Load(); feeds != 3 || others != 0 {
			t.Errorf("in 3.5 s without a hint the feed was read %d times and runs %d times, want once per Poll and never", feeds, others)
		}
		cancel()
		synctest.Wait()
	})
}

func TestAllocationsOfARun(t *testing.T) {
	wf := chain(3, "x")
	rt := works(t, mem.New(), nil, wf)
	got := testing.AllocsPerRun(200, func() {
		if _, err := rt.Run(ctx, wf, nil, nil); err != nil {
			t.Fatal(err)
		}
	})
	if got > 300 {
		t.Errorf("a run of three effects makes %.0f allocations, want 300 at most", got)
	}
}

func TestAFanOutStartsAndJoinsInFewCommits(t *testing.T) {
	kid := chain(1, nil)
	kid.ID = "kid"
	wf := one(bide.FanOut("kid", make([]int, 100), &bide.FanOutOptions{AtOnce: 100}))
	m := &meter{Store: mem.New()}
	rt := works(t, m, nil, wf, kid)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	if m.commits != 1 {
		t.Errorf("%d commits start a hundred children, want one", m.commits)
	}
	for _, r := range must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Parent: run.ID})).Runs {
		must[*bide.Run](t)(rt.Tick(ctx, r.ID))
	}
	before := m.commits
	if run = must[*bide.Run](t)(rt.Tick(ctx, run.ID)); run.Status != bide.StatusCompleted {
		t.Fatal(fmt.Errorf("the run is %s: %v", run.Status, run.Error))
	}
	if m.commits != before+1 {
		t.Errorf("%d commits join a hundred children that have ended, want one", m.commits-before)
	}
}
