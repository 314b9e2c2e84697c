package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
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
