package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

func runsUpdated(t *testing.T, s Store) {
	byUpdate := bide.RunQuery{Order: bide.OrderUpdated}
	wantRuns(t, s, byUpdate)
	chains := map[string]*Chain{}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		chains[id] = NewChain(id)
		must(t, s, chains[id].Next(1))
	}
	wantRuns(t, s, byUpdate, "e", "d", "c", "b", "a")
	change := func(id string, status bide.Status, second int) {
		t.Helper()
		chains[id].Info.Status = status
		commit := chains[id].Next(1)
		commit.Info.UpdatedAt = at(second)
		must(t, s, commit)
	}
	change("b", bide.StatusRunning, 50)
	change("a", bide.StatusWaiting, 40)
	wantRuns(t, s, byUpdate, "b", "a", "e", "d", "c")
	change("c", bide.StatusCompleted, 60)
	change("a", bide.StatusRunning, 61)
	wantRuns(t, s, byUpdate, "a", "c", "b", "e", "d")
	change("a", bide.StatusRunning, 70)
	change("b", bide.StatusPaused, 70)
	change("e", bide.StatusFailed, 70)
	wantRuns(t, s, byUpdate, "e", "b", "a", "c", "d")
	wantRuns(t, s, bide.RunQuery{Order: bide.OrderUnchanged}, "d", "c", "a", "b", "e")
	change("d", bide.StatusWaiting, 65)
	change("b", bide.StatusRunning, 66)
	wantRuns(t, s, byUpdate, "e", "a", "b", "d", "c")
	wantRuns(t, s, bide.RunQuery{Order: bide.OrderUpdated, Status: bide.StatusRunning}, "a", "b")
	wantRuns(t, s, bide.RunQuery{UpdatedFrom: at(65)}, "e", "d", "b", "a")
	wantRuns(t, s, bide.RunQuery{UpdatedTo: at(66)}, "d", "c")
	wantRuns(t, s, bide.RunQuery{Order: bide.OrderUpdated, UpdatedFrom: at(65)}, "e", "a", "b", "d")
	wantRuns(t, s, bide.RunQuery{Order: bide.OrderUpdated, UpdatedFrom: at(65), UpdatedTo: at(70)}, "b", "d")
	must(t, s, &bide.Commit{RunID: "c", Expect: chains["c"].Info.Position(), Delete: true})
	wantRuns(t, s, byUpdate, "e", "a", "b", "d")
}

// runsSelectAll makes runs with few values of every field, lets them change, and
// compares what random queries give with what a filter over all of them gives.
func runsSelectAll(t *testing.T, s Store) {
	r := rand.New(rand.NewPCG(1, 2))
	runs := map[string]bide.RunInfo{}
	open := map[string][]bide.Wait{}
	var chains []*Chain
	for i := range 24 {
		c := NewChain(fmt.Sprintf("run-%02d", i))
		info := &c.Info
		info.Root, info.Parent, info.Origin = pickOne(r, info.ID, "root"), pickOne(r, "", "parent"), pickOne(r, "", "origin")
		info.Workflow, info.Session = pickOne(r, "wf", "wf2"), pickOne(r, "", "s")
		info.CreatedAt = at(r.IntN(6))
		info.Labels = []map[string]string{nil, {"team": "a"}, {"team": "b"}, {"team": "a", "env": "x"}, {"env": "x", "team": "é%_", "a": "team"}}[r.IntN(5)]
		chains = append(chains, c)
	}
	change := func() {
		for _, c := range chains {
			id := c.Info.ID
			c.Info.Status = pickOne(r, bide.StatusRunning, bide.StatusWaiting, bide.StatusPaused, bide.StatusFailed)
			c.Info.WakeAt = pickOne(r, time.Time{}, at(r.IntN(6)))
			commit := c.Next(1)
			commit.Info.UpdatedAt = at(r.IntN(6))
			for _, w := range open[id] {
				commit.Closed = append(commit.Closed, w.ID)
			}
			open[id] = nil
			for n := range r.IntN(3) {
				if c.Info.Status != bide.StatusFailed {
					open[id] = append(open[id], bide.Wait{ID: fmt.Sprintf("%s.%d", id, int(c.Info.Seq)*10+n), Kind: pickOne(r, bide.WaitQuestion, bide.WaitForEvent), CreatedAt: start})
				}
			}
			commit.Opened = open[id]
			must(t, s, commit)
			info := commit.Info
			info.SetAside = pickOne(r, "", "a reason")
			ok(t, s.SetAside(t.Context(), id, info.SetAside))
			runs[id] = info
		}
	}
	for range 3 {
		change()
		for _, q := range queries(r) {
			wantRuns(t, s, q, selectRuns(q, runs, open)...)
		}
	}
}

