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
	case <-time.After(time.Minute):
		t.Error("no hint came")
	}
}

// TestAHintComesWhenACommitCanBeSeen: it is written some time before it is flushed.
func TestAHintComesWhenACommitCanBeSeen(t *testing.T) {
	fs := faultvfs.Register()
	t.Cleanup(fs.Unregister)
	path := filepath.Join(t.TempDir(), "bide.db")
	here, there := open(t, path, nil), open(t, path, &sqlite.Options{VFS: fs.Name()})
	seen := make(chan int, 1000) // records at each hint
	err := here.Hints(t.Context(), func(bool) {
		if page, err := here.Feed(context.Background(), bide.FeedQuery{}); err == nil {
			select {
			case seen <- len(page.Records):
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	fs.DelaySync(30 * time.Millisecond)
	c := storetest.NewChain("run")
	for n := 1; n <= 20; n++ { // a flush that takes much longer than that is seen by polling alone
		must(t, there, c.Next(1))
		for late := time.After(time.Second); late != nil; {
			select {
			case records := <-seen:
				if records == n {
					return
				}
			case <-late:
				late = nil
			}
		}
	}
	t.Error("no hint came when a commit could be seen")
}
