package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

// together makes commits share one transaction. It returns their outcomes.
func together(t *testing.T, s *sqlite.Store, fs *faultvfs.FS, commits []*bide.Commit) []error {
	t.Helper()
	calls := make([]func() error, len(commits))
	for i, c := range commits {
		calls[i] = func() error { return s.Commit(t.Context(), c) }
	}
	return atOnce(t, s, fs, calls)
}

// atOnce makes calls share one transaction: it holds up the flush of one commit
// until all of them wait, in order. It returns their outcomes.
func atOnce(t *testing.T, s *sqlite.Store, fs *faultvfs.FS, calls []func() error) []error {
	t.Helper()
	entered, release := held(fs)
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Commit(t.Context(), storetest.NewChain("the first").Next(1)); err != nil {
			t.Errorf("Commit = %v", err)
		}
	})
	<-entered
	errs := make([]error, len(calls))
	for i, call := range calls {
		all.Go(func() { errs[i] = call() })
		queued(s, i+1)
	}
	release()
	all.Wait()
	return errs
}

func TestCommitsThatWaitShareOneFlush(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	commits := make([]*bide.Commit, 200)
	for i := range commits {
		commits[i] = storetest.NewChain(fmt.Sprintf("run-%d", i)).Next(2)
	}
	before := fs.Syncs()
	for _, err := range together(t, s, fs, commits) {
		if err != nil {
			t.Errorf("Commit = %v", err)
		}
	}
	if n := fs.Syncs() - before; n > 4 { // the log is new: its header takes one as well
		t.Errorf("201 commits took %d flushes, want at most 4", n)
	}
	for _, c := range commits {
		wantPosition(t, s, c.RunID, c.Info.Position())
	}
}

func TestALargeGroupIsSplit(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	var commits []*bide.Commit
	for i := range 20 {
		big := `"` + noise(uint64(i), 540_000) + `"` // packed it has three quarters of that
		commits = append(commits, storetest.NewChain(fmt.Sprintf("big-%d", i)).NextWith(big))
	}
	for i := range 600 {
		commits = append(commits, storetest.NewChain(fmt.Sprintf("run-%d", i)).Next(1))
	}
	before := fs.Syncs()
	for _, err := range together(t, s, fs, commits) {
		if err != nil {
			t.Errorf("Commit = %v", err)
		}
	}
	if n := fs.Syncs() - before; n < 12 || n > 30 {
		t.Errorf("8 MB in 620 commits took %d flushes, want 12 to 30", n)
	}
}

func TestEveryAcknowledgedCommitIsFlushed(t *testing.T) {
	for _, test := range []struct {
		durability sqlite.Durability
		atLeast    int64
	}{{"", 50}, {sqlite.DurabilityFull, 50}, {sqlite.DurabilityNormal, 0}} {
		s, fs, _ := openFaulty(t, sqlite.Options{Durability: test.durability})
		c := storetest.NewChain("run")
		must(t, s, c.Next(1))
		before := fs.Syncs()
		for range 50 {
			must(t, s, c.Next(1))
		}
		n := fs.Syncs() - before
		if n < test.atLeast || test.atLeast == 0 && n > 0 {
			t.Errorf("with durability %q, 50 commits took %d flushes, want at least %d", test.durability, n, test.atLeast)
		}
	}
}

// TestAStepWritesFewPages: that of the run's row, those at the ends of the ledger and of its index, and
// now and then a new one. An index that changes with every step would make it one or two more.
func TestAStepWritesFewPages(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	for i := range 20 {
		other := storetest.NewChain(fmt.Sprintf("other-%d", i))
		other.Info.Labels = map[string]string{"a": "b"}
		must(t, s, other.Next(1))
	}
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	pages := 0
	fs.Hook(func(op faultvfs.Op, file string) error {
		if op == faultvfs.OpWrite {
			pages++
		}
		return nil
	})
	for range 200 {
		must(t, s, c.Next(2))
	}
	fs.Hook(nil)
	if pages /= 2; pages > 200*4 { // each has a head of its own
		t.Errorf("200 steps wrote %d pages, want at most 4 each", pages)
	}
}

