package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// countsSelectAll makes runs with few values of every field and compares counts by random queries with
// what counting the listed runs one by one gives.
func countsSelectAll(t *testing.T, s Store) {
	r := rand.New(rand.NewPCG(3, 4))
	runs := map[string]bide.RunInfo{}
	open := map[string][]bide.Wait{}
	for i := range 40 {
		c := NewChain(fmt.Sprintf("run-%02d", i))
		info := &c.Info
		info.Root, info.Parent, info.Origin = pickOne(r, info.ID, "run-01", "gone"), pickOne(r, "", "parent"), pickOne(r, "", "origin")
		info.Workflow, info.Session = pickOne(r, "wf", "wf2", "é"), pickOne(r, "", "s")
		info.CreatedAt = at(r.IntN(6)).Add(time.Duration(r.IntN(1000)) * time.Millisecond)
		info.Labels = pickOne(r, nil, map[string]string{"team": "a"}, map[string]string{"team": "b", `"x".y`: "z"}, map[string]string{"env": "x"})
		info.Status = pickOne(r, bide.StatusRunning, bide.StatusWaiting, bide.StatusCompleted, bide.StatusFailed)
		commit := c.Next(1)
		commit.Info.UpdatedAt = at(r.IntN(6))
		if !info.Status.Final() {
			open[info.ID] = []bide.Wait{{ID: info.ID + ".1", Kind: pickOne(r, bide.WaitQuestion, bide.WaitForEvent), CreatedAt: start}}
			commit.Opened = open[info.ID]
		}
		must(t, s, commit)
		row := commit.Info
		row.SetAside = pickOne(r, "", "a reason")
		ok(t, s.SetAside(t.Context(), info.ID, row.SetAside))
		runs[info.ID] = row
	}
	label := func(i *bide.RunInfo, name string) string {
		root := runs[i.Root]
		if value, ok := i.Labels[name]; ok {
			return value
		}
		return root.Labels[name]
	}
	for _, selection := range queries(r) {
		q := bide.CountQuery{RunQuery: selection, Every: pickOne(r, 0, time.Second, 2500*time.Millisecond), Label: pickOne(r, "", "team", `"x".y`, "none")}
		want := map[bide.RunCount]int64{}
		for _, id := range selectRuns(selection, runs, open) {
			i := runs[id]
			c := bide.RunCount{Workflow: i.Workflow, Status: i.Status, Label: label(&i, q.Label)}
			if q.Every > 0 {
				c.At = i.CreatedAt.Truncate(q.Every)
				if selection.Order.ByChange() {
					c.At = i.UpdatedAt.Truncate(q.Every)
				}
			}
			want[c]++
		}
		got, err := s.Count(t.Context(), q)
		if err != nil {
			t.Fatalf("Count(%+v) = %v", q, err)
		}
		same(t, fmt.Sprintf("Count(%+v)", q), got, &bide.RunCounts{Counts: bide.SortCounts(want)})
	}
}

func countsLimit(t *testing.T, s Store) {
	got, err := s.Count(t.Context(), bide.CountQuery{})
	ok(t, err)
	same(t, "the counts of no runs", got, &bide.RunCounts{})
	runsAt(t, s, map[string]int{"a": 0, "b": 10, "c": 20, "d": 30}, func(i *bide.RunInfo) { i.Workflow = "wf-" + i.ID })
	names := func(order bide.RunOrder, limit int) (out []string, partial bool) {
		t.Helper()
		got, err := s.Count(t.Context(), bide.CountQuery{RunQuery: bide.RunQuery{Order: order, Limit: limit, Cursor: "of another"}})
		ok(t, err)
		for _, c := range got.Counts {
			out = append(out, c.Workflow)
		}
		return out, got.Partial
	}
	for _, c := range []struct {
		order   bide.RunOrder
		limit   int
		partial bool
		want    []string
	}{
		{bide.OrderCreated, 0, false, []string{"wf-a", "wf-b", "wf-c", "wf-d"}},
		{bide.OrderCreated, 2, true, []string{"wf-c", "wf-d"}},
		{bide.OrderOldest, 2, true, []string{"wf-a", "wf-b"}},
		{bide.OrderUpdated, 100, false, []string{"wf-a", "wf-b", "wf-c", "wf-d"}},
	} {
		got, partial := names(c.order, c.limit)
		same(t, fmt.Sprintf("up to %d in the order %q", c.limit, c.order), got, c.want)
		if partial != c.partial {
			t.Errorf("up to %d of 4 runs in the order %q: partial %v", c.limit, c.order, partial)
		}
	}
	for _, q := range []bide.CountQuery{{Every: -time.Second}, {Every: time.Microsecond}, {RunQuery: bide.RunQuery{Order: "sideways"}}} {
		_, err := s.Count(t.Context(), q)
		wantError(t, fmt.Sprintf("Count(%+v)", q), err, bide.ErrInvalidInput)
	}
	_, err = s.Runs(t.Context(), bide.RunQuery{Order: "sideways"})
	wantError(t, "Runs in no order", err, bide.ErrInvalidInput)
}
