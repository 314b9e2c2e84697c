package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/ncruces/go-sqlite3"
)

// While a run goes on, the space of deleted ones is given back, and nothing else changes.
func TestCompactGivesBackTheSpaceOfDeletedRuns(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "runs.db")
	s, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	rt := bide.Must(bide.New(s, nil))
	big := bide.Workflow{ID: "big", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Complete(strings.Repeat("x", 1<<18)), nil
	}}}
	for i := range 16 {
		if _, err := rt.Run(ctx, big, nil, &bide.StartOptions{RunID: fmt.Sprint("big", i)}); err != nil {
			t.Fatal(err)
		}
	}
	asking, err := rt.Run(ctx, counting, nil, &bide.StartOptions{RunID: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		if err := rt.Delete(ctx, fmt.Sprint("big", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
		t.Errorf("the file has %d bytes, %v; want what one small run needs", info.Size(), err)
	}
	if _, err := rt.Resume(ctx, asking.ID, asking.Waits[0].ID, "yes"); err != nil {
		t.Fatal(err)
	}
	if run, err := rt.Tick(ctx, asking.ID); err != nil || run.Status != bide.StatusCompleted {
		t.Errorf("Tick = %+v, %v", run, err)
	}
	if _, err := rt.Verify(ctx, asking.ID); err != nil {
		t.Error(err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Compact(over); err == nil {
		t.Error("Compact went on although its context had ended")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(ctx); err == nil {
		t.Error("Compact of a closed store gives no error")
	}
}

// Who commits while the store is compacted waits for that, however long it takes.
func TestCommitsWaitWhileTheStoreIsCompacted(t *testing.T) {
	ctx := t.Context()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "runs.db"), &sqlite.Options{BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	rt := bide.Must(bide.New(s, nil))
	for i := range 64 {
		bide.Must(rt.Run(ctx, filler, nil, &bide.StartOptions{RunID: fmt.Sprint("filler", i)}))
	}
	compacted := make(chan error, 1)
	go func() { compacted <- s.Compact(ctx) }()
	for ended, i := false, 0; !ended; i++ {
		select {
		case err := <-compacted:
			if err != nil {
				t.Errorf("Compact = %v", err)
			}
			ended = true
		default:
		}
		if _, err := rt.Start(ctx, counting, nil, &bide.StartOptions{RunID: fmt.Sprint("meanwhile", i)}); err != nil {
			t.Fatalf("Start while the store is compacted = %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The process dies at a call of the disk while the store is compacted, each in turn: what it left is a whole store with every
// run that was not deleted, and so is what a disk that fails from there on leaves to the process that lives on.
func TestCompactMayBeCutOffAnywhere(t *testing.T) {
	for n, reached := 0, true; reached; n += 6 {
		s, fs, path := openFaulty(t, sqlite.Options{})
		rt := bide.Must(bide.New(s, nil))
		for i := range 4 {
			if _, err := rt.Run(t.Context(), filler, nil, &bide.StartOptions{RunID: fmt.Sprint("big", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := rt.Delete(t.Context(), "big1"); err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(t.TempDir(), "left.db")
		calls := 0
		fs.Hook(func(op faultvfs.Op, _ string) error {
			if op == faultvfs.OpRead {
				return nil
			}
			if calls++; calls == n+1 {
				write(t, left, read(t, path))
				write(t, left+"-wal", read(t, path+"-wal"))
			}
			if calls > n {
				return sqlite3.IOERR
			}
			return nil
		})
		err := s.Compact(t.Context())
		fs.Hook(nil)
		if reached = calls > n; !reached {
			if err != nil {
				t.Errorf("Compact = %v", err)
			}
			left = path
		}
		hasRuns(t, s, n)
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		again := open(t, left, nil)
		hasRuns(t, again, n)
		if err := again.Compact(t.Context()); err != nil {
			t.Errorf("cut off at call %d: Compact again = %v", n, err)
		}
		hasRuns(t, again, n)
		if err := again.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

// filler completes with 64 KiB.
var filler = bide.Workflow{ID: "filler", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
	return bide.Complete(strings.Repeat("x", 1<<16)), nil
}}}

func hasRuns(t *testing.T, s *sqlite.Store, n int) {
	t.Helper()
	rt := bide.Must(bide.New(s, nil))
	for i, want := range []bool{true, false, true, true} {
		_, err := rt.Verify(t.Context(), fmt.Sprint("big", i))
		if want && err != nil || !want && !errors.Is(err, bide.ErrNotFound) {
			t.Errorf("cut off at call %d: run %d = %v; want it there: %v", n, i, err, want)
		}
	}
}
