package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// today is when these tests claim runs.
var today = start.Add(24 * time.Hour)

// query is what a worker asks for that has the workflow of every chain.
func query(owner string, limit int) bide.ClaimQuery {
	return bide.ClaimQuery{Owner: owner, Now: today, Limit: limit, Workflows: []bide.WorkflowVersion{{ID: "wf", Version: "1"}}}
}

// wantClaims checks which runs a query gives, in order, and what comes with them, and returns their fences.
func wantClaims(t *testing.T, s bide.Claims, q bide.ClaimQuery, want ...string) (fences []int64) {
	t.Helper()
	claims, err := s.Claim(t.Context(), q)
	if err != nil {
		t.Fatalf("Claim(%+v) = %v", q, err)
	}
	var got []string
	for _, c := range claims {
		got, fences = append(got, c.RunID), append(fences, c.Fence)
		if c.Stored != nil {
			loaded, err := s.(bide.Store).Load(t.Context(), c.RunID, bide.Position{})
			ok(t, err)
			same(t, fmt.Sprintf("what came with the claim of %s", c.RunID), c.Stored, loaded)
		}
	}
	same(t, fmt.Sprintf("Claim(%+v)", q), got, want)
	if len(got) != len(want) {
		t.FailNow() // what follows needs the fences
	}
	return fences
}

// ok ends the test when a call fails.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// giveBack releases runs, all of the owner's when there are none.
func giveBack(t *testing.T, s bide.Claims, owner string, quiet bool, runs ...string) {
	t.Helper()
	if err := s.Release(t.Context(), owner, runs, quiet); err != nil {
		t.Fatalf("Release(%s, %v) = %v", owner, runs, err)
	}
}

func beat(t *testing.T, s bide.Claims, owner string, until time.Time) {
	t.Helper()
	if err := s.Heartbeat(t.Context(), owner, until); err != nil {
		t.Fatalf("Heartbeat(%s) = %v", owner, err)
	}
}

// runAt commits a run with a status whose row says that it changed at a time.
func runAt(t *testing.T, s bide.Store, id string, status bide.Status, changed, wake time.Time) *Chain {
	t.Helper()
	c := NewChain(id)
	c.Info.Status, c.Info.WakeAt = status, wake
	commit := c.Next(1)
	commit.Info.UpdatedAt = changed
	must(t, s, commit)
	return c
}

func claimReasons(t *testing.T, s Store) {
	at := func(minutes int) time.Time { return today.Add(time.Duration(minutes) * time.Minute) }
	never := time.Time{}
	runAt(t, s, "running", bide.StatusRunning, at(-60), never)
	runAt(t, s, "running with a timer", bide.StatusRunning, at(-55), at(60))
	runAt(t, s, "due", bide.StatusWaiting, at(-50), at(-50))
	runAt(t, s, "due now", bide.StatusWaiting, at(-49), at(0))
	runAt(t, s, "due soon", bide.StatusWaiting, at(-48), at(0).Add(time.Microsecond))
	runAt(t, s, "waiting", bide.StatusWaiting, at(-48), never)
	runAt(t, s, "mail", bide.StatusWaiting, at(-40), at(60))
	m := toRun("m", "mail", "k")
	m.At = at(-40)
	send(t, s, m)
	for _, status := range []bide.Status{bide.StatusPaused, bide.StatusCompleted, bide.StatusFailed, bide.StatusCancelled} {
		id := string(status)
		runAt(t, s, id, status, at(-90), at(-90))
		send(t, s, toRun("m", id, "k"))
	}
	wantClaims(t, s, query("a", 10), "running", "running with a timer", "due", "mail", "due now")
	wantClaims(t, s, query("a", 10))
	wantClaims(t, s, query("b", 10), "running", "running with a timer", "due", "mail", "due now") // a never said that it is alive
	beat(t, s, "b", at(1))
	wantClaims(t, s, query("c", 10))
	q := query("c", 10)
	q.Now = at(1)
	wantClaims(t, s, q, "running", "running with a timer", "due", "mail", "due now", "due soon")
}

