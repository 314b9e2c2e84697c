package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

// Workers are listed wherever they are at work, and drained from anywhere.
func TestWorkersOfAllProcessesAreListedAndDrained(t *testing.T) {
	store, ctx := mem.New(), t.Context()
	now := time.Now().UTC()
	here := bide.Must(worker.New(bide.Must(bide.New(store, nil)), store, nil)) // it is not at work
	s := serverOver(t, store, &gateway.Options{Worker: here, Clock: func() time.Time { return now }})
	elsewhere := worker.NewID()
	for id, until := range map[string]time.Time{here.Stats().ID: now.Add(time.Minute), elsewhere: now.Add(time.Second), "gone": now, "dead": now.Add(-time.Hour)} {
		if err := store.Heartbeat(ctx, id, until); err != nil {
			t.Fatal(err)
		}
	}
	run := bide.Must(s.rt.Start(ctx, s.doc.Workflow(), map[string]int{"amount": 1}, nil))
	claims, err := store.Claim(ctx, bide.ClaimQuery{Owner: "dead", Now: now, Limit: 1, Workflows: []bide.WorkflowVersion{{ID: run.Workflow, Version: run.Version}}})
	if err != nil || len(claims) != 1 {
		t.Fatalf("Claim = %v, %v", claims, err)
	}
	var list api.WorkerList
	s.ask("admin", "GET", "/v1/workers", "").into(t, &list)
	byID := map[string]api.Worker{}
	for _, w := range list.Workers {
		byID[w.ID] = w
	}
	who, _ := worker.Identify(elsewhere)
	other := api.Worker{ID: elsewhere, Host: who.Host, Process: who.Process, Since: who.Since, Until: now.Add(time.Second), Alive: true}
	if diff := cmp.Diff(other, byID[elsewhere]); diff != "" || len(byID) != 3 {
		t.Errorf("of %d workers, the one elsewhere differs (-want +got):\n%s", len(byID), diff)
	}
	if w := byID["dead"]; w.Alive || w.Runs != 1 || byID[here.Stats().ID].Here == nil {
		t.Errorf("the dead one is %+v, the own one %+v", w, byID[here.Stats().ID])
	}

	for verb, drained := range map[string]string{"drain": "true", "undrain": "false"} {
		got := s.ask("admin", "POST", "/v1/workers/"+elsewhere+"/"+verb, "", "Idempotency-Key", verb)
		if got.Status != 200 || got.field(t, "drained") != drained {
			t.Errorf("%s = %d %s", verb, got.Status, got.Body)
		}
		owners, err := store.Owners(context.WithoutCancel(ctx), now)
		for _, o := range owners {
			if want := o.Name == elsewhere && drained == "true"; o.Drained != want {
				t.Errorf("after %s, %+v", verb, o)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}
