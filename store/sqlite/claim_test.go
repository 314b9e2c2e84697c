package sqlite_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

func TestClaimsShareTheFlushOfCommits(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	for i := range 40 {
		must(t, s, storetest.NewChain(fmt.Sprintf("ready-%02d", i)).Next(1))
	}
	var calls []func() error
	for i := range 40 {
		commit := storetest.NewChain(fmt.Sprintf("run-%d", i)).Next(1)
		owner := fmt.Sprint("owner-", i)
		calls = append(calls,
			func() error { return s.Commit(t.Context(), commit) },
			func() error { return s.Heartbeat(t.Context(), owner, claimQuery("", 0).Now.Add(time.Minute)) },
			func() error {
				claims, err := s.Claim(t.Context(), claimQuery(owner, 1))
				if err == nil && len(claims) != 1 {
					err = fmt.Errorf("Claim = %v, want one run", claims)
				}
				return err
			},
			func() error { return s.Release(t.Context(), owner, nil, false) })
	}
	before := fs.Syncs()
	for _, err := range atOnce(t, s, fs, calls) {
		if err != nil {
			t.Error(err)
		}
	}
	if n := fs.Syncs() - before; n > 4 {
		t.Errorf("40 commits, claims, releases and signs of life took %d flushes, want at most 4", n)
	}
}

func TestAClaimOfNothingWritesNothing(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	c := storetest.NewChain("run")
	c.Info.Status = bide.StatusWaiting
	must(t, s, c.Next(1))
	before := fs.Syncs()
	for range 10 {
		if claims, err := s.Claim(t.Context(), claimQuery("w", 10)); err != nil || len(claims) > 0 {
			t.Errorf("Claim = %v, %v, want none", claims, err)
		}
		if err := s.Release(t.Context(), "w", nil, true); err != nil {
			t.Errorf("Release = %v", err)
		}
	}
	if n := fs.Syncs() - before; n > 0 {
		t.Errorf("claims of nothing took %d flushes, want none", n)
	}
}

func TestWhatIsRefusedDoesNotDisturbItsGroup(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	c, claimed := storetest.NewChain("run"), storetest.NewChain("claimed")
	must(t, s, claimed.Next(1))
	if claims, err := s.Claim(t.Context(), claimQuery("w", 1)); err != nil || len(claims) != 1 {
		t.Fatalf("Claim = %v, %v", claims, err)
	}
	must(t, s, c.Next(1), &bide.Commit{Send: []bide.Message{{ID: "m", To: "run", Key: "k"}}})
	fork := *claimed
	stale, under := fork.NextWith(`"stale"`), claimed.Next(1)
	stale.Fence, under.Fence = 7, 1
	fork = *c
	greedy, takes := fork.NextWith(`"greedy"`), c.Next(1)
	greedy.Took, takes.Took = []string{"m", "n"}, []string{"m"}
	late := c.Next(1)
	late.Took = []string{"m"}
	commit := func(c *bide.Commit) func() error { return func() error { return s.Commit(t.Context(), c) } }
	errs := atOnce(t, s, fs, []func() error{
		commit(stale), commit(greedy),
		func() error { return s.SetAside(t.Context(), "missing", "x") },
		commit(under), commit(takes), commit(late),
	})
	for i, want := range []error{bide.ErrFenced, bide.ErrConflict, bide.ErrNotFound, nil, nil, bide.ErrConflict} {
		if !errors.Is(errs[i], want) {
			t.Errorf("call %d of the group = %v, want %v", i, errs[i], want)
		}
	}
	wantPosition(t, s, "claimed", under.Info.Position())
	wantPosition(t, s, "run", takes.Info.Position())
}

