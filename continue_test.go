package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// ledgerbook takes three orders in each of its runs, and completes with all of them when one says "stop".
var ledgerbook = bide.Workflow{ID: "book", Version: "1", Entry: "listen", Nodes: bide.Nodes{
	"listen": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("order", nil).As("order")).Then("note"), nil
	},
	"note": func(r *bide.Run) (bide.StepPlan, error) {
		seen, err := bide.Input[[]string](r)
		order, oerr := bide.Get[string](r.Vars, "order.payload")
		if err = errors.Join(err, oerr); err != nil {
			return bide.StepPlan{}, err
		}
		seen = append(seen, order)
		switch {
		case order == "stop":
			return bide.Complete(seen), nil
		case r.Step >= 6:
			return bide.ContinueAsNew(seen), nil
		}
		return bide.Go("listen").Set("input", seen), nil
	},
}}

// sendOrder sends an order to a run, or to what it continued as.
func sendOrder(t *testing.T, rt *bide.Runtime, id, text string) {
	t.Helper()
	if err := rt.Send(ctx, bide.Event{ID: "order-" + text, ScopeID: id, Name: "order", Payload: text}); err != nil {
		t.Fatal(err)
	}
}

func TestARunContinuesAsANewOneWithItsNameAndItsMail(t *testing.T) {
	store := mem.New()
	rt := newRuntime(t, store, &bide.Options{SnapshotBytes: 1}, ledgerbook)
	opts := &bide.StartOptions{Key: "k", Session: "s", Labels: map[string]string{"a": "b"}, Command: bide.Command{Actor: "eve"}, Timeout: time.Hour, MaxSteps: 50}
	first := must[*bide.Run](t)(rt.Start(ctx, ledgerbook, []string{}, opts))
	var want []string
	for i := range 8 { // more than the first can take: the rest is handed over, again and again
		want = append(want, fmt.Sprint(i))
		sendOrder(t, rt, first.ID, want[i])
	}
	sendOrder(t, rt, first.ID, "7") // once more
	driveAll(t, rt, store)
	sendOrder(t, rt, first.ID, "late") // to the first, which has ended long ago
	sendOrder(t, rt, first.ID, "late")
	sendOrder(t, rt, first.ID, "stop")
	driveAll(t, rt, store)
	last := must[*bide.Run](t)(rt.Newest(ctx, first.ID))
	if diff := cmp.Diff(fmt.Sprintf("%q", append(want, "late", "stop")), fmt.Sprintf("%q", outputOf[[]string](t, last))); diff != "" {
		t.Errorf("the orders (-want +got):\n%s", diff)
	}
	var chain []*bide.Run
	for id := first.ID; id != ""; id = chain[len(chain)-1].ContinuedAs {
		run := must[*bide.Run](t)(rt.Get(ctx, id))
		if n := len(chain); n > 0 && (run.Continues != chain[n-1].ID || run.Origin != chain[n-1].ID) {
			t.Errorf("run %s continues %q, want %s", id, run.Continues, chain[n-1].ID)
		}
		if !run.Status.Final() || len(run.Waits) > 0 || run.Key != "k" || run.Session != "s" || run.Labels["a"] != "b" || run.Actor != "eve" ||
			!run.Deadline.Equal(first.Deadline) || run.MaxSteps != 50 || run.Root != run.ID {
			t.Errorf("run %s is %+v", id, run)
		}
		must[bide.Position](t)(rt.Verify(ctx, id))
		if d := must[*bide.Divergence](t)(rt.Replay(ctx, id)); d != nil {
			t.Errorf("run %s replays as %s", id, d)
		}
		chain = append(chain, run)
	}
	if len(chain) != 3 || string(chain[0].Output) != `{"continued_as":"`+chain[1].ID+`"}` {
		t.Errorf("there are %d runs, and the first has the output %s", len(chain), chain[0].Output)
	}
	if next := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Origin: first.ID})).Runs; len(next) != 1 || next[0].ID != chain[1].ID {
		t.Errorf("the runs that go on in place of the first are %v", next)
	}
	for verb, do := range map[string]func() error{
		"cancel": func() error { _, err := rt.Cancel(ctx, first.ID); return err },
		"fork":   func() error { _, err := rt.Fork(ctx, first.ID, chain[0].Seq, nil); return err },
	} {
		if err := do(); !errors.Is(err, bide.ErrWrongStatus) || !strings.Contains(err.Error(), chain[1].ID) {
			t.Errorf("%s of a run that was continued = %v, want ErrWrongStatus that names the new one", verb, err)
		}
	}
}

func outputOf[T any](t *testing.T, run *bide.Run) (out T) {
	t.Helper()
	if err := json.Unmarshal(run.Output, &out); err != nil {
		t.Fatalf("run %s is %s with output %q: %v", run.ID, run.Status, run.Output, err)
	}
	return out
}

// parentOf waits for one child that continues as new.
func parentOf(effect bide.Effect) bide.Workflow {
	return bide.Workflow{ID: "parent", Version: "1", Entry: "start", Nodes: bide.Nodes{
		"start": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(effect.As("out")).ThenCompleteWith("out"), nil },
	}}
}

