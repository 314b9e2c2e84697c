package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// step makes the next commit of a chain with a status, under a fence.
func step(c *Chain, status bide.Status, fence int64) *bide.Commit {
	c.Info.Status = status
	commit := c.Next(1)
	commit.Fence = fence
	return commit
}

func claimFences(t *testing.T, s Store) {
	c := NewChain("run")
	must(t, s, c.Next(1))
	waiting(t, s, NewChain("other"), paid)
	send(t, s, toRun("m", "run", "k"))
	unclaimed := *c
	wantError(t, "Commit under a claim that was never made", s.Commit(t.Context(), step(&unclaimed, bide.StatusRunning, 7)), bide.ErrFenced)
	stale := wantClaims(t, s, query("a", 1), "run")[0]
	fence := wantClaims(t, s, query("b", 1), "run")[0]
	before := contents(t, s)
	copied := *c
	bad := step(&copied, bide.StatusWaiting, stale)
	bad.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}}
	bad.Took, bad.MailSeen = []string{"m"}, 1
	bad.Starts = []*bide.Commit{NewChain("child").Next(1)}
	bad.Send = []bide.Message{toRun("n", "run", "k"), toKey("n", paid)}
	bad.Command = &bide.CommandRecord{ID: "cmd", Seq: bad.Info.Seq}
	wantError(t, "Commit under a claim that was lost", s.Commit(t.Context(), bad), bide.ErrFenced)
	same(t, "the store after a commit was refused", contents(t, s), before)
	_, err := s.Command(t.Context(), "run", "cmd")
	wantError(t, "Command of a commit that was refused", err, bide.ErrNotFound)

	good := step(c, bide.StatusRunning, fence)
	must(t, s, good)
	last := wantClaims(t, s, query("c", 1), "run")[0]
	must(t, s, good) // sent again: it was the last commit, whatever was claimed since
	behind := *c
	behind.Info.Seq, behind.Info.Head = before.Runs[0].Seq, before.Runs[0].Head
	late := behind.NextWith(`"late"`)
	late.Fence = last
	wantError(t, "Commit at a wrong position", s.Commit(t.Context(), late), bide.ErrConflict)
	must(t, s, step(c, bide.StatusCompleted, last))
}

func claimEnds(t *testing.T, s Store) {
	for i, status := range []bide.Status{bide.StatusWaiting, bide.StatusPaused, bide.StatusFailed} {
		c := NewChain(fmt.Sprintf("run-%d", i))
		id := c.Info.ID
		must(t, s, c.Next(1))
		a, b := fmt.Sprintf("a-%d", i), fmt.Sprintf("b-%d", i)
		beat(t, s, a, today.Add(time.Hour))
		fence := wantClaims(t, s, query(a, 1), id)[0]
		must(t, s, step(c, bide.StatusRunning, fence), step(c, status, fence))
		must(t, s, step(c, bide.StatusRunning, fence)) // it goes on
		wantClaims(t, s, query(b, 1))
		must(t, s, step(c, status, fence))
		must(t, s, step(c, bide.StatusRunning, 0)) // by a command: for anybody
		next := wantClaims(t, s, query(b, 1), id)[0]
		wantError(t, "Commit under the claim that ended", s.Commit(t.Context(), step(c, bide.StatusRunning, fence)), bide.ErrFenced)
		c.Info = mustInfo(t, s, id)
		must(t, s, step(c, bide.StatusCompleted, next))
	}
}

// mustInfo is a run's row as the store has it.
func mustInfo(t *testing.T, s bide.Store, id string) bide.RunInfo {
	t.Helper()
	page, err := s.Runs(t.Context(), bide.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatalf("Runs = %v", err)
	}
	for _, r := range page.Runs {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("Runs does not list %s", id)
	return bide.RunInfo{}
}

func claimCommands(t *testing.T, s Store) {
	c := NewChain("run")
	must(t, s, c.Next(1))
	beat(t, s, "a", today.Add(time.Hour))
	fence := wantClaims(t, s, query("a", 1), "run")[0]
	must(t, s, step(c, bide.StatusRunning, 0)) // a command on a run that is driven
	wantClaims(t, s, query("b", 1))
	must(t, s, step(c, bide.StatusRunning, fence))
	must(t, s, step(c, bide.StatusPaused, 0))
	wantClaims(t, s, query("b", 1))
	giveBack(t, s, "a", false)
	wantClaims(t, s, query("b", 1))
	must(t, s, step(c, bide.StatusRunning, 0))
	next := wantClaims(t, s, query("b", 1), "run")[0]
	beat(t, s, "b", today.Add(time.Hour))
	c.Info.WakeAt = today
	must(t, s, step(c, bide.StatusWaiting, 0)) // still b's
	wantClaims(t, s, query("a", 1))
	must(t, s, step(c, bide.StatusWaiting, next)) // no longer
	fence = wantClaims(t, s, query("a", 1), "run")[0]
	must(t, s, step(c, bide.StatusRunning, 0)) // an answer, while a has it: for anybody
	next = wantClaims(t, s, query("b", 1), "run")[0]
	if next <= fence {
		t.Errorf("the fence went from %d to %d", fence, next)
	}
	wantError(t, "Commit under the claim that ended", s.Commit(t.Context(), step(c, bide.StatusRunning, fence)), bide.ErrFenced)
}
