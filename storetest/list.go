package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

func runsEveryField(t *testing.T, s Store) {
	full := NewChain("full")
	full.Info = bide.RunInfo{
		ID: "full", Workflow: "orders", Version: "2.1", Definition: "0123abcd", Status: bide.StatusFailed, Node: "pay", Step: 7,
		Key: "order \"42\"", Session: "sössion", Actor: "anna", Parent: "parent", Root: "röot", Origin: "origin", Labels: map[string]string{"a": "1", "b<": "\"&\u2028"},
		CreatedAt: start, EndedAt: start.Add(time.Microsecond), WakeAt: start.Add(time.Hour),
	}
	bare := NewChain("bare")
	bare.Info.CreatedAt = start.Add(-time.Second)
	first, last, other := full.Next(1), full.Next(2), bare.Next(1)
	must(t, s, first, last, other)
	got, err := s.Runs(t.Context(), bide.RunQuery{})
	if err != nil {
		t.Fatalf("Runs = %v", err)
	}
	same(t, "the listing", got, &bide.RunPage{Runs: []bide.RunInfo{last.Info, other.Info}})
	if got.Runs[1].Labels != nil {
		t.Errorf("a run without labels has %v", got.Runs[1].Labels)
	}
	for _, at := range []time.Time{got.Runs[0].CreatedAt, got.Runs[0].UpdatedAt, got.Runs[0].EndedAt, got.Runs[0].WakeAt, got.Runs[1].WakeAt} {
		if at.Location() != time.UTC {
			t.Errorf("%v is not in UTC", at)
		}
	}
}

// runsAt commits one run per entry, created that many seconds after start, and returns their rows.
func runsAt(t *testing.T, s bide.Store, seconds map[string]int, change func(*bide.RunInfo)) map[string]bide.RunInfo {
	t.Helper()
	out := map[string]bide.RunInfo{}
	for id, sec := range seconds {
		c := NewChain(id)
		c.Info.CreatedAt = start.Add(time.Duration(sec) * time.Second)
		if change != nil {
			change(&c.Info)
		}
		commit := c.Next(1)
		must(t, s, commit)
		out[id] = commit.Info
	}
	return out
}

