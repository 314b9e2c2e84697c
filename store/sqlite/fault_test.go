package sqlite_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

func TestAFaultOfTheDiskLosesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		op   faultvfs.Op
		want bide.Code // empty: an ordinary error, which the runtime tries again
	}{
		{"full", sqlite3.FULL, faultvfs.OpWrite, bide.CodeStoreFull},
		{"no space left", syscall.ENOSPC, faultvfs.OpWrite, bide.CodeStoreFull},
		{"no space left at the flush", syscall.ENOSPC, faultvfs.OpSync, bide.CodeStoreFull},
		{"quota used up", syscall.EDQUOT, faultvfs.OpWrite, bide.CodeStoreFull},
		{"write fails", sqlite3.IOERR_WRITE, faultvfs.OpWrite, ""},
		{"write fails with a system error", syscall.EIO, faultvfs.OpWrite, ""},
		{"flush fails", sqlite3.IOERR_FSYNC, faultvfs.OpSync, ""},
		{"flush fails with a system error", syscall.EIO, faultvfs.OpSync, ""},
		{"read-only", syscall.EROFS, faultvfs.OpWrite, bide.CodeStoreReadOnly},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, fs, path := openFaulty(t, sqlite.Options{})
			c := storetest.NewChain("run")
			before := c.Next(2)
			must(t, s, before)
			failing := c.Next(2)
			for range 3 {
				fs.Fail(test.err, test.op)
				failAll(t, s, failing, test.want, path)
				wantPosition(t, s, "run", before.Info.Position())
				fs.Fail(nil)
			}
			must(t, s, failing)
			after := c.Next(1)
			must(t, s, after)
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
			s = open(t, path, nil)
			wantPosition(t, s, "run", after.Info.Position())
			for i := range 20 {
				wantPosition(t, s, fmt.Sprintf("other-%d", i), bide.Position{})
			}
		})
	}
}

// failAll sends a commit, and those of other runs at the same time, to a disk that fails.
func failAll(t *testing.T, s *sqlite.Store, commit *bide.Commit, want bide.Code, path string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 20 {
		other := storetest.NewChain(fmt.Sprintf("other-%d", i)).Next(1)
		all.Go(func() { wantFailure(t, "Commit", s.Commit(t.Context(), other), want, path) })
	}
	wantFailure(t, "Commit", s.Commit(t.Context(), commit), want, path)
	all.Wait()
}

// TestEveryCallOfTheDiskMayFail lets each write, flush and truncation in turn
// be the one from which on the disk fails, through checkpoints as well.
func TestEveryCallOfTheDiskMayFail(t *testing.T) {
	t.Parallel()
	for n, reached := 0, true; reached; n += 2 {
		s, fs, path := openFaulty(t, sqlite.Options{CheckpointPages: 20})
		c := storetest.NewChain("run")
		must(t, s, c.Next(1))
		calls := 0
		fs.Hook(func(op faultvfs.Op, _ string) error { // only the committer does these
			if op != faultvfs.OpRead {
				calls++
			}
			if calls > n && op != faultvfs.OpRead {
				return sqlite3.IOERR
			}
			return nil
		})
		acknowledged, unknown := bide.Position{}, c.Next(1)
		reached = false
		for range 10 {
			if err := s.Commit(t.Context(), unknown); err != nil {
				reached = true
				break
			}
			acknowledged, unknown = unknown.Info.Position(), c.Next(3)
		}
		fs.Hook(nil)
		if reached && acknowledged.Seq > 0 {
			wantPosition(t, s, "run", acknowledged)
		}
		must(t, s, unknown)
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		wantPosition(t, open(t, path, nil), "run", unknown.Info.Position())
	}
}

func TestAReadThatFailsDoesNotSpoilTheStore(t *testing.T) {
	s, fs, path := openFaulty(t, sqlite.Options{Readers: 1})
	c := storetest.NewChain("run")
	must(t, s, c.Next(2))
	fs.Fail(syscall.EIO, faultvfs.OpRead)
	_, err := s.Load(t.Context(), "run", bide.Position{})
	wantFailure(t, "Load", err, "", path)
	fs.Fail(nil)
	last := c.Next(1)
	must(t, s, last)
	wantPosition(t, s, "run", last.Info.Position())
}

func TestAStoreLockedByAnotherProcessSaysSo(t *testing.T) {
	for _, begin := range []string{"BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"} {
		path := dbPath(t)
		s := open(t, path, &sqlite.Options{BusyTimeout: 20 * time.Millisecond})
		c := storetest.NewChain("run")
		first, second := c.Next(1), c.Next(1)
		must(t, s, first)
		other := connect(t, path)
		run(t, other, begin)
		wantFailure(t, "Commit", s.Commit(t.Context(), second), bide.CodeStoreLocked, path)
		wantPosition(t, s, "run", first.Info.Position())
		open(t, path, &sqlite.Options{BusyTimeout: 20 * time.Millisecond}) // opening needs no lock
		run(t, other, "ROLLBACK")
		must(t, s, second)
		wantPosition(t, s, "run", second.Info.Position())
	}
}

func TestALockThatIsGivenUpInTimeIsWaitedFor(t *testing.T) {
	path := dbPath(t)
	s := open(t, path, &sqlite.Options{BusyTimeout: time.Minute})
	other := connect(t, path)
	run(t, other, "BEGIN IMMEDIATE")
	done := make(chan error)
	commit := storetest.NewChain("run").Next(1)
	go func() { done <- s.Commit(t.Context(), commit) }()
	run(t, other, "ROLLBACK")
	if err := <-done; err != nil {
		t.Errorf("Commit = %v", err)
	}
}

func TestTwoProcessesShareAFile(t *testing.T) {
	path := dbPath(t)
	stores := []*sqlite.Store{open(t, path, nil), open(t, path, nil)}
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() {
			c := storetest.NewChain(fmt.Sprintf("run-%d", i))
			for range 50 {
				if err := s.Commit(t.Context(), c.Next(1)); err != nil {
					t.Errorf("Commit = %v", err)
				}
			}
		})
	}
	all.Wait()
	shared := storetest.NewChain("shared")
	for i := range 20 {
		commit := shared.Next(1)
		must(t, stores[i%2], commit)
		wantPosition(t, stores[1-i%2], "shared", commit.Info.Position())
		if err := stores[1-i%2].Commit(t.Context(), storetest.NewChain("shared").NextWith(`"late"`)); code(err) != bide.CodeConflict {
			t.Errorf("Commit of a process that is behind = %v, want a conflict", err)
		}
	}
}