func TestOnlyWhatMustLastWaitsForTheDisk(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{})
	c := storetest.NewChain("run")
	flushes := func(what string, want int64, do func() error) {
		t.Helper()
		before := fs.Syncs()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := fs.Syncs() - before; got != want {
			t.Errorf("%s flushes %d times, want %d", what, got, want)
		}
	}
	must(t, s, c.Next(1)) // begins the log, which takes a flush more
	flushes("a commit", 1, func() error { return s.Commit(t.Context(), c.Next(1)) })
	flushes("a sign of life", 0, func() error { return s.Heartbeat(t.Context(), "w", time.Now().Add(time.Hour)) })
	flushes("a claim", 0, func() error {
		_, err := s.Claim(t.Context(), claimQuery("w", 1))
		return err
	})
	under := c.Next(1)
	under.Fence = 1
	flushes("a commit under the claim", 1, func() error { return s.Commit(t.Context(), under) })
	flushes("giving back", 0, func() error { return s.Release(t.Context(), "w", nil, true) })
	flushes("setting aside", 1, func() error { return s.SetAside(t.Context(), "run", "x") })
}

func TestAClaimThatFailsClaimsNothing(t *testing.T) {
	s, fs, path := openFaulty(t, sqlite.Options{})
	must(t, s, storetest.NewChain("run").Next(1))
	fs.Fail(syscall.ENOSPC, faultvfs.OpWrite)
	_, err := s.Claim(t.Context(), claimQuery("w", 1))
	wantFailure(t, "Claim", err, bide.CodeStoreFull, path)
	wantFailure(t, "Heartbeat", s.Heartbeat(t.Context(), "w", time.Now()), bide.CodeStoreFull, path)
	fs.Fail(nil)
	if stored, err := s.Load(t.Context(), "run", bide.Position{}); err != nil || stored.Fence != 0 {
		t.Errorf("after a claim that failed the fence is %+v, %v, want 0", stored, err)
	}
	if claims, err := s.Claim(t.Context(), claimQuery("w", 1)); err != nil || len(claims) != 1 {
		t.Errorf("Claim = %v, %v, want one run", claims, err)
	}
}

func TestClaimsNeedAnOwner(t *testing.T) {
	if _, err := open(t, dbPath(t), nil).Claim(t.Context(), claimQuery("", 1)); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Claim without an owner = %v, want ErrInvalidInput", err)
	}
}

// TestTwoProcessesClaimTheSameRuns: what one writes counts at once for the
// other, whatever that has in memory.
func TestTwoProcessesClaimTheSameRuns(t *testing.T) {
	path := dbPath(t)
	a, b := open(t, path, nil), open(t, path, nil)
	c := storetest.NewChain("run")
	must(t, a, c.Next(1))
	for i := range 5 {
		stores := []*sqlite.Store{a, b}
		for j, s := range stores {
			claims, err := s.Claim(t.Context(), claimQuery(fmt.Sprintf("owner-%d-%d", i, j), 1))
			if err != nil || len(claims) != 1 || claims[0].Fence != int64(2*i+j+1) {
				t.Fatalf("Claim = %v, %v, want one run with fence %d", claims, err, 2*i+j+1)
			}
			under := c.Next(1)
			under.Fence = claims[0].Fence
			must(t, s, under)
			fork := *c
			stale := fork.NextWith(`"stale"`)
			stale.Fence = claims[0].Fence - 1
			for _, other := range stores {
				if err := other.Commit(t.Context(), stale); stale.Fence > 0 && !errors.Is(err, bide.ErrFenced) {
					t.Errorf("Commit under a lost claim = %v, want ErrFenced", err)
				}
				if stale.Fence == 0 {
					break // without a claim it would do
				}
			}
			if stale.Fence == 0 {
				*c = fork
			}
			if err := stores[1-j].Release(t.Context(), fmt.Sprintf("owner-%d-%d", i, j), nil, false); err != nil {
				t.Errorf("Release = %v", err)
			}
		}
	}
	c.Info.Status = bide.StatusCompleted
	must(t, b, c.Next(1))
	for _, s := range []*sqlite.Store{a, b, a} { // a deletes, b sends it again, a starts it anew
		must(t, s, &bide.Commit{RunID: "run", Expect: c.Info.Position(), Delete: true})
	}
	must(t, a, storetest.NewChain("run").Next(2))
	wantPosition(t, b, "run", storetest.NewChain("run").Next(2).Info.Position())
}