// wantRuns checks which runs a query gives, in one page and in pages of one, two and three rows.
func wantRuns(t *testing.T, s bide.Store, q bide.RunQuery, want ...string) {
	t.Helper()
	for _, limit := range []int{0, 1, 2, 3, len(want)} {
		q.Limit, q.Cursor = limit, ""
		var got []string
		for {
			page, err := s.Runs(t.Context(), q)
			if err != nil {
				t.Fatalf("Runs(%+v) = %v", q, err)
			}
			if n := len(page.Runs); n > bide.PageLimit(limit) || n == 0 && q.Cursor != "" {
				t.Fatalf("Runs(%+v) gives %d runs", q, n)
			}
			for _, r := range page.Runs {
				got = append(got, r.ID)
			}
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		same(t, fmt.Sprintf("Runs(%+v) by pages of %d", q, limit), got, want)
	}
}

func runsOrder(t *testing.T, s Store) {
	wantRuns(t, s, bide.RunQuery{})
	runsAt(t, s, map[string]int{"b": 1, "a": 1, "c": 1, "z": 0, "old": -5, "new": 9, "n": 9}, nil)
	wantRuns(t, s, bide.RunQuery{}, "new", "n", "c", "b", "a", "z", "old")
}

func runsSelect(t *testing.T, s Store) {
	is := func(status bide.Status, workflow string) func(*bide.RunInfo) {
		return func(i *bide.RunInfo) { i.Status, i.Workflow = status, workflow }
	}
	runsAt(t, s, map[string]int{"wx1": 1, "wx2": 2, "wx3": 3}, is(bide.StatusWaiting, "x"))
	runsAt(t, s, map[string]int{"wy1": 1, "wy4": 4}, is(bide.StatusWaiting, "y"))
	runsAt(t, s, map[string]int{"cx2": 2, "cx5": 5}, is(bide.StatusCompleted, "x"))
	runsAt(t, s, map[string]int{"cy3": 3}, is(bide.StatusCompleted, "y"))
	wantRuns(t, s, bide.RunQuery{Status: bide.StatusWaiting}, "wy4", "wx3", "wx2", "wy1", "wx1")
	wantRuns(t, s, bide.RunQuery{Workflow: "x"}, "cx5", "wx3", "wx2", "cx2", "wx1")
	wantRuns(t, s, bide.RunQuery{Status: bide.StatusWaiting, Workflow: "x"}, "wx3", "wx2", "wx1")
	wantRuns(t, s, bide.RunQuery{Status: bide.StatusCompleted, Workflow: "y"}, "cy3")
	wantRuns(t, s, bide.RunQuery{Status: bide.StatusFailed})
	wantRuns(t, s, bide.RunQuery{Status: bide.StatusWaiting, Workflow: "X"})
}

func runsSelectMore(t *testing.T, s Store) {
	is := func(session, parent string) func(*bide.RunInfo) {
		return func(i *bide.RunInfo) { i.Session, i.Parent = session, parent }
	}
	runsAt(t, s, map[string]int{"s1": 1, "s2": 2, "s3": 3, "s4": 3}, is("s", ""))
	runsAt(t, s, map[string]int{"p1": 1, "p2": 2, "p5": 5}, is("", "p"))
	runsAt(t, s, map[string]int{"sp1": 1, "sp6": 6}, is("s", "p"))
	runsAt(t, s, map[string]int{"w4": 4}, func(i *bide.RunInfo) { i.Session, i.Status, i.Workflow = "s", bide.StatusWaiting, "x" })
	runsAt(t, s, map[string]int{"none": 9}, nil)
	wantRuns(t, s, bide.RunQuery{Session: "s"}, "sp6", "w4", "s4", "s3", "s2", "sp1", "s1")
	wantRuns(t, s, bide.RunQuery{Parent: "p"}, "sp6", "p5", "p2", "sp1", "p1")
	wantRuns(t, s, bide.RunQuery{Session: "s", Parent: "p"}, "sp6", "sp1")
	wantRuns(t, s, bide.RunQuery{Session: "s", Status: bide.StatusWaiting}, "w4")
	wantRuns(t, s, bide.RunQuery{Session: "s", Workflow: "x"}, "w4")
	wantRuns(t, s, bide.RunQuery{Parent: "p", Status: bide.StatusRunning, Workflow: "wf"}, "sp6", "p5", "p2", "sp1", "p1")
	wantRuns(t, s, bide.RunQuery{Session: "S"})
	wantRuns(t, s, bide.RunQuery{Parent: "s1"})
	wantRuns(t, s, bide.RunQuery{SetAside: true})
	for _, id := range []string{"w4", "none", "sp1", "p5"} {
		ok(t, s.SetAside(t.Context(), id, "because of "+id))
	}
	wantRuns(t, s, bide.RunQuery{SetAside: true}, "none", "p5", "w4", "sp1")
	wantRuns(t, s, bide.RunQuery{SetAside: true, Session: "s"}, "w4", "sp1")
	wantRuns(t, s, bide.RunQuery{SetAside: true, Session: "s", Parent: "p"}, "sp1")
	wantRuns(t, s, bide.RunQuery{SetAside: true, Status: bide.StatusWaiting}, "w4")
	wantRuns(t, s, bide.RunQuery{SetAside: true, Workflow: "wf"}, "none", "p5", "sp1")
}

func runsFollow(t *testing.T, s Store) {
	c := NewChain("run")
	must(t, s, NewChain("other").Next(1))
	all := []bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusPaused, bide.StatusFailed, bide.StatusCancelled, bide.StatusCompleted}
	for i, status := range all {
		for _, wake := range []time.Time{start.Add(time.Duration(i) * time.Hour), {}} {
			c.Info.Status, c.Info.WakeAt, c.Info.Step = status, wake, c.Info.Step+1
			c.Info.EndedAt = time.Time{}
			if status.Final() {
				c.Info.EndedAt = start
			}
			commit := c.Next(1)
			must(t, s, commit)
			for _, other := range all {
				page, err := s.Runs(t.Context(), bide.RunQuery{Status: other})
				if err != nil {
					t.Fatalf("Runs = %v", err)
				}
				i := slices.IndexFunc(page.Runs, func(r bide.RunInfo) bool { return r.ID == "run" })
				switch {
				case (i >= 0) != (other == status):
					t.Errorf("a %s run is listed as %s: %v", status, other, i >= 0)
				case i >= 0:
					same(t, "the row", page.Runs[i], commit.Info)
				}
			}
			page, err := s.Runs(t.Context(), bide.RunQuery{WakeBefore: start.Add(time.Duration(i) * time.Hour)})
			if err != nil {
				t.Fatalf("Runs = %v", err)
			}
			fires := !wake.IsZero() && (status == bide.StatusWaiting || status == bide.StatusRunning)
			if due := len(page.Runs) == 1; due != fires {
				t.Errorf("a %s run with its timer at %v is listed as due: %v", status, wake, due)
			}
		}
	}
}

