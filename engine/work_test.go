package engine

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

// muted takes no signs of life while it is silent, as a store on a full disk.
type muted struct {
	*mem.Store
	silent atomic.Bool
}

func (m *muted) Heartbeat(ctx context.Context, owner string, until time.Time) error {
	if m.silent.Load() {
		return bide.ErrStoreFull
	}
	return m.Store.Heartbeat(ctx, owner, until)
}

func TestRunsGoOnAfterTheStoreTookNothingForALease(t *testing.T) {
	store := &muted{Store: mem.New()}
	wf := bide.Workflow{ID: "flow", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("ok"), nil },
	}}
	e, err := start(store, &Options{Workflows: []bide.Workflow{wf}, Worker: worker.Options{Lease: 30 * time.Millisecond, Poll: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	e.unlock = func() error { return nil }
	first := e.Worker()
	store.silent.Store(true)
	late := time.Now().Add(time.Minute)
	for e.Worker() == first {
		if time.Now().After(late) {
			t.Fatal("no other worker took the place of the one whose lease ended")
		}
		runtime.Gosched()
	}
	store.silent.Store(false)
	run, err := e.Start(t.Context(), wf, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for run.Status != bide.StatusCompleted {
		if run, err = e.Get(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(late) {
			t.Fatalf("the run is %s, and nobody drives it", run.Status)
		}
		runtime.Gosched()
	}
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close = %v", err)
	}
}
