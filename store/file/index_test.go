package file

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

// TestSortedIsASortedList compares random changes with those of a map, over many chunks.
func TestSortedIsASortedList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var s sorted[int]
	has := map[bide.Cursor]int{}
	random := func() bide.Cursor {
		return bide.Cursor{At: epoch.Add(time.Duration(r.IntN(50)) * time.Second), ID: fmt.Sprint(r.IntN(100))}
	}
	for n := range 20_000 {
		c := random()
		if n/2000%2 == 0 || r.IntN(4) == 0 { // now it grows, now it shrinks
			s.put(c.At, c.ID, n)
			has[c] = n
		} else {
			s.remove(c.At, c.ID)
			delete(has, c)
		}
		if n%500 > 0 {
			continue
		}
		in := span{random(), random()}
		if r.IntN(3) == 0 {
			in.before = bide.Cursor{}
		}
		var want, up, down []bide.Cursor
		for c := range has {
			if compareCursors(c, in.after) > 0 && (in.before == (bide.Cursor{}) || compareCursors(c, in.before) < 0) {
				want = append(want, c)
			}
		}
		slices.SortFunc(want, compareCursors)
		for c, v := range s.up(in) {
			if up = append(up, c); has[c] != v {
				t.Fatalf("after %d changes: %v has %d, want %d", n, c, v, has[c])
			}
		}
		for c := range s.down(in) {
			down = append(down, c)
		}
		slices.Reverse(down)
		if !slices.Equal(up, want) || !slices.Equal(down, want) || s.size != len(has) {
			t.Fatalf("after %d changes: up gives %d items, down %d, want %d; the size is %d, want %d", n, len(up), len(down), len(want), s.size, len(has))
		}
		if count := s.count(in) - len(want); count < 0 || count > 1 { // the place itself may be counted
			t.Fatalf("after %d changes: count is %d, want %d", n, s.count(in), len(want))
		}
	}
}

// TestManyRunsAreListedAsAFilterWouldListThem asks for few and for most of so
// many runs that both ways to list them are taken.
func TestManyRunsAreListedAsAFilterWouldListThem(t *testing.T) {
	const runs = 1500
	r := rand.New(rand.NewPCG(2, 2))
	s := mustOpenOn(t, newMemDisk(), nil)
	at := func() time.Time { return epoch.Add(time.Duration(r.IntN(200)) * time.Minute) }
	all := map[string]bide.RunInfo{}
	waits := map[string]bool{}
	parent := &bide.Commit{}
	for i := range runs {
		c := storetest.NewChain(fmt.Sprintf("run-%04d", i))
		c.Info.CreatedAt = at()
		c.Info.Session, c.Info.Labels = fmt.Sprint(r.IntN(100)), map[string]string{"n": fmt.Sprint(r.IntN(100))}
		c.Info.Status = []bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusFailed, bide.StatusFailed}[r.IntN(4)]
		start := c.Next(1)
		start.Info.UpdatedAt = at()
		if r.IntN(40) == 0 {
			start.Opened = []bide.Wait{{ID: c.Info.ID + ".1", Kind: bide.WaitForm, CreatedAt: epoch}, {ID: c.Info.ID + ".2", Kind: bide.WaitForm, CreatedAt: epoch}}
			waits[c.Info.ID] = true
		}
		parent.Starts = append(parent.Starts, start)
		all[c.Info.ID] = start.Info
	}
	must(t, s, parent)
	for id := range all {
		if r.IntN(40) == 0 {
			if err := s.SetAside(t.Context(), id, "so"); err != nil {
				t.Fatal(err)
			}
			i := all[id]
			i.SetAside = "so"
			all[id] = i
		}
	}
	fields := []func(*bide.RunQuery){
		func(q *bide.RunQuery) { q.Status = bide.StatusRunning },
		func(q *bide.RunQuery) { q.Status = bide.StatusFailed },
		func(q *bide.RunQuery) { q.Session = fmt.Sprint(r.IntN(101)) },
		func(q *bide.RunQuery) { q.Labels = map[string]string{"n": fmt.Sprint(r.IntN(101))} },
		func(q *bide.RunQuery) { q.Waiting = bide.WaitForm },
		func(q *bide.RunQuery) { q.SetAside = true },
		func(q *bide.RunQuery) { q.CreatedFrom, q.CreatedTo = at(), at() },
		func(q *bide.RunQuery) { q.UpdatedFrom = at(); q.UpdatedTo = q.UpdatedFrom.Add(3 * time.Minute) },
		func(q *bide.RunQuery) { q.Order = bide.OrderUpdated },
	}
	for n := range 300 {
		var q bide.RunQuery
		for _, i := range r.Perm(len(fields))[:n%4] {
			fields[i](&q)
		}
		var want []bide.RunInfo
		for _, i := range slices.SortedFunc(maps.Values(all), func(a, b bide.RunInfo) int {
			if q.Order == bide.OrderUpdated {
				return compareCursors(bide.Cursor{At: b.UpdatedAt, ID: b.ID}, bide.Cursor{At: a.UpdatedAt, ID: a.ID})
			}
			return compareCursors(bide.Cursor{At: b.CreatedAt, ID: b.ID}, bide.Cursor{At: a.CreatedAt, ID: a.ID})
		}) {
			if isOf(i.Status, q.Status) && isOf(i.Session, q.Session) && (q.Labels == nil || i.Labels["n"] == q.Labels["n"]) &&
				(q.Waiting == "" || waits[i.ID]) && (!q.SetAside || i.SetAside != "") &&
				isIn(i.CreatedAt, q.CreatedFrom, q.CreatedTo) && isIn(i.UpdatedAt, q.UpdatedFrom, q.UpdatedTo) {
				want = append(want, i)
			}
		}
		var got []string
		for q.Limit = 1 + r.IntN(300); ; {
			page, err := s.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page.Runs {
				got = append(got, i.ID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		ids := []string{}
		for _, i := range want {
			ids = append(ids, i.ID)
		}
		if !slices.Equal(got, ids) {
			t.Fatalf("Runs(%+v) by pages of %d gives %d runs, want %d, or in another order", q, q.Limit, len(got), len(ids))
		}
	}
}
