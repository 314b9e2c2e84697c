package bide_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

func TestWatchGivesWhatIsStoredAndThenWhatComesWithoutGapOrDouble(t *testing.T) {
	store := mem.New()
	wf := listener(20, "x", nil)
	here, there := newRuntime(t, store, &bide.Options{Poll: 1}, wf), newRuntime(t, store, nil, wf) // another process
	run := must[*bide.Run](t)(here.Run(ctx, wf, nil, nil))
	got := make(chan int64, 1000)
	done := make(chan error, 1)
	go func() {
		for rec, err := range here.Watch(ctx, run.ID, 2) {
			if err != nil {
				done <- err
				return
			}
			got <- rec.Seq
		}
		close(got)
		done <- nil
	}()
	for i := range 20 {
		rt := []*bide.Runtime{here, there}[i%2]
		send(t, rt, bide.Event{ScopeID: run.ID, Name: "x", Payload: i})
		must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := int64(2)
	for seq := range got {
		if seq != want {
			t.Fatalf("record %d came where %d was due", seq, want)
		}
		want++
	}
	if end := must[*bide.Run](t)(here.Get(ctx, run.ID)); want != end.Seq+1 {
		t.Errorf("the last record seen is %d, the run has %d", want-1, end.Seq)
	}
}

func TestWatchEndsWithItsContextAndWithTheStoresError(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	rt := newRuntime(t, mem.New(), nil, wf)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	cctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := 0
	for range rt.Watch(cctx, run.ID, 1) {
		if n++; n == 3 {
			cancel()
		}
	}
	if n != 3 {
		t.Errorf("%d records before the context ended, want 3", n)
	}
	for _, err := range rt.Watch(ctx, "nobody", 1) {
		if !errors.Is(err, bide.ErrNotFound) {
			t.Errorf("Watch of an unknown run = %v, want ErrNotFound", err)
		}
	}
}

// entries follows a subscription in the background and hands its entries out.
func entries(t *testing.T, rt *bide.Runtime, q bide.FeedQuery) <-chan bide.FeedEntry {
	t.Helper()
	out, sub := make(chan bide.FeedEntry, 10_000), t.Context()
	go func() {
		for e, err := range rt.WatchAll(sub, q) {
			if err != nil {
				t.Error(err)
				return
			}
			out <- e
		}
	}()
	return out
}

func TestWatchAllGivesEveryRecordOfEveryRunOnceWhoeverMakesIt(t *testing.T) {
	store := mem.New()
	wf := listener(3, "x", nil)
	here, there := newRuntime(t, store, &bide.Options{Poll: 1}, wf), newRuntime(t, store, nil, wf)
	before := must[*bide.Run](t)(here.Run(ctx, wf, nil, nil))
	got := entries(t, here, bide.FeedQuery{})
	late := entries(t, here, bide.FeedQuery{After: must[*bide.FeedPage](t)(store.Feed(ctx, bide.FeedQuery{After: bide.FeedEnd})).Next})
	ids := []string{before.ID}
	for i := range 10 {
		run := must[*bide.Run](t)([]*bide.Runtime{here, there}[i%2].Run(ctx, wf, nil, nil))
		ids = append(ids, run.ID)
	}
	for i, id := range ids {
		rt := []*bide.Runtime{there, here}[i%2]
		for range 3 {
			send(t, rt, bide.Event{ScopeID: id, Name: "x"})
		}
		must[*bide.Run](t)(rt.Tick(ctx, id))
	}
	want, total := map[string]int64{}, 0
	for _, id := range ids {
		want[id] = must[*bide.Run](t)(here.Get(ctx, id)).Seq
		total += int(want[id])
	}
	for name, from := range map[string]struct {
		entries <-chan bide.FeedEntry
		n       int
		seen    map[string]int64
	}{"from the beginning": {got, total, map[string]int64{}}, "from the end": {late, total - int(before.Seq), map[string]int64{before.ID: before.Seq}}} {
		pos := int64(0)
		for range from.n {
			e := <-from.entries
			if e.Pos <= pos || e.Record.Seq != from.seen[e.RunID]+1 {
				t.Fatalf("%s: record %d of run %s at position %d, after record %d and position %d", name, e.Record.Seq, e.RunID, e.Pos, from.seen[e.RunID], pos)
			}
			pos, from.seen[e.RunID] = e.Pos, e.Record.Seq
		}
		if diff := cmp.Diff(want, from.seen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWatchAllOfATreeLeavesOutTheRest(t *testing.T) {
	leaf := one(bide.Tell("leaf"))
	leaf.ID = "leaf"
	mid := one(bide.StartRun("leaf", nil, nil))
	mid.ID = "mid"
	root := one(bide.StartRun("mid", nil, nil))
	root.ID = "root"
	rt := newRuntime(t, mem.New(), nil, leaf, mid, root)
	run := must[*bide.Run](t)(rt.Start(ctx, root, nil, nil))
	got := entries(t, rt, bide.FeedQuery{Root: run.ID})
	other := must[*bide.Run](t)(rt.Start(ctx, root, nil, nil))
	for range 3 { // down, and up again
		for _, r := range must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{})).Runs {
			must[*bide.Run](t)(rt.Tick(ctx, r.ID))
		}
	}
	runs := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Root: run.ID})).Runs
	if len(runs) != 3 {
		t.Fatalf("%d runs in the tree, want 3", len(runs))
	}
	for n := runs[0].Seq + runs[1].Seq + runs[2].Seq; n > 0; n-- {
		e := <-got
		if r := must[*bide.Run](t)(rt.Get(ctx, e.RunID)); r.Root != run.ID || r.ID == other.ID {
			t.Errorf("record %d of run %s, whose root is %s", e.Record.Seq, r.ID, r.Root)
		}
	}
}