func claimOrder(t *testing.T, s Store) {
	at := func(seconds int) time.Time { return today.Add(time.Duration(seconds-100) * time.Second) }
	for i, id := range []string{"d", "b", "b2", "a"} {
		runAt(t, s, id, bide.StatusRunning, at(10*(i-i%3/2)), time.Time{}) // b and b2 at the same time
	}
	runAt(t, s, "timer", bide.StatusWaiting, at(1), at(15))
	other := NewChain("other")
	other.Info.Version = "2"
	commit := other.Next(1)
	commit.Info.UpdatedAt = at(5)
	must(t, s, commit)
	q := query("w", 2)
	q.Workflows = append(q.Workflows, bide.WorkflowVersion{ID: "wf", Version: "2"})
	beat(t, s, "w", today.Add(time.Hour))
	wantClaims(t, s, q, "d", "other")
	wantClaims(t, s, q, "b", "b2")
	wantClaims(t, s, q, "timer", "a")
	wantClaims(t, s, q)

	// A dead owner's runs are in line with the others.
	runAt(t, s, "later", bide.StatusRunning, at(99), time.Time{})
	runAt(t, s, "sooner", bide.StatusRunning, at(-1), time.Time{})
	q.Owner, q.Limit, q.Sole = "x", 3, true
	wantClaims(t, s, q, "sooner", "d", "other")
	q.Limit = 1
	wantClaims(t, s, q, "b")
	q.Limit = 10
	wantClaims(t, s, q, "b2", "timer", "a", "later")
}

func claimWorkflows(t *testing.T, s Store) {
	for _, wf := range []bide.WorkflowVersion{{ID: "wf", Version: "2"}, {ID: "WF", Version: "1"}, {ID: "wf1", Version: ""}, {ID: "wf", Version: "1"}} {
		c := NewChain(wf.ID + "/" + wf.Version)
		c.Info.Workflow, c.Info.Version = wf.ID, wf.Version
		must(t, s, c.Next(1))
	}
	q := query("w", 10)
	q.Workflows = nil
	wantClaims(t, s, q)
	q.Workflows = []bide.WorkflowVersion{{ID: "wf", Version: "3"}, {ID: "w", Version: "f1"}}
	wantClaims(t, s, q)
	wantClaims(t, s, query("w", 10), "wf/1")
	q.Workflows = []bide.WorkflowVersion{{ID: "WF", Version: "1"}, {ID: "wf", Version: "3"}, {ID: "wf", Version: "2"}, {ID: "wf", Version: "1"}}
	wantClaims(t, s, q, "WF/1", "wf/2")

	moved := NewChain("moved")
	must(t, s, moved.Next(1))
	moved.Info.Version = "9"
	must(t, s, moved.Next(1))
	wantClaims(t, s, query("w", 10))
	q.Workflows = []bide.WorkflowVersion{{ID: "wf", Version: "9"}}
	wantClaims(t, s, q, "moved")
}

func claimOwners(t *testing.T, s Store) {
	must(t, s, NewChain("run").Next(1))
	beat(t, s, "a", today.Add(time.Second))
	first := wantClaims(t, s, query("a", 1), "run")
	if first[0] <= 0 || load(t, s, "run").Fence != first[0] {
		t.Errorf("the first fence is %d, Load gives %d", first[0], load(t, s, "run").Fence)
	}
	wantClaims(t, s, query("a", 1))
	wantClaims(t, s, query("b", 1))
	q := query("b", 1)
	q.Now = today.Add(time.Second) // its time is over
	second := wantClaims(t, s, q, "run")
	beat(t, s, "a", today.Add(time.Hour))
	q.Owner = "a"
	q.Sole = true // b does not live
	third := wantClaims(t, s, q, "run")
	q.Owner = "c"
	fourth := wantClaims(t, s, q, "run")
	if second[0] <= first[0] || third[0] <= second[0] || fourth[0] <= third[0] {
		t.Errorf("the fences are %d, %d, %d, %d, want them to grow", first[0], second[0], third[0], fourth[0])
	}
	beat(t, s, "c", today.Add(time.Hour))
	beat(t, s, "c", today) // it takes it back
	wantClaims(t, s, query("a", 1), "run")
	wantClaims(t, s, query("c", 1))
}

