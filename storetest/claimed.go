package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// claiming makes the next commit of a chain with a status, claimed by an owner.
func claiming(c *Chain, status bide.Status, owner string, claimed int64) *bide.Commit {
	commit := step(c, status, 0)
	commit.Owner, commit.Claimed = owner, claimed
	return commit
}

func claimWithCommit(t *testing.T, s Store) {
	live := today.Add(time.Hour)
	beat(t, s, "a", live)
	beat(t, s, "b", live)
	c := NewChain("run")
	first := claiming(c, bide.StatusRunning, "a", 1)
	must(t, s, first, first)
	if got := load(t, s, "run").Fence; got != 1 {
		t.Errorf("a run that was claimed as it began has fence %d, want 1", got)
	}
	wantClaims(t, s, query("b", 9))
	wantClaims(t, s, query("a", 9))
	must(t, s, step(c, bide.StatusRunning, 1), step(c, bide.StatusWaiting, 1)) // a claim like any other: it ends
	again := claiming(c, bide.StatusRunning, "a", 2)
	must(t, s, again)
	wantClaims(t, s, query("b", 9))
	behind := *c
	wantError(t, "Commit under the former claim", s.Commit(t.Context(), step(&behind, bide.StatusRunning, 1)), bide.ErrFenced)
	wantFenceOf(t, s, c, 2)

	// Another takes it over: the claim that lasts ends.
	over := claiming(c, bide.StatusRunning, "b", 3)
	must(t, s, over)
	must(t, s, over)
	wantFenceOf(t, s, c, 3)
	behind = *c
	wantError(t, "Commit under the claim that was taken over", s.Commit(t.Context(), step(&behind, bide.StatusWaiting, 2)), bide.ErrFenced)
	giveBack(t, s, "a", false, "run") // it is not a's any more
	wantClaims(t, s, query("c", 9))
	must(t, s, step(c, bide.StatusRunning, 3))
	giveBack(t, s, "b", false, "run")
	fence := wantClaims(t, s, query("a", 9), "run")[0]
	if fence <= 3 {
		t.Errorf("the claim after claim 3 has number %d", fence)
	}
	must(t, s, step(c, bide.StatusCompleted, fence))
}

// wantFenceOf checks the number of a run's last claim.
func wantFenceOf(t *testing.T, s bide.Store, c *Chain, want int64) {
	t.Helper()
	if got := load(t, s, c.Info.ID).Fence; got != want {
		t.Errorf("run %s has fence %d, want %d", c.Info.ID, got, want)
	}
}

func claimWithCommitRefused(t *testing.T, s Store) {
	beat(t, s, "a", today.Add(time.Hour))
	c := NewChain("run")
	must(t, s, c.Next(1))
	waiting(t, s, NewChain("other"), paid)
	send(t, s, toRun("m", "run", "k"))
	fence := wantClaims(t, s, query("a", 9), "run")[0]
	before := contents(t, s)
	for _, claimed := range []int64{0, fence, fence + 2, -1} {
		copied := *c
		bad := claiming(&copied, bide.StatusRunning, "b", claimed)
		bad.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}}
		bad.Took, bad.MailSeen = []string{"m"}, 1
		bad.Starts = []*bide.Commit{NewChain("child").Next(1)}
		bad.Send = []bide.Message{toRun("n", "run", "k"), toKey("n", paid)}
		wantError(t, fmt.Sprintf("Commit that makes claim %d after claim %d", claimed, fence), s.Commit(t.Context(), bad), bide.ErrConflict)
		same(t, "the store after a commit was refused", contents(t, s), before)
	}
	wantError(t, "Commit that begins a run with claim 2", s.Commit(t.Context(), claiming(NewChain("new"), bide.StatusRunning, "a", 2)), bide.ErrConflict)
	_, err := s.Load(t.Context(), "new", bide.Position{})
	wantError(t, "Load of a run that was refused", err, bide.ErrNotFound)
	must(t, s, step(c, bide.StatusRunning, fence)) // a's claim goes on

	// A commit that leaves the run not running does not claim it.
	for _, status := range []bide.Status{bide.StatusWaiting, bide.StatusPaused, bide.StatusFailed} {
		c := NewChain(string(status))
		c.Info.WakeAt = today
		must(t, s, claiming(c, status, "a", 1))
		wantFenceOf(t, s, c, 0)
	}
	wantClaims(t, s, query("b", 9), "waiting")
}

