package bide_test

import (
	"context"
	"errors"
	"testing"

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