func runsDue(t *testing.T, s Store) {
	for id, sec := range map[string]int{"b": 5, "a": 5, "c": 5, "late": 50, "z": 1} {
		runsAt(t, s, map[string]int{id: 100 - sec}, func(i *bide.RunInfo) {
			i.WakeAt, i.Status, i.Workflow = at(sec), bide.StatusWaiting, "x"
			if id == "b" {
				i.Status, i.Workflow = bide.StatusRunning, "y"
			}
		})
	}
	runsAt(t, s, map[string]int{"never": 0}, nil)
	for _, status := range []bide.Status{bide.StatusPaused, bide.StatusFailed} {
		runsAt(t, s, map[string]int{string(status): 0}, func(i *bide.RunInfo) { i.WakeAt, i.Status = at(2), status })
	}
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(0)})
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(1).Add(-time.Microsecond)})
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(1)}, "z")
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(5).Add(999)}, "z", "a", "b", "c")
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(99)}, "z", "a", "b", "c", "late")
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(99), Status: bide.StatusWaiting}, "z", "a", "c", "late")
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(99), Workflow: "y"}, "b")
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(99), Workflow: "y", Status: bide.StatusWaiting})
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(99), Status: bide.StatusPaused})
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(5), Order: bide.OrderUpdated, Root: "c"}, "c")
	wantRuns(t, s, bide.RunQuery{WakeBefore: at(99), Order: bide.OrderUpdated}, "z", "a", "b", "c", "late")
}

func runsLimit(t *testing.T, s Store) {
	const runs = 1003
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			c := NewChain(fmt.Sprintf("run-%04d", i))
			if err := s.Commit(t.Context(), c.Next(1)); err != nil {
				t.Errorf("Commit = %v", err)
			}
		})
	}
	all.Wait()
	for limit, want := range map[int]int{0: 100, -1: 100, 7: 7, 1000: 1000, 5000: 1000} {
		page, err := s.Runs(t.Context(), bide.RunQuery{Limit: limit})
		if err != nil || len(page.Runs) != want || page.Next == "" {
			t.Errorf("Runs with limit %d gives %d runs and the cursor %q (%v), want %d and another page", limit, len(page.Runs), page.Next, err, want)
		}
	}
}

func waitsEveryField(t *testing.T, s Store) {
	c := NewChain("run")
	commit := c.Next(1)
	commit.Opened = []bide.Wait{
		{ID: "run.1", Kind: bide.WaitForm, Key: "k<>&", Node: "ask", Step: 3, Effect: 2, Message: "How many?\n<b>\u2028", Choices: []string{"a", "b&c"}, FreeText: true,
			Schema: bide.JSON(`{"type":"object","z":1,"a":1.0}`), Details: bide.JSON(`["<",9007199254740993]`), CreatedAt: start,
			Until: start.Add(time.Second), ExpiresAt: start.Add(time.Minute), Default: bide.JSON(`null`)},
		{ID: "run.2", Kind: bide.WaitTimer, CreatedAt: start.Add(time.Microsecond)},
	}
	must(t, s, commit)
	got, err := s.Waits(t.Context(), bide.WaitQuery{})
	if err != nil {
		t.Fatalf("Waits = %v", err)
	}
	same(t, "the listing", got, &bide.WaitPage{Waits: commit.Opened})
}

// wantWaits checks which waits a query gives, as wantRuns does.
func wantWaits(t *testing.T, s bide.Store, q bide.WaitQuery, want ...string) {
	t.Helper()
	for _, limit := range []int{0, 1, 2, 3, len(want)} {
		q.Limit, q.Cursor = limit, ""
		var got []string
		for {
			page, err := s.Waits(t.Context(), q)
			if err != nil {
				t.Fatalf("Waits(%+v) = %v", q, err)
			}
			if n := len(page.Waits); n > bide.PageLimit(limit) || n == 0 && q.Cursor != "" {
				t.Fatalf("Waits(%+v) gives %d waits", q, n)
			}
			for _, w := range page.Waits {
				got = append(got, w.ID)
			}
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		same(t, fmt.Sprintf("Waits(%+v) by pages of %d", q, limit), got, want)
	}
}

func waitsOrder(t *testing.T, s Store) {
	wantWaits(t, s, bide.WaitQuery{})
	a, b := NewChain("a"), NewChain("b")
	wait := func(id string, sec int) bide.Wait {
		return bide.Wait{ID: id, Kind: bide.WaitQuestion, CreatedAt: start.Add(time.Duration(sec) * time.Second)}
	}
	opened := a.Next(1)
	opened.Opened = []bide.Wait{wait("a.1", 3), wait("a.2", 1), wait("a.3", 1)}
	must(t, s, opened)
	opened = b.Next(1)
	opened.Opened = []bide.Wait{wait("b.1", 1), wait("b.2", 9)}
	must(t, s, opened)
	wantWaits(t, s, bide.WaitQuery{}, "a.2", "a.3", "b.1", "a.1", "b.2")

	changed := a.Next(1)
	changed.Closed, changed.Opened = []string{"a.3", "a.1"}, []bide.Wait{wait("a.4", 5)}
	must(t, s, changed)
	wantWaits(t, s, bide.WaitQuery{}, "a.2", "b.1", "a.4", "b.2")
	ended := b.Next(1)
	ended.Closed = []string{"b.1", "b.2"}
	must(t, s, ended)
	wantWaits(t, s, bide.WaitQuery{}, "a.2", "a.4")
}

func waitsSelect(t *testing.T, s Store) {
	commit := NewChain("run").Next(1)
	for i, w := range []struct {
		kind bide.WaitKind
		key  string
	}{{bide.WaitQuestion, ""}, {bide.WaitJob, "k"}, {bide.WaitForEvent, "k"}, {bide.WaitForEvent, "l"}, {bide.WaitJob, "k"}, {bide.WaitQuestion, ""}} {
		commit.Opened = append(commit.Opened, bide.Wait{ID: fmt.Sprintf("run.%d", i), Kind: w.kind, Key: w.key, CreatedAt: start.Add(time.Duration(i) * time.Second)})
	}
	must(t, s, commit)
	wantWaits(t, s, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitQuestion}}, "run.0", "run.5")
	wantWaits(t, s, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitForEvent}}, "run.2", "run.3")
	wantWaits(t, s, bide.WaitQuery{Key: "k"}, "run.1", "run.2", "run.4")
	wantWaits(t, s, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitJob}, Key: "k"}, "run.1", "run.4")
	wantWaits(t, s, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitQuestion}, Key: "k"})
	wantWaits(t, s, bide.WaitQuery{Key: "K"})
}