func claimReleased(t *testing.T, s Store) {
	beat(t, s, "a", today.Add(time.Hour))
	beat(t, s, "b", today.Add(time.Hour))
	for _, id := range []string{"r1", "r2", "r3", "r4"} {
		must(t, s, NewChain(id).Next(1))
	}
	wantClaims(t, s, query("a", 3), "r1", "r2", "r3")
	wantClaims(t, s, query("b", 3), "r4")
	giveBack(t, s, "a", false, "r2", "r4", "missing")
	wantClaims(t, s, query("b", 9), "r2")
	giveBack(t, s, "a", true, "r2")
	wantClaims(t, s, query("a", 9))
	giveBack(t, s, "a", true)
	wantClaims(t, s, query("b", 9), "r1", "r3")
	giveBack(t, s, "nobody", false)
	giveBack(t, s, "b", false)
	wantClaims(t, s, query("a", 9), "r1", "r2", "r3", "r4")
}

func claimMail(t *testing.T, s Store) {
	c := NewChain("run")
	waiting(t, s, c, paid)
	beat(t, s, "a", today.Add(time.Hour))
	claimable := func(when string, want bool) int64 {
		t.Helper()
		claims, err := s.Claim(t.Context(), query("a", 1))
		if err != nil || len(claims) == 1 != want {
			t.Fatalf("%s: Claim = %v, %v, want the run: %v", when, claims, err, want)
		}
		if want {
			return claims[0].Fence
		}
		return 0
	}
	claimable("without mail", false)
	send(t, s, toRun("m1", "run", "k"))
	claimable("with mail", true)
	giveBack(t, s, "a", false)
	claimable("given back", true)
	send(t, s, toRun("m2", "run", "k"))
	giveBack(t, s, "a", true)
	claimable("given back as quiet, with mail since the claim", true)
	giveBack(t, s, "a", true)
	claimable("given back as quiet", false)
	send(t, s, toKey("m3", paid))
	fence := claimable("with mail to a key", true)
	seen := load(t, s, "run").MailSeq
	send(t, s, toKey("m4", paid))
	take := step(c, bide.StatusWaiting, fence)
	take.Took, take.MailSeen = []string{"m1", "m3"}, seen
	must(t, s, take)
	wantMail(t, s, "run", "m4")
	fence = claimable("with mail between the load and the commit", true)
	take = step(c, bide.StatusWaiting, fence)
	take.MailSeen = load(t, s, "run").MailSeq
	must(t, s, take)
	claimable("when all was seen", false)
	older := step(c, bide.StatusWaiting, 0)
	older.MailSeen = 1
	must(t, s, older)
	claimable("after a commit that saw less", false)
	send(t, s, toRun("m4", "run", "k")) // its id is known to another mailbox only
	claimable("with new mail", true)
	giveBack(t, s, "a", true)
	c.Info.Status = bide.StatusPaused
	must(t, s, c.Next(1))
	send(t, s, toRun("m5", "run", "k"))
	claimable("paused", false)
	c.Info.Status = bide.StatusWaiting
	must(t, s, c.Next(1))
	claimable("waiting again, with the mail of the pause", true)
	giveBack(t, s, "a", true)
	waiting(t, s, c, "evt:session:t:*")
	claimable("with a new wait", false)
	send(t, s, toKey("m6", "evt:session:u:paid"))
	waiting(t, s, c, "evt:session:u:*")
	claimable("with a new wait over mail that was kept", true)
}

