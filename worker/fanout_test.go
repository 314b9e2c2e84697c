package worker_test

import (
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

func TestAFanOutOverTenThousandItemsEndsAndOthersGoOnMeanwhile(t *testing.T) {
	kid := bide.Workflow{ID: "kid", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Input[int](r)
			return bide.Complete(n), err
		},
	}}
	wide := bide.Workflow{ID: "wide", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.FanOut("kid", make([]int, 10_000), &bide.FanOutOptions{AtOnce: 200}).As("all")).ThenComplete("ok"), nil
		},
	}}
	small := flow(func(*bide.Run) bide.Effect { return bide.Tell("hello") })
	h := newHost(t, mem.New(), slowPoll, nil, kid, wide, small)
	run, err := h.Start(t.Context(), wide, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.waitEnded(t, 1000) // children: it is well under way
	other, err := h.Start(t.Context(), small, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := 1000 + len(h.ended)
	ended := map[string]int{}
	for n := 1000; ended[run.ID] == 0; n++ {
		select {
		case c := <-h.ended:
			ended[c.RunID] = n
		case <-time.After(time.Minute):
			t.Fatalf("%d runs ended; %+v", n, h.w.Stats())
		}
	}
	if at := ended[other.ID]; at == 0 || at-before > 4000 {
		t.Errorf("the small run was started when %d had ended and was number %d to end: it waited for the fan-out", before, at)
	}
}
