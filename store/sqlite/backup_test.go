package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
)

// counting is a workflow that makes steps and then asks.
var counting = bide.Workflow{ID: "counting", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(r *bide.Run) (bide.StepPlan, error) {
	n, err := bide.Get[int](r.Vars, "n")
	if n == 5 {
		return bide.Do(bide.Ask("go on?", nil)).ThenCompleteWith("n"), err
	}
	return bide.Go("n").Set("n", n+1), err
}}}

func TestABackupOfARunningStoreIsAStoreThatGoesOn(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := sqlite.Open(ctx, filepath.Join(dir, "runs.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rt := bide.Must(bide.New(s, nil))
	stop := make(chan struct{})
	var acknowledged atomic.Int64
	written := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			if _, err := rt.Run(ctx, counting, nil, &bide.StartOptions{RunID: fmt.Sprintf("r%d", i)}); err != nil {
				written <- err
				return
			}
			acknowledged.Store(int64(i) + 1)
		}
	}()
	for b := range 3 {
		before := acknowledged.Load()
		path := filepath.Join(dir, fmt.Sprintf("backup%d.db", b))
		if err := s.Backup(ctx, path); err != nil {
			t.Fatal(err)
		}
		if err := s.Backup(ctx, path); !errors.Is(err, bide.ErrExists) {
			t.Errorf("Backup over a file = %v, want ErrExists", err)
		}
		restored(t, path, before)
	}
	close(stop)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".backup-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	gone := filepath.Join(dir, "cancelled.db")
	if err := s.Backup(over, gone); err == nil {
		t.Error("Backup after the end of its context gave no error")
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("a backup that was cut off left a file")
	}
}

// restored opens a backup and checks that it has at least so many runs, each whole, and that one goes on.
func restored(t *testing.T, path string, least int64) {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rt := bide.Must(bide.New(s, nil))
	if err := rt.Register(counting); err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := s.Runs(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			if _, err := rt.Verify(ctx, r.ID); err != nil {
				t.Errorf("run %s of the backup: %v", r.ID, err)
			}
		}
		n += int64(len(page.Runs))
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if n < least {
		t.Errorf("the backup has %d runs; %d were acknowledged before it", n, least)
	}
	if least == 0 {
		return
	}
	run, err := rt.Get(ctx, "r0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Resume(ctx, "r0", run.Waits[0].ID, "yes"); err != nil {
		t.Fatal(err)
	}
	if run, err = rt.Tick(ctx, "r0"); err != nil || run.Status != bide.StatusCompleted {
		t.Errorf("the run of the backup is %v, %v", run, err)
	}
}