func claimWithCommitLasts(t *testing.T, s Store) {
	beat(t, s, "a", today.Add(time.Hour))
	beat(t, s, "late", today)
	for _, owner := range []string{"a", "late", "never"} {
		c := NewChain("run of " + owner)
		must(t, s, claiming(c, bide.StatusRunning, owner, 1))
		wantFenceOf(t, s, c, 1)
	}
	wantClaims(t, s, query("a", 9), "run of late", "run of never")
	q := query("b", 9)
	q.Sole = true
	wantClaims(t, s, q, "run of a", "run of late", "run of never")

	// A claim by a commit replaces one that others hold, whether they live or not.
	c := NewChain("alive")
	must(t, s, claiming(c, bide.StatusRunning, "a", 1))
	must(t, s, claiming(c, bide.StatusRunning, "never", 2)) // and does not last
	wantClaims(t, s, query("b", 9), "alive")
}

func claimWithCommitMail(t *testing.T, s Store) {
	beat(t, s, "a", today.Add(time.Hour))
	c := NewChain("run")
	waiting(t, s, c, paid)
	send(t, s, toRun("m1", "run", paid))
	seen := load(t, s, "run").MailSeq
	send(t, s, toRun("m2", "run", paid)) // after the load
	take := claiming(c, bide.StatusRunning, "a", 1)
	take.Took, take.MailSeen = []string{"m1"}, seen
	must(t, s, take)
	must(t, s, step(c, bide.StatusWaiting, 1))
	fence := wantClaims(t, s, query("a", 9), "run")[0] // m2 was not seen
	done := step(c, bide.StatusWaiting, fence)
	done.Took, done.MailSeen = []string{"m2"}, load(t, s, "run").MailSeq
	must(t, s, done)
	wantClaims(t, s, query("a", 9))

	send(t, s, toRun("m3", "run", paid))
	seen = load(t, s, "run").MailSeq
	send(t, s, toRun("m4", "run", paid)) // after the load that the commit builds on
	take = claiming(c, bide.StatusRunning, "a", fence+1)
	take.Took, take.MailSeen = []string{"m3"}, seen
	must(t, s, take)
	giveBack(t, s, "a", true, "run") // quiet says nothing of what came after that load
	fence = wantClaims(t, s, query("a", 9), "run")[0]
	must(t, s, step(c, bide.StatusWaiting, fence))
	wantClaims(t, s, query("a", 9), "run")
}

// claimWithCommitRace lets owners claim the same run by commits, others by Claim: each number is given once.
func claimWithCommitRace(t *testing.T, s Store) {
	const owners, rounds = 5, 12
	for round := range rounds {
		id := fmt.Sprintf("run-%d", round)
		base := NewChain(id)
		if round%2 == 1 { // else they start the run
			must(t, s, base.Next(1))
		}
		errs := make([]error, owners)
		commits := make([]*bide.Commit, owners)
		claims := make([][]bide.Claim, owners)
		var all sync.WaitGroup
		for i := range owners {
			mine := *base
			owner := fmt.Sprintf("%s-owner-%d", id, i)
			beat(t, s, owner, today.Add(time.Hour))
			commits[i] = mine.NextWith(fmt.Sprintf(`"owner %d"`, i))
			commits[i].Owner, commits[i].Claimed = owner, 1
			all.Go(func() {
				if i == 0 {
					var err error
					if claims[i], err = s.Claim(t.Context(), query(owner, 1)); err != nil {
						t.Errorf("Claim = %v", err)
					}
					return
				}
				errs[i] = s.Commit(t.Context(), commits[i])
			})
		}
		all.Wait()
		winners := len(claims[0])
		for i, err := range errs[1:] {
			if err != nil {
				wantError(t, fmt.Sprintf("Commit of owner %d", i+1), err, bide.ErrConflict)
				continue
			}
			winners++
			same(t, "the run", load(t, s, id).Position, commits[i+1].Info.Position())
		}
		if winners != 1 {
			t.Errorf("%d owners have the run, want 1", winners)
		}
		if got := load(t, s, id).Fence; got < 1 || winners > len(claims[0]) && got != 1 {
			t.Errorf("the run has fence %d, though it was claimed once", got)
		}
	}
}
