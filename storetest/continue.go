package storetest

import (
	"fmt"
	"testing"

	"github.com/bide-dev/bide"
)

// counter takes two events in each of its runs, and completes with their number at the fifth.
var counter = bide.Workflow{ID: "counter", Version: "1", Entry: "listen", Nodes: bide.Nodes{
	"listen": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("one", nil).As("first"), bide.WaitEvent("two", nil).As("second")).Then("count"), nil
	},
	"count": func(r *bide.Run) (bide.StepPlan, error) {
		n, err := bide.Input[int](r)
		if n == 2 {
			return bide.Complete(n), err
		}
		return bide.ContinueAsNew(n + 1), err
	},
}}

// runContinues lets a child continue as new runs, which take the mail that the first was sent, and its parent waits for the last.
func runContinues(t *testing.T, s Store) {
	rt, err := bide.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	parent := bide.Workflow{ID: "counting", Version: "1", Entry: "start", Nodes: bide.Nodes{"start": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.StartRun("counter", 0, &bide.ChildOptions{Session: "s"}).As("all")).ThenCompleteWith("all.output"), nil
	}}}
	if err := rt.Register(counter); err != nil {
		t.Fatal(err)
	}
	run, err := rt.Run(t.Context(), parent, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Runs(t.Context(), bide.RunQuery{Parent: run.ID})
	if err != nil || len(page.Runs) != 1 {
		t.Fatalf("children = %v, %v; want one", page, err)
	}
	first := page.Runs[0].ID
	for i := range 3 { // the later ones wait for runs that are not there yet
		for _, name := range []string{"one", "two"} {
			if err := rt.Send(t.Context(), bide.Event{ID: fmt.Sprint(name, i), ScopeID: first, Name: name, Payload: i}); err != nil {
				t.Fatal(err)
			}
		}
	}
	id := first
	for range 3 {
		now, err := rt.Tick(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if now.Status != bide.StatusCompleted {
			t.Fatalf("run %s is %s, want completed: its mail is there", id, now.Status)
		}
		if _, err := rt.Verify(t.Context(), id); err != nil {
			t.Error(err)
		}
		if now.ContinuedAs == "" {
			break
		}
		id = now.ContinuedAs
	}
	if last, err := rt.Newest(t.Context(), first); err != nil || string(last.Output) != "2" || last.Session != "s" || last.Parent != run.ID {
		t.Errorf("the newest run = %+v, %v", last, err)
	}
	if run, err = rt.Tick(t.Context(), run.ID); err != nil || string(run.Output) != "2" {
		t.Errorf("the parent is %s with output %s, %v; want completed with 2", run.Status, run.Output, err)
	}
	after, err := s.Runs(t.Context(), bide.RunQuery{Origin: first})
	if err != nil || len(after.Runs) != 1 {
		t.Errorf("the runs in place of the first are %v, %v; want one", after, err)
	}
}