func claimAside(t *testing.T, s Store) {
	wantError(t, "SetAside of a run that does not exist", s.SetAside(t.Context(), "missing", "x"), bide.ErrNotFound)
	c := NewChain("run")
	must(t, s, c.Next(1), NewChain("other").Next(1))
	ok(t, s.SetAside(t.Context(), "run", "it has a \"fault\""))
	if got := mustInfo(t, s, "run").SetAside; got != "it has a \"fault\"" {
		t.Errorf("the run is listed as set aside for %q", got)
	}
	wantRuns(t, s, bide.RunQuery{SetAside: true}, "run")
	wantClaims(t, s, query("a", 9), "other")
	c.Info.SetAside = "what a commit says does not count"
	must(t, s, step(c, bide.StatusRunning, 0))
	c.Info.WakeAt = start
	must(t, s, step(c, bide.StatusWaiting, 0))
	send(t, s, toRun("m", "run", "k"))
	wantClaims(t, s, query("a", 9))
	if next, err := s.NextWake(t.Context(), time.Time{}); err != nil || !next.IsZero() {
		t.Errorf("NextWake = %v, %v, want none: the run is set aside", next, err)
	}
	if got := mustInfo(t, s, "run").SetAside; got != "it has a \"fault\"" {
		t.Errorf("after commits the run is listed as set aside for %q", got)
	}
	ok(t, s.SetAside(t.Context(), "run", ""))
	wantRuns(t, s, bide.RunQuery{SetAside: true})
	fence := wantClaims(t, s, query("a", 9), "run")[0]
	ok(t, s.SetAside(t.Context(), "run", "while it is driven"))
	wantClaims(t, s, query("b", 9), "other")
	must(t, s, step(c, bide.StatusRunning, fence))
	giveBack(t, s, "a", false)
	wantClaims(t, s, query("c", 9), "other")
}

func claimNextWake(t *testing.T, s Store) {
	after := func(at, want time.Time) {
		t.Helper()
		got, err := s.NextWake(t.Context(), at)
		if err != nil || !got.Equal(want) || !got.IsZero() && got.Location() != time.UTC {
			t.Errorf("NextWake after %v = %v, %v, want %v in UTC", at, got, err, want)
		}
	}
	next := func(want time.Time) { t.Helper(); after(time.Time{}, want) }
	next(time.Time{})
	runAt(t, s, "running", bide.StatusRunning, start, start)
	runAt(t, s, "paused", bide.StatusPaused, start, start)
	runAt(t, s, "waiting", bide.StatusWaiting, start, time.Time{})
	next(time.Time{})
	late := runAt(t, s, "late", bide.StatusWaiting, start, today.Add(time.Hour))
	next(today.Add(time.Hour))
	soon := runAt(t, s, "soon", bide.StatusWaiting, start, today.Add(-time.Hour))
	next(today.Add(-time.Hour))
	after(today.Add(-time.Hour-time.Microsecond), today.Add(-time.Hour))
	after(today.Add(-time.Hour), today.Add(time.Hour))
	after(today.Add(time.Hour-time.Microsecond), today.Add(time.Hour))
	after(today.Add(time.Hour), time.Time{})
	runAt(t, s, "aside", bide.StatusWaiting, start, today)
	after(today.Add(-time.Hour), today)
	ok(t, s.SetAside(t.Context(), "aside", "x"))
	after(today.Add(-time.Hour), today.Add(time.Hour))
	soon.Info.WakeAt = today.Add(time.Minute)
	must(t, s, soon.Next(1))
	next(today.Add(time.Minute))
	must(t, s, step(soon, bide.StatusRunning, 0))
	next(today.Add(time.Hour))
	late.Info.WakeAt = time.Time{}
	must(t, s, step(late, bide.StatusWaiting, 0))
	next(time.Time{})
}

func claimRace(t *testing.T, s Store) {
	const runs, owners = 60, 6
	for i := range runs {
		must(t, s, NewChain(fmt.Sprintf("run-%02d", i)).Next(1))
	}
	var mu sync.Mutex
	owner := map[string]string{}
	var all sync.WaitGroup
	for i := range owners {
		me := fmt.Sprintf("owner-%d", i)
		beat(t, s, me, today.Add(time.Hour))
		all.Go(func() {
			for {
				claims, err := s.Claim(t.Context(), query(me, 7))
				if err != nil || len(claims) > 7 {
					t.Errorf("Claim = %d claims, %v, want at most 7", len(claims), err)
				}
				if err != nil || len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claims {
					if other := owner[c.RunID]; other != "" {
						t.Errorf("run %s was claimed by %s and %s", c.RunID, other, me)
					}
					owner[c.RunID] = me
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(owner) != runs {
		t.Errorf("%d of %d runs were claimed", len(owner), runs)
	}
}