func TestWatchWaitsGivesWhatIsOpenAndThenWhatChanges(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	store := mem.New()
	here, there := newRuntime(t, store, &bide.Options{Poll: 1}, wf), newRuntime(t, store, nil, wf)
	first := must[*bide.Run](t)(there.Run(ctx, wf, nil, nil))
	timer := one(bide.SleepFor(time.Hour))
	timer.ID = "timer"
	must[*bide.Run](t)(there.Run(ctx, timer, nil, nil)) // not for people
	got, sub := make(chan bide.WaitChange, 100), t.Context()
	go func() {
		for c, err := range here.WatchWaits(sub, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitQuestion, bide.WaitForm}}) {
			if err != nil {
				t.Error(err)
				return
			}
			got <- c
		}
	}()
	expect := func(wait string, closed bool) {
		t.Helper()
		if c := <-got; c.Wait.ID != wait || c.Closed != closed {
			t.Fatalf("wait %s, closed %v; want %s, %v", c.Wait.ID, c.Closed, wait, closed)
		}
	}
	expect(first.Waits[0].ID, false)
	second := must[*bide.Run](t)(there.Run(ctx, wf, nil, nil))
	expect(second.Waits[0].ID, false)
	must[*bide.Run](t)(here.Resume(ctx, first.ID, first.Waits[0].ID, "yes"))
	expect(first.Waits[0].ID, true)
	must[*bide.Run](t)(there.Cancel(ctx, second.ID))
	expect(second.Waits[0].ID, true)
}

func TestAwaitReturnsARunThatHasEndedWhoeverEndsIt(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	store := mem.New()
	here, there := newRuntime(t, store, &bide.Options{Poll: 1}, wf), newRuntime(t, store, nil, wf)
	for name, end := range map[string]func(*bide.Run) (*bide.Run, error){
		"here":    func(r *bide.Run) (*bide.Run, error) { return here.Cancel(ctx, r.ID) },
		"there":   func(r *bide.Run) (*bide.Run, error) { return there.Cancel(ctx, r.ID) },
		"already": nil,
	} {
		run := must[*bide.Run](t)(here.Run(ctx, wf, nil, nil))
		got := make(chan *bide.Run, 1)
		if end == nil {
			must[*bide.Run](t)(there.Cancel(ctx, run.ID))
		}
		go func() {
			r, err := here.Await(ctx, run.ID)
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
		if end != nil {
			must[*bide.Run](t)(end(run))
		}
		if r := <-got; r == nil || r.Status != bide.StatusCancelled {
			t.Errorf("ended %s: Await = %+v", name, r)
		}
	}
	if _, err := here.Await(ctx, "nobody"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Await of a run that is not there = %v", err)
	}
}

func TestWatchOfARunThatIsDeletedSaysSo(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	rt := newRuntime(t, mem.New(), nil, wf)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	seen, done := make(chan int64, 10), make(chan error, 1)
	go func() {
		var last error
		for rec, err := range rt.Watch(ctx, run.ID, 1) {
			if last = err; err == nil {
				seen <- rec.Seq
			}
		}
		done <- last
	}()
	for range run.Seq {
		<-seen
	}
	must[*bide.Run](t)(rt.Cancel(ctx, run.ID))
	if err := rt.Delete(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Watch ends with %v", err)
	}
}
