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
	hints := make(chan bool, 1)
	err := here.Hints(t.Context(), func(claimable bool) {
		select {
		case hints <- claimable:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil },
	}}
	bide.Must(bide.Must(bide.New(there, nil)).Start(t.Context(), wf, nil, nil))
	select {
	case claimable := <-hints:
		if !claimable {
			t.Error("the hint says that no run became claimable")
		}
	case <-time.After(10 * time.Second):
		t.Error("no hint came")
	}
}