// at is a moment that ties with others.
func at(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }

func pickOne[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// queries are one query per field of a RunQuery, and some with several.
func queries(r *rand.Rand) (out []bide.RunQuery) {
	fields := []func(*bide.RunQuery){
		func(q *bide.RunQuery) {
			q.Status = pickOne(r, bide.StatusRunning, bide.StatusWaiting, bide.StatusPaused)
		},
		func(q *bide.RunQuery) { q.Workflow = pickOne(r, "wf", "wf2", "wf3") },
		func(q *bide.RunQuery) { q.Session = pickOne(r, "s", "S") },
		func(q *bide.RunQuery) { q.Parent = pickOne(r, "parent", "run-01") },
		func(q *bide.RunQuery) { q.Root = pickOne(r, "root", "root", "run-01") },
		func(q *bide.RunQuery) { q.Origin = "origin" },
		func(q *bide.RunQuery) {
			q.Labels = pickOne(r, map[string]string{"team": "a"}, map[string]string{"team": "é%_"}, map[string]string{"env": "x", "team": "a"}, map[string]string{"env": "a"}, map[string]string{"a": "team"})
		},
		func(q *bide.RunQuery) { q.Waiting = pickOne(r, bide.WaitQuestion, bide.WaitForEvent) },
		func(q *bide.RunQuery) { q.SetAside = true },
		func(q *bide.RunQuery) { q.CreatedFrom = at(r.IntN(4)) },
		func(q *bide.RunQuery) { q.CreatedTo = at(2 + r.IntN(4)) },
		func(q *bide.RunQuery) { q.UpdatedFrom = at(r.IntN(4)) },
		func(q *bide.RunQuery) { q.UpdatedTo = at(2 + r.IntN(4)) },
		func(q *bide.RunQuery) { q.WakeBefore = at(r.IntN(6)) },
		func(q *bide.RunQuery) { q.Order = pickOne(r, bide.OrderUpdated, bide.OrderUnchanged) },
		func(q *bide.RunQuery) { q.Order = pickOne(r, bide.OrderOldest, bide.OrderUnchanged) },
	}
	for i, set := range fields {
		var q bide.RunQuery
		set(&q)
		out = append(out, q)
		for range 3 {
			and := q
			for _, j := range r.Perm(len(fields))[:1+r.IntN(2)] {
				if j != i {
					fields[j](&and)
				}
			}
			out = append(out, and)
		}
	}
	return out
}

// selectRuns is what a query gives: the ids, in order.
func selectRuns(q bide.RunQuery, runs map[string]bide.RunInfo, open map[string][]bide.Wait) (ids []string) {
	is := func(got, want string) bool { return want == "" || got == want }
	within := func(t, from, to time.Time) bool { return !t.Before(from) && (to.IsZero() || t.Before(to)) }
	var found []bide.RunInfo
	for id, i := range runs {
		labels := true
		for name, value := range q.Labels {
			labels = labels && i.Labels[name] == value
		}
		waits := q.Waiting == "" || slices.ContainsFunc(open[id], func(w bide.Wait) bool { return w.Kind == q.Waiting })
		due := i.Status == bide.StatusWaiting || i.Status == bide.StatusRunning
		due = q.WakeBefore.IsZero() || due && !i.WakeAt.IsZero() && !i.WakeAt.After(q.WakeBefore)
		if is(string(i.Status), string(q.Status)) && is(i.Workflow, q.Workflow) && is(i.Session, q.Session) && is(i.Parent, q.Parent) &&
			is(i.Root, q.Root) && is(i.Origin, q.Origin) && (!q.SetAside || i.SetAside != "") && labels && waits && due &&
			within(i.CreatedAt, q.CreatedFrom, q.CreatedTo) && within(i.UpdatedAt, q.UpdatedFrom, q.UpdatedTo) {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b bide.RunInfo) int {
		switch {
		case !q.WakeBefore.IsZero():
			return cmp.Or(a.WakeAt.Compare(b.WakeAt), cmp.Compare(a.ID, b.ID))
		case q.Order.Ascending():
			a, b = b, a
		}
		if q.Order.ByChange() {
			return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(b.ID, a.ID))
		}
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	for _, i := range found {
		ids = append(ids, i.ID)
	}
	return ids
}
