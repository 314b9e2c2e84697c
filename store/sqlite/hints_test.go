package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
)

func TestAWriteThroughAnotherHandleGivesAHint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bide.db")
	here := bide.Must(sqlite.Open(t.Context(), path, nil))
	defer here.Close()
	there := bide.Must(sqlite.Open(t.Context(), path, nil))
	defer there.Close()
	hints := bide.Must(here.Hints(t.Context()))
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil },
	}}
	bide.Must(bide.Must(bide.New(there, nil)).Start(t.Context(), wf, nil, nil))
	select {
	case <-hints:
	case <-time.After(10 * time.Second):
		t.Error("no hint came")
	}
}