func TestAStaleCommitDoesNotDisturbItsGroup(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	stale := *c
	bad, again := stale.NextWith(`"stale"`), c.Next(1)
	must(t, s, again)
	newRun, taken := storetest.NewChain("new").Next(1), storetest.NewChain("run").Next(3)
	good := c.Next(2)
	errs := together(t, s, fs, []*bide.Commit{newRun, bad, taken, good})
	for i, want := range []error{nil, bide.ErrConflict, bide.ErrConflict, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("commit %d of the group = %v, want %v", i, errs[i], want)
		}
	}
	wantPosition(t, s, "run", good.Info.Position())
	wantPosition(t, s, "new", newRun.Info.Position())
}

func TestCommitsOfOneRunInAGroupFollowEachOther(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	c := storetest.NewChain("run")
	first, second, third := c.Next(1), c.Next(2), c.Next(1)
	errs := together(t, s, fs, []*bide.Commit{first, second, second, third, first})
	for i, want := range []error{nil, nil, nil, nil, bide.ErrConflict} {
		if !errors.Is(errs[i], want) {
			t.Errorf("commit %d of the group = %v, want %v", i, errs[i], want)
		}
	}
	wantPosition(t, s, "run", third.Info.Position())
}

func TestACommitThatCannotBeStoredDoesNotDisturbItsGroup(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	before, bad, after := storetest.NewChain("before").Next(1), storetest.NewChain("bad").Next(1), storetest.NewChain("after").Next(1)
	wait := bide.Wait{ID: "bad.1", Kind: bide.WaitJob}
	bad.Opened = []bide.Wait{wait, wait} // the same twice
	errs := together(t, s, fs, []*bide.Commit{before, bad, after})
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("the outcomes are %v, want an error for the second alone", errs)
	}
	wantPosition(t, s, "before", before.Info.Position())
	wantPosition(t, s, "bad", bide.Position{})
	wantPosition(t, s, "after", after.Info.Position())
}

func TestACommitThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, dbPath(t), nil)
	large := storetest.NewChain("large").Next(1)
	large.Snapshot = make([]byte, 65<<20)
	wantCode := bide.CodeInvalidInput
	if err := s.Commit(t.Context(), large); code(err) != wantCode {
		t.Errorf("Commit of 65 MiB = %v, want code %s", err, wantCode)
	}
	large.Snapshot = large.Snapshot[:60<<20]
	must(t, s, large, storetest.NewChain("small").Next(1))
	stored, err := s.Load(t.Context(), "large", bide.Position{})
	if err != nil || len(stored.Snapshot) != 60<<20 {
		t.Errorf("Load of 60 MiB = %v", err)
	}
}

func TestACommitWithoutARunOnlySends(t *testing.T) {
	s := open(t, dbPath(t), nil)
	for name, change := range map[string]func(*bide.Commit){
		"records":         func(c *bide.Commit) { c.Records = storetest.NewChain("run").Next(1).Records },
		"a child":         func(c *bide.Commit) { c.Starts = []*bide.Commit{storetest.NewChain("child").Next(1)} },
		"a taken message": func(c *bide.Commit) { c.Took = []string{"m"} },
	} {
		commit := &bide.Commit{Send: []bide.Message{{ID: "m", Key: "k"}}}
		change(commit)
		if err := s.Commit(t.Context(), commit); code(err) != bide.CodeInvalidInput {
			t.Errorf("Commit with %s and no run = %v, want code %s", name, err, bide.CodeInvalidInput)
		}
	}
}

func TestACancelledCallerDoesNotWait(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	entered, release := held(fs)
	ctx, cancel := context.WithCancel(t.Context())
	commit := storetest.NewChain("run").Next(1)
	commit.Info.Labels = map[string]string{"a": "b"}
	done := make(chan error)
	go func() { done <- s.Commit(ctx, commit) }()
	<-entered
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want context.Canceled", err)
	}
	again := *commit
	commit.Info.Labels["a"], commit.Records, commit.RunID = "changed", nil, "" // it is the caller's again
	release()
	must(t, s, &again)
	wantPosition(t, s, "run", again.Info.Position())
}
