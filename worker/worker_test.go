package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

// host is a runtime with a worker at work.
type host struct {
	*bide.Runtime
	w     *worker.Worker
	ended chan *bide.Commit // commits that end a run
	opens chan *bide.Commit // commits that open waits
	stop  func()
}

func newHost(t *testing.T, store *mem.Store, opts *worker.Options, setup func(*bide.Runtime), workflows ...bide.Workflow) *host {
	t.Helper()
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Register(workflows...); err != nil {
		t.Fatal(err)
	}
	if setup != nil {
		setup(rt)
	}
	w, err := worker.New(rt, store, opts)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Runtime: rt, w: w, ended: make(chan *bide.Commit, 100_000), opens: make(chan *bide.Commit, 100_000)}
	rt.Observe(func(n bide.Notice) {
		if n.Commit.Info.Status.Final() {
			h.ended <- n.Commit
		}
		if len(n.Commit.Opened) > 0 {
			h.opens <- n.Commit
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func (h *host) waitEnded(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		select {
		case <-h.ended:
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d runs ended; %+v", i, n, h.w.Stats())
		}
	}
}

func flow(effect func(r *bide.Run) bide.Effect) bide.Workflow {
	return bide.Workflow{ID: "flow", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(effect(r).As("x")).ThenComplete("ok"), nil
		},
	}}
}

// slowPoll keeps polling out of a test: what happens is due to wake-ups.
var slowPoll = &worker.Options{Poll: time.Hour}

func TestFreshRunsAreFoundAndDriven(t *testing.T) {
	var calls atomic.Int32
	wf := flow(func(*bide.Run) bide.Effect { return bide.Call("work", nil) })
	h := newHost(t, mem.New(), slowPoll, func(rt *bide.Runtime) {
		rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			calls.Add(1)
			return bide.Completed(nil), nil
		})
	}, wf)
	for range 200 {
		if _, err := h.Start(t.Context(), wf, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	h.waitEnded(t, 200)
	if calls.Load() != 200 {
		t.Errorf("%d handler calls for 200 runs", calls.Load())
	}
}

func TestAnswersTimersEventsAndChildrenWakeTheWorkerAtOnce(t *testing.T) {
	kid := bide.Workflow{ID: "kid", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(1), nil },
	}}
	for name, tc := range map[string]struct {
		effect bide.Effect
		act    func(h *host, run *bide.Commit) error
	}{
		"answer": {bide.Ask("?", nil), func(h *host, c *bide.Commit) error {
			_, err := h.Resume(context.Background(), c.RunID, c.Opened[0].ID, "x")
			return err
		}},
		"event": {bide.WaitEvent("e", nil), func(h *host, c *bide.Commit) error {
			return h.Send(context.Background(), bide.Event{ScopeID: c.RunID, Name: "e"})
		}},
		"timer": {bide.SleepFor(20 * time.Millisecond), nil},
		"child": {bide.StartRun("kid", nil, nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			wf := flow(func(*bide.Run) bide.Effect { return tc.effect })
			h := newHost(t, mem.New(), slowPoll, nil, wf, kid)
			if _, err := h.Start(t.Context(), wf, nil, nil); err != nil {
				t.Fatal(err)
			}
			c := <-h.opens
			if tc.act != nil {
				if err := tc.act(h, c); err != nil {
					t.Fatal(err)
				}
			}
			ends := 1
			if name == "child" {
				ends = 2
			}
			h.waitEnded(t, ends)
		})
	}
}

func TestRetriesHappenWithoutPolling(t *testing.T) {
	wf := flow(func(*bide.Run) bide.Effect {
		return bide.Call("flaky", nil).WithRetry(bide.RetryPolicy{Attempts: 3, Backoff: bide.Duration(5 * time.Millisecond)})
	})
	h := newHost(t, mem.New(), slowPoll, func(rt *bide.Runtime) {
		rt.Handle("flaky", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			if call.Attempt < 3 {
				return bide.Outcome{}, errors.New("not yet")
			}
			return bide.Completed(nil), nil
		})
	}, wf)
	if _, err := h.Start(t.Context(), wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	h.waitEnded(t, 1)
}

