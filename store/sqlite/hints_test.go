package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

func TestAWriteThroughAnotherHandleGivesAHint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bide.db")
	here, there := open(t, path, nil), open(t, path, nil)
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
	must(t, there, storetest.NewChain("run").Next(1))
	select {
	case claimable := <-hints:
		if !claimable {
			t.Error("the hint says that no run became claimable")
		}
	case <-time.After(10 * time.Second):
		t.Error("no hint came")
	}
}

// TestAHintComesWhenACommitCanBeSeen: it is written some time before it is flushed.
func TestAHintComesWhenACommitCanBeSeen(t *testing.T) {
	fs := faultvfs.Register()
	t.Cleanup(fs.Unregister)
	path := filepath.Join(t.TempDir(), "bide.db")
	here, there := open(t, path, nil), open(t, path, &sqlite.Options{VFS: fs.Name()})
	seen := make(chan struct{}, 1)
	err := here.Hints(t.Context(), func(bool) {
		if page, err := here.Feed(context.Background(), bide.FeedQuery{}); err == nil && len(page.Records) == 1 {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	fs.DelaySync(30 * time.Millisecond)
	must(t, there, storetest.NewChain("run").Next(1))
	select {
	case <-seen:
	case <-time.After(10 * time.Second):
		t.Error("no hint came when the commit could be seen")
	}
}