func waitsSelectMore(t *testing.T, s Store) {
	kinds := []bide.WaitKind{bide.WaitQuestion, bide.WaitForEvent, bide.WaitJob}
	for i, id := range []string{"root", "root-a", "root-b", "other"} {
		c := NewChain(id)
		if id != "other" {
			c.Info.Root = "root"
		}
		c.Info.Status = bide.StatusWaiting
		commit := c.Next(1)
		for n, kind := range kinds {
			commit.Opened = append(commit.Opened, bide.Wait{ID: fmt.Sprintf("%s.%d", id, n), Kind: kind, Key: "k", CreatedAt: start.Add(time.Duration(10*n+i) * time.Second)})
		}
		must(t, s, commit)
	}
	two := []bide.WaitKind{bide.WaitJob, bide.WaitQuestion}
	wantWaits(t, s, bide.WaitQuery{Kinds: two}, "root.0", "root-a.0", "root-b.0", "other.0", "root.2", "root-a.2", "root-b.2", "other.2")
	wantWaits(t, s, bide.WaitQuery{Kinds: append(two, bide.WaitTimer), Root: "root"}, "root.0", "root-a.0", "root-b.0", "root.2", "root-a.2", "root-b.2")
	wantWaits(t, s, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitJob, bide.WaitJob}, Key: "k", Root: "root"}, "root.2", "root-a.2", "root-b.2")
	wantWaits(t, s, bide.WaitQuery{Run: "root"}, "root.0", "root.1", "root.2")
	wantWaits(t, s, bide.WaitQuery{Run: "root-a", Root: "root", Kinds: two}, "root-a.0", "root-a.2")
	wantWaits(t, s, bide.WaitQuery{Run: "other", Root: "root"})
	wantWaits(t, s, bide.WaitQuery{Run: "root", Key: "l"})
	wantWaits(t, s, bide.WaitQuery{Root: "root-a"})
	wantWaits(t, s, bide.WaitQuery{Root: "root"}, "root.0", "root-a.0", "root-b.0", "root.1", "root-a.1", "root-b.1", "root.2", "root-a.2", "root-b.2")
}

func invalidCursor(t *testing.T, s Store) {
	must(t, s, NewChain("run").Next(1))
	for _, cursor := range []string{"x", "_", "2030-01-02_run", "2030-01-02T03:04:05Z", "'; DROP TABLE runs; --"} {
		_, err := s.Runs(t.Context(), bide.RunQuery{Cursor: cursor})
		wantError(t, fmt.Sprintf("Runs from cursor %q", cursor), err, bide.ErrInvalidInput)
		_, err = s.Runs(t.Context(), bide.RunQuery{Cursor: cursor, Order: bide.OrderUpdated})
		wantError(t, fmt.Sprintf("Runs that changed last from cursor %q", cursor), err, bide.ErrInvalidInput)
		_, err = s.Runs(t.Context(), bide.RunQuery{Cursor: cursor, WakeBefore: start})
		wantError(t, fmt.Sprintf("Runs that are due from cursor %q", cursor), err, bide.ErrInvalidInput)
		_, err = s.Waits(t.Context(), bide.WaitQuery{Cursor: cursor})
		wantError(t, fmt.Sprintf("Waits from cursor %q", cursor), err, bide.ErrInvalidInput)
	}
}
