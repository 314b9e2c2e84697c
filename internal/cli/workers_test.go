package cli_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kernel "github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/sqlite"
)

// A call that takes its time is none that nobody sees to, as long as the worker lives that drives its run.
func TestALongCallOfALivingWorkerIsNotLeftAlone(t *testing.T) {
	dir := project(t)
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "desk.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BIDE_STORE", "sqlite:desk.db")
	begun := make(chan struct{})
	rt := kernel.Must(kernel.New(store, &kernel.Options{Clock: bidetest.NewClock(time.Now().Add(-time.Minute))}))
	rt.Handle("think", func(ctx context.Context, _ *kernel.Invocation) (kernel.Outcome, error) {
		close(begun)
		<-ctx.Done()
		return kernel.Outcome{}, context.Cause(ctx)
	})
	wf := kernel.Workflow{ID: "slow", Version: "1", Entry: "ask", Nodes: kernel.Nodes{"ask": func(*kernel.Run) (kernel.StepPlan, error) {
		return kernel.Do(kernel.Call("think", nil)).ThenComplete(nil), nil
	}}}
	run := kernel.Must(rt.Start(t.Context(), wf, nil, nil))
	ctx, cancel := context.WithCancel(t.Context())
	ticked := make(chan struct{})
	go func() {
		defer close(ticked)
		_, _ = rt.Tick(ctx, run.ID) // ends with the test, in the middle of the call
	}()
	t.Cleanup(func() {
		cancel()
		<-ticked
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	<-begun

	wants(t, dir, 0, []string{"workers"}, "Nobody seems to work on slow")
	finds(t, examined(t, dir, 1), "running", "bad", "1 runs could go on", "bide work")

	now := time.Now()
	if err := store.Heartbeat(t.Context(), "w", now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	claimed, err := store.Claim(t.Context(), kernel.ClaimQuery{Owner: "w", Now: now, Limit: 1, Workflows: []kernel.WorkflowVersion{{ID: "slow", Version: "1"}}})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim = %v, %v", claimed, err)
	}
	if r := bide(t, dir, "workers"); r.code != 0 || strings.Contains(r.stderr.String(), "Nobody") {
		t.Errorf("bide workers, of a run that a living worker drives = %d: %s", r.code, r.stderr.String())
	}
	finds(t, examined(t, dir, 0), "running", "ok")
	wants(t, dir, 0, []string{"why", run.ID}, "A call of think at ask was begun", "bide workers")
}