func TestAParentWaitsForWhatItsChildContinuesAs(t *testing.T) {
	for name, effect := range map[string]bide.Effect{
		"one child": bide.StartRun("book", []string{}, nil),
		"a fan-out": bide.FanOut("book", [][]string{{}}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			rt := newRuntime(t, store, nil, ledgerbook, parentOf(effect))
			parent := must[*bide.Run](t)(rt.Start(ctx, parentOf(effect), nil, nil))
			driveAll(t, rt, store)
			child := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Parent: parent.ID})).Runs[0].ID
			for i := range 7 {
				sendOrder(t, rt, child, fmt.Sprint(i))
			}
			driveAll(t, rt, store)
			if now := must[*bide.Run](t)(rt.Get(ctx, parent.ID)); now.Status != bide.StatusWaiting || len(now.Waits) != 1 {
				t.Fatalf("the parent is %s with %d waits, want waiting for one", now.Status, len(now.Waits))
			}
			newest := must[*bide.Run](t)(rt.Newest(ctx, child))
			if newest.ID == child || newest.Parent != parent.ID || newest.Root != parent.ID || newest.Depth != 1 {
				t.Errorf("the child goes on as %+v", newest.RunInfo)
			}
			sendOrder(t, rt, child, "stop")
			driveAll(t, rt, store)
			end := must[*bide.Run](t)(rt.Get(ctx, parent.ID))
			if end.Status != bide.StatusCompleted {
				t.Fatalf("the parent is %s: %v", end.Status, end.Error)
			}
			if want := newest.ID; !strings.Contains(string(end.Output), want) || !strings.Contains(string(end.Output), `"stop"`) {
				t.Errorf("the parent's output is %s, want that of run %s", end.Output, want)
			}
			must[bide.Position](t)(rt.Verify(ctx, parent.ID))
		})
	}
}

func TestCancellingAParentReachesWhatItsChildContinuedAs(t *testing.T) {
	store := mem.New()
	wf := parentOf(bide.StartRun("book", []string{}, nil))
	rt := newRuntime(t, store, nil, ledgerbook, wf)
	for _, told := range []bool{true, false} { // whether the parent has heard that its child goes on as another run
		parent := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
		child := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Parent: parent.ID})).Runs[0].ID
		for i := range 4 {
			sendOrder(t, rt, child, fmt.Sprint(i))
		}
		must[*bide.Run](t)(rt.Tick(ctx, child))
		if told {
			driveAll(t, rt, store)
		}
		must[*bide.Run](t)(rt.Cancel(ctx, parent.ID))
		driveAll(t, rt, store)
		if last := must[*bide.Run](t)(rt.Newest(ctx, child)); last.ID == child || last.Status != bide.StatusCancelled {
			t.Errorf("the child goes on as %s, which is %s, want cancelled", last.ID, last.Status)
		}
	}
}

// breaking is a store whose nth commit fails, before or after it took place.
type breaking struct {
	*mem.Store
	left    int
	applied bool
}

func (s *breaking) Commit(ctx context.Context, c *bide.Commit) error {
	if s.left--; s.left != -1 {
		return s.Store.Commit(ctx, c)
	}
	if s.applied {
		if err := s.Store.Commit(ctx, c); err != nil {
			return err
		}
	}
	return bide.Errorf(bide.CodeStoreFull, "it broke")
}

// The process dies at every commit in turn, before or after it took place: no order is lost, none counts twice, and there is one chain.
func TestACrashAtEveryCommitOfAContinuationLosesNothing(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for n, broke := 0, true; broke; n++ {
			s := &breaking{mem.New(), 1 << 30, applied}
			rt := newRuntime(t, s, nil, ledgerbook)
			run := must[*bide.Run](t)(rt.Start(ctx, ledgerbook, []string{}, &bide.StartOptions{RunID: "r"}))
			for i := range 5 {
				sendOrder(t, rt, run.ID, fmt.Sprint(i))
			}
			s.left = n
			for id, i := "r", 0; i < 10; i++ {
				next, err := rt.Tick(ctx, id)
				if err != nil {
					rt = newRuntime(t, s, nil, ledgerbook) // another process
					continue
				}
				if next.ContinuedAs == "" {
					break
				}
				id = next.ContinuedAs
			}
			broke = s.left < 0
			s.left = 1 << 30
			sendOrder(t, rt, "r", "stop")
			driveAll(t, rt, s.Store)
			last := must[*bide.Run](t)(rt.Newest(ctx, "r"))
			if got := outputOf[[]string](t, last); !slices.Equal(got, []string{"0", "1", "2", "3", "4", "stop"}) {
				t.Errorf("with a crash at commit %d (applied: %v) the orders are %q", n, applied, got)
			}
			if all := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{})).Runs; len(all) != 2 {
				t.Errorf("with a crash at commit %d there are %d runs, want 2", n, len(all))
			}
		}
	}
}
