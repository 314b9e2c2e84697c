package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

// TestNoRunIsClaimedTwice lets eight workers of two stores claim the same runs:
// ready ones, such with timers and such that a dead worker left.
func TestNoRunIsClaimedTwice(t *testing.T) {
	const runs, workers = 300, 8
	url := pgtest.Start(t)
	stores := []*postgres.Store{open(t, url, nil), open(t, url, nil)}
	var all sync.WaitGroup
	for i := range runs {
		c := storetest.NewChain(fmt.Sprintf("run-%03d", i))
		if i%3 == 0 {
			c.Info.Status, c.Info.WakeAt = bide.StatusWaiting, start
		}
		commit := c.Next(1)
		all.Go(func() { must(t, stores[i%2], commit) })
	}
	all.Wait()
	left, err := stores[0].Claim(t.Context(), bide.ClaimQuery{Owner: "dead", Now: start, Limit: 50, Workflows: known})
	if err != nil || len(left) != 50 {
		t.Fatalf("Claim = %d runs, %v, want 50", len(left), err)
	}
	var mu sync.Mutex
	claims := map[string]string{}
	for i := range workers {
		all.Go(func() {
			owner, s := fmt.Sprint("worker-", i), stores[i%2]
			if err := s.Heartbeat(t.Context(), owner, start.Add(time.Hour)); err != nil {
				t.Error(err)
			}
			for !t.Failed() {
				got, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: owner, Now: start, Limit: 7, Workflows: known})
				if err != nil || len(got) > 7 {
					t.Errorf("Claim = %d runs, %v", len(got), err)
				}
				mu.Lock()
				for _, c := range got {
					if other := claims[c.RunID]; other != "" {
						t.Errorf("run %s was claimed by %s and by %s", c.RunID, other, owner)
					}
					claims[c.RunID] = owner
				}
				done := len(claims) == runs
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	all.Wait()
}

// TestAClaimWhoseAnswerIsLostIsGivenOut cuts connections after the server has
// given out claims: no run may stay with a worker that does not know of it.
func TestAClaimWhoseAnswerIsLostIsGivenOut(t *testing.T) {
	p := newProxy(t, pgtest.NewServer(t))
	s := open(t, p.url(), &postgres.Options{Sweep: time.Hour})
	for i := range 12 {
		must(t, s, storetest.NewChain(fmt.Sprintf("run-%02d", i)).Next(1))
	}
	if err := s.Heartbeat(t.Context(), "w", start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var got []string
	var given []bide.Claim
	for range 4 {
		cuts := p.cuts.Load()
		for p.cuts.Load() == cuts { // a hint to other processes may be cut instead
			p.cut.Store(true)
			claims, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "w", Now: start, Limit: 1, Workflows: known})
			if err != nil {
				t.Fatalf("Claim = %v", err)
			}
			for _, c := range claims {
				got, given = append(got, c.RunID), append(given, c)
			}
		}
	}
	for _, c := range given {
		if last := load(t, s, c.RunID).Fence; c.Fence != last {
			t.Errorf("claim %d of run %s was given out, and the last is %d", c.Fence, c.RunID, last)
		}
	}
	rest, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "w", Now: start, Limit: 100, Workflows: known})
	if err != nil {
		t.Fatalf("Claim = %v", err)
	}
	for _, c := range rest {
		got = append(got, c.RunID)
	}
	seen := map[string]bool{}
	for _, id := range got {
		seen[id] = true
	}
	if len(got) != 12 || len(seen) != 12 {
		t.Errorf("the worker was given the runs %v, want each of 12 once", got)
	}
}

func TestOwnersAreForgottenWhenTheyHaveNothing(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, nil)
	conn := connect(t, url)
	must(t, s, storetest.NewChain("run").Next(1))
	for owner, until := range map[string]time.Time{"idle": start, "busy": start, "alive": start.Add(time.Hour)} {
		if err := s.Heartbeat(t.Context(), owner, until); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "busy", Now: start.Add(-time.Hour), Limit: 1, Workflows: known}); err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(t.Context(), start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var owners string
	if err := conn.QueryRow(t.Context(), "SELECT string_agg(owner, ' ' ORDER BY owner) FROM owners").Scan(&owners); err != nil || owners != "alive busy" {
		t.Errorf("the owners %q are known (%v), want alive and busy", owners, err)
	}
}

// TestShortRunsComeWithTheirClaim, so that a worker need not load them one by one.
func TestShortRunsComeWithTheirClaim(t *testing.T) {
	s := open(t, pgtest.Start(t), nil)
	if err := s.Heartbeat(t.Context(), "w", start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		records  int
		snapshot bool
		mail     bool
		comes    bool
	}{
		{"new", 1, false, false, true},
		{"short", 64, false, false, true},
		{"long", 65, false, false, false},
		{"with-a-snapshot", 3, true, false, false},
		{"told-of-mail", 1, false, true, false},
	} {
		c := storetest.NewChain(tc.name)
		commit := c.Next(tc.records)
		if tc.snapshot {
			commit.Snapshot = []byte("{}")
		}
		must(t, s, commit)
		if tc.mail {
			must(t, s, &bide.Commit{Send: []bide.Message{{ID: "m", To: tc.name, Key: "k", At: start}}})
		}
		claims, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "w", Now: start, Limit: 10, Workflows: known})
		if err != nil || len(claims) != 1 {
			t.Fatalf("%s: Claim = %v, %v, want one run", tc.name, claims, err)
		}
		if came := claims[0].Stored; (came != nil) != tc.comes {
			t.Errorf("%s: with the claim comes %v, want the run: %v", tc.name, came, tc.comes)
		} else if came != nil && !cmp.Equal(came, load(t, s, tc.name)) {
			t.Errorf("%s: with the claim comes what differs from Load: %s", tc.name, cmp.Diff(came, load(t, s, tc.name)))
		}
	}
}

// A server that dies may lose a claim that was just made, and its owner lives on (docs/adr/0046-claims-that-do-not-wait.md).
func TestALostClaimIsNotTheOneThatFollows(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, nil)
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	conn := connect(t, url)
	run(t, conn, "CREATE TABLE before AS SELECT * FROM runs")
	claim := func(owner string) bide.Claim {
		t.Helper()
		claims, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: owner, Now: start.Add(time.Minute), Limit: 1, Workflows: known})
		if err != nil || len(claims) != 1 {
			t.Fatalf("Claim = %v, %v", claims, err)
		}
		return claims[0]
	}
	lost := claim("w1")
	run(t, conn, `UPDATE runs AS r SET owner = b.owner, owned = b.owned, claim_txn = b.claim_txn, fence = b.fence, claim_mail = b.claim_mail, ready_at = b.ready_at
		FROM before AS b WHERE b.run_id = r.run_id`)
	now := claim("w2")
	late := c.Next(1)
	late.Fence = lost.Fence
	if err := s.Commit(t.Context(), late); !errors.Is(err, bide.ErrFenced) {
		t.Errorf("Commit under the claim that was lost = %v, want ErrFenced", err)
	}
	late.Fence = now.Fence
	must(t, s, late)
}