func TestBrokenAndForeignRunsDoNotDelayAHealthyOne(t *testing.T) {
	store := &corrupting{Store: mem.New()}
	wf := flow(func(*bide.Run) bide.Effect { return bide.Tell("x") })
	foreign := wf
	foreign.Version = "2"
	starter, err := bide.New(store.Store, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := starter.Start(t.Context(), wf, nil, &bide.StartOptions{RunID: fmt.Sprint("broken-", i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := starter.Start(t.Context(), foreign, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := starter.Start(t.Context(), wf, nil, &bide.StartOptions{RunID: "healthy"}); err != nil {
		t.Fatal(err)
	}
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Register(wf); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 300)
	rt.Observe(func(n bide.Notice) { ended <- n.Commit.RunID })
	w, err := worker.New(rt, store.Store, slowPoll)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	if id := <-ended; id != "healthy" {
		t.Errorf("run %s moved, want healthy", id)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	page, err := rt.Runs(t.Context(), bide.RunQuery{SetAside: true, Limit: 1000})
	if err != nil || len(page.Runs) != 100 || page.Runs[0].SetAside == "" {
		t.Errorf("%d runs set aside, %v; want 100 with a reason", len(page.Runs), err)
	}
	if err := store.SetAside(t.Context(), page.Runs[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	if page, err = rt.Runs(t.Context(), bide.RunQuery{SetAside: true, Limit: 1000}); err != nil || len(page.Runs) != 99 {
		t.Errorf("after the release of one: %d, %v", len(page.Runs), err)
	}
}

// corrupting gives back broken records of runs whose id begins with "broken".
type corrupting struct{ *mem.Store }

func (c *corrupting) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	s, err := c.Store.Load(ctx, id, have)
	if err == nil && id != "healthy" {
		s.Records = [][]byte{[]byte("{broken")}
	}
	return s, err
}

// full takes neither commits under a claim nor claims back while it is full.
type full struct {
	*mem.Store
	is      atomic.Bool
	refused chan struct{} // closed when a claim was not taken back
	once    sync.Once
}

func (f *full) Commit(ctx context.Context, c *bide.Commit) error {
	if f.is.Load() {
		return bide.ErrStoreFull
	}
	return f.Store.Commit(ctx, c)
}

func (f *full) Release(ctx context.Context, owner string, runs []string, quiet bool) error {
	if f.is.Load() {
		f.once.Do(func() { close(f.refused) })
		return bide.ErrStoreFull
	}
	return f.Store.Release(ctx, owner, runs, quiet)
}

func TestARunThatCouldNotBeGivenBackGoesOnWhenTheStoreTakesWritesAgain(t *testing.T) {
	store := &full{Store: mem.New(), refused: make(chan struct{})}
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	wf := flow(func(*bide.Run) bide.Effect { return bide.Call("work", nil) })
	if err := rt.Register(wf); err != nil {
		t.Fatal(err)
	}
	rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		select {
		case <-store.refused:
		default:
			store.is.Store(true)
		}
		return bide.Completed(nil), nil
	})
	ended := make(chan struct{})
	rt.Observe(func(n bide.Notice) {
		if n.Commit.Info.Status == bide.StatusCompleted {
			close(ended)
		}
	})
	w, err := worker.New(rt, store, &worker.Options{Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	if _, err := rt.Start(t.Context(), wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, step := range []chan struct{}{store.refused, ended} {
		select {
		case <-step:
			store.is.Store(false)
		case <-time.After(time.Minute):
			t.Fatalf("the run did not go on: %+v", w.Stats())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestShutdownLetsEffectsEndAndHandsClaimsBack(t *testing.T) {
	store := mem.New()
	wf := bide.Workflow{ID: "flow", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("work", nil)).Then("b"), nil },
		"b": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("ok"), nil },
	}}
	entered, release := make(chan struct{}), make(chan struct{})
	h := newHost(t, store, slowPoll, func(rt *bide.Runtime) {
		rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			close(entered)
			<-release
			return bide.Completed("done"), nil
		})
	}, wf)
	run, err := h.Start(t.Context(), wf, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	stopped := make(chan struct{})
	go func() { h.stop(); close(stopped) }()
	close(release)
	<-stopped
	if run, err = h.Get(t.Context(), run.ID); err != nil || run.Status.Final() && run.Status != bide.StatusCompleted {
		t.Fatalf("run = %s, %v", run.Status, err)
	}
	next := newHost(t, store, slowPoll, func(rt *bide.Runtime) {
		rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			t.Error("the effect ran again")
			return bide.Completed(nil), nil
		})
	}, wf)
	if run.Status != bide.StatusCompleted {
		next.waitEnded(t, 1) // at once: the claim was handed back
	}
}

func TestAWorkerThatComesBackUnderItsIDHasItsRunsAgain(t *testing.T) {
	store := mem.New()
	wf := flow(func(*bide.Run) bide.Effect { return bide.Tell("x") })
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Start(t.Context(), wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Heartbeat(t.Context(), "me", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Claim(t.Context(), bide.ClaimQuery{Owner: "me", Now: time.Now(), Limit: 1, Workflows: rt.Workflows()}); err != nil {
		t.Fatal(err)
	}
	newHost(t, store, &worker.Options{ID: "me", Poll: time.Hour}, nil, wf).waitEnded(t, 1)
}

func TestADeadWorkersRunsAreTakenOverWhenItsLeaseEnds(t *testing.T) {
	store := mem.New()
	wf := flow(func(*bide.Run) bide.Effect { return bide.Tell("x") })
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Start(t.Context(), wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := store.Heartbeat(t.Context(), "dead", now.Add(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Claim(t.Context(), bide.ClaimQuery{Owner: "dead", Now: now, Limit: 1, Workflows: rt.Workflows()}); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, store, &worker.Options{Poll: 10 * time.Millisecond}, nil, wf)
	h.waitEnded(t, 1)
	if took := time.Since(now); took < 100*time.Millisecond {
		t.Errorf("taken over after %s, before the lease ended", took)
	}
}

func TestManyWorkersNeverDriveARunTwice(t *testing.T) {
	store := mem.New()
	wf := flow(func(*bide.Run) bide.Effect { return bide.Call("work", nil).Once() })
	var mu sync.Mutex
	ran := map[string]int{}
	handle := func(rt *bide.Runtime) {
		rt.Handle("work", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			ran[call.Key]++
			return bide.Completed(nil), nil
		})
	}
	var hosts []*host
	for range 4 {
		hosts = append(hosts, newHost(t, store, &worker.Options{Poll: 5 * time.Millisecond, Batch: 3}, handle, wf))
	}
	for i := range 400 {
		if _, err := hosts[i%4].Start(t.Context(), wf, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(time.Minute)
	for n := 0; n < 400; n++ {
		select {
		case <-hosts[0].ended:
		case <-hosts[1].ended:
		case <-hosts[2].ended:
		case <-hosts[3].ended:
		case <-deadline:
			t.Fatalf("%d of 400 runs ended", n)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for key, n := range ran {
		if n != 1 {
			t.Errorf("effect %s ran %d times", key, n)
		}
	}
	if len(ran) != 400 {
		t.Errorf("%d effects ran, want 400", len(ran))
	}
}

func TestADrainedWorkerLeavesRunsToOthers(t *testing.T) {
	store, ctx := mem.New(), t.Context()
	if err := store.Heartbeat(ctx, "a", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := store.Drain(ctx, "a", true); err != nil {
		t.Fatal(err)
	}
	wf := flow(func(*bide.Run) bide.Effect { return bide.Tell("done") })
	opts := func(id string) *worker.Options {
		return &worker.Options{ID: id, Poll: 5 * time.Millisecond, Lease: 60 * time.Millisecond}
	}
	a := newHost(t, store, opts("a"), nil, wf)
	for late := time.After(time.Minute); !a.w.Stats().Drained; runtime.Gosched() { // until it is at work
		select {
		case <-late:
			t.Fatal("the worker does not hear that it is drained")
		default:
		}
	}
	b := newHost(t, store, opts("b"), nil, wf)
	const runs = 20
	for range runs {
		if _, err := a.Start(ctx, wf, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	b.waitEnded(t, runs)
	if got := a.w.Stats(); got.Claimed != 0 || !got.Drained {
		t.Errorf("the drained worker: %+v", got)
	}
	b.stop()
	if err := store.Drain(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Start(ctx, wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	a.waitEnded(t, 1)
	a.stop()
	owners, err := store.Owners(ctx, time.Now())
	if err != nil || len(owners) != 0 {
		t.Errorf("after both have ended, %+v live (%v)", owners, err)
	}
}

// claimsCounted counts the claims that gave runs.
type claimsCounted struct {
	*mem.Store
	n atomic.Int32
}

func (c *claimsCounted) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	claims, err := c.Store.Claim(ctx, q)
	if len(claims) > 0 {
		c.n.Add(1)
	}
	return claims, err
}

func TestABacklogIsClaimedInGrowingBatches(t *testing.T) {
	const runs = 32 + 64 + 128 + 5
	wf := flow(func(*bide.Run) bide.Effect { return bide.Call("work", nil) })
	store := &claimsCounted{Store: mem.New()}
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	atWork, release := make(chan struct{}, runs), make(chan struct{})
	rt.Handle("work", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		atWork <- struct{}{}
		<-release
		return bide.Completed(nil), nil
	})
	for range runs {
		if _, err := rt.Start(t.Context(), wf, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	w, err := worker.New(rt, store, slowPoll)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for range runs {
		<-atWork
	}
	cancel()
	close(release)
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if n := store.n.Load(); n != 4 {
		t.Errorf("%d runs were claimed in %d batches, want 4: of 32, 64, 128 and the rest", runs, n)
	}
}
