package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

// listener waits for n events, one after the other, and completes with their payloads.
func listener(n int, name string, opts *bide.EventOptions) bide.Workflow {
	return bide.Workflow{ID: "listener", Version: "1", Entry: "wait", Nodes: bide.Nodes{
		"wait": func(r *bide.Run) (bide.StepPlan, error) {
			got, err := bide.Get[[]bide.ReceivedEvent](r.Vars, "got")
			if err != nil || len(got) < n {
				return bide.Do(bide.WaitEvent(name, opts).AppendTo("got")).Then("wait"), err
			}
			var payloads []json.RawMessage
			for _, e := range got {
				payloads = append(payloads, e.Payload)
			}
			return bide.Complete(payloads), nil
		},
	}}
}

func send(t *testing.T, rt *bide.Runtime, e bide.Event) {
	t.Helper()
	if err := rt.Send(ctx, e); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreKeptUntilAWaitTakesThemInOrder(t *testing.T) {
	wf := listener(3, "paid", nil)
	rt := newRuntime(t, mem.New(), nil)
	run := must[*bide.Run](t)(rt.Start(ctx, wf, nil, nil))
	for i := range 2 { // before anybody waits
		send(t, rt, bide.Event{ScopeID: run.ID, Name: "paid", Payload: i, ID: fmt.Sprint("e", i)})
	}
	send(t, rt, bide.Event{ScopeID: run.ID, Name: "paid", Payload: "twice", ID: "e1"}) // the same event again
	send(t, rt, bide.Event{ScopeID: run.ID, Name: "other", Payload: "not for us"})
	if run = must[*bide.Run](t)(rt.Tick(ctx, run.ID)); run.Status != bide.StatusWaiting {
		t.Fatalf("after two events: %s", run.Status)
	}
	send(t, rt, bide.Event{ScopeID: run.ID, Name: "paid", Payload: 2})
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if string(run.Output) != "[0,1,2]" {
		t.Errorf("output = %s, want [0,1,2]", run.Output)
	}
	if err := rt.Send(ctx, bide.Event{ScopeID: run.ID, Name: "paid"}); !errors.Is(err, bide.ErrWrongStatus) {
		t.Errorf("Send to an ended run = %v, want ErrWrongStatus", err)
	}
	must[bide.Position](t)(rt.Verify(ctx, run.ID))
}

func TestAStarTakesAnyEventOfItsScope(t *testing.T) {
	wf := listener(2, "*", nil)
	rt := newRuntime(t, mem.New(), nil)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	send(t, rt, bide.Event{ScopeID: run.ID, Name: "a", Payload: 1})
	send(t, rt, bide.Event{ScopeID: run.ID, Name: "b", Payload: 2})
	if run = must[*bide.Run](t)(rt.Tick(ctx, run.ID)); string(run.Output) != "[1,2]" {
		t.Errorf("run = %s %s, want [1,2]", run.Status, run.Output)
	}
}

func TestASessionEventHasOneTakerAndABroadcastReachesAll(t *testing.T) {
	for _, tc := range []struct {
		event bide.Event
		scope bide.Scope
		want  int
	}{
		{bide.Event{Scope: bide.ScopeSession, ScopeID: "s", Name: "x", Payload: 1}, bide.ScopeSession, 1},
		{bide.Event{Scope: bide.ScopeWorkflow, ScopeID: "listener", Name: "x", Payload: 1}, bide.ScopeWorkflow, 3},
		{bide.Event{Scope: bide.ScopeGlobal, Name: "x", Payload: 1}, bide.ScopeGlobal, 3},
	} {
		t.Run(string(tc.scope), func(t *testing.T) {
			store := mem.New()
			wf := listener(1, "x", &bide.EventOptions{Scope: tc.scope})
			rt := newRuntime(t, store, nil, wf)
			var ids []string
			for range 3 {
				ids = append(ids, must[*bide.Run](t)(rt.Run(ctx, wf, nil, &bide.StartOptions{Session: "s"})).ID)
			}
			send(t, rt, tc.event)
			ended := 0
			for _, id := range ids {
				if must[*bide.Run](t)(rt.Tick(ctx, id)).Status == bide.StatusCompleted {
					ended++
				}
			}
			if ended != tc.want {
				t.Errorf("%d of 3 runs took the event, want %d", ended, tc.want)
			}
		})
	}
}

func TestAnEventWaitExpires(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	wf := listener(1, "x", &bide.EventOptions{Timeout: bide.Duration(time.Hour)})
	rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock})
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	clock.Advance(time.Hour)
	if run = must[*bide.Run](t)(rt.Tick(ctx, run.ID)); run.Status != bide.StatusFailed || run.Error.Code != bide.FailureTimeout {
		t.Errorf("run = %s, %v, want a timeout", run.Status, run.Error)
	}
}

func TestAWrongEventIsRefused(t *testing.T) {
	rt := newRuntime(t, mem.New(), nil)
	for name, tc := range map[string]struct {
		event bide.Event
		want  error
	}{
		"no name":     {bide.Event{ScopeID: "r"}, bide.ErrInvalidInput},
		"star":        {bide.Event{ScopeID: "r", Name: "*"}, bide.ErrInvalidInput},
		"no run id":   {bide.Event{Name: "x"}, bide.ErrInvalidInput},
		"global id":   {bide.Event{Scope: bide.ScopeGlobal, ScopeID: "r", Name: "x"}, bide.ErrInvalidInput},
		"wrong scope": {bide.Event{Scope: "planet", ScopeID: "r", Name: "x"}, bide.ErrInvalidInput},
		"not JSON":    {bide.Event{ScopeID: "r", Name: "x", Payload: func() {}}, bide.ErrInvalidInput},
		"unknown run": {bide.Event{ScopeID: "r", Name: "x"}, bide.ErrNotFound},
		"colon in id": {bide.Event{Scope: bide.ScopeSession, ScopeID: "a:b", Name: "x"}, bide.ErrInvalidInput},
	} {
		if err := rt.Send(ctx, tc.event); !errors.Is(err, tc.want) {
			t.Errorf("%s: Send = %v, want %v", name, err, tc.want)
		}
	}
}

// family is a parent that starts children of a workflow and its children.
func family(child bide.NodeFunc, opts *bide.ChildOptions) (parent, kid bide.Workflow) {
	kid = bide.Workflow{ID: "kid", Version: "1", Entry: "act", Nodes: bide.Nodes{"act": child}}
	parent = bide.Workflow{ID: "parent", Version: "1", Entry: "start", Nodes: bide.Nodes{
		"start": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.StartRun("kid", 21, opts).As("child")).ThenCompleteWith("child"), nil
		},
	}}
	return parent, kid
}

// driveAll ticks every run that can proceed until none can, as a worker would.
func driveAll(t *testing.T, rt *bide.Runtime, store *mem.Store) {
	t.Helper()
	for range 1000 {
		claims := must[[]bide.Claim](t)(store.Claim(ctx, bide.ClaimQuery{Owner: "w", Now: time.Now(), Limit: 10, Workflows: rt.Workflows()}))
		if len(claims) == 0 {
			return
		}
		for _, c := range claims {
			must[*bide.Run](t)(rt.TickClaimed(ctx, c, nil))
			if err := store.Release(ctx, "w", []string{c.RunID}, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("the runs do not come to rest")
}

func TestEveryEndOfAChildReachesItsParent(t *testing.T) {
	for name, tc := range map[string]struct {
		child  bide.NodeFunc
		status bide.Status
		text   string
	}{
		"completed": {func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Input[int](r)
			return bide.Complete(2 * n), err
		}, bide.StatusCompleted, `"output":42`},
		"failed": {func(*bide.Run) (bide.StepPlan, error) { return bide.Fail("no luck"), nil }, bide.StatusFailed, "child_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			parent, kid := family(tc.child, nil)
			store := mem.New()
			rt := newRuntime(t, store, nil, kid)
			run := must[*bide.Run](t)(rt.Start(ctx, parent, nil, nil))
			driveAll(t, rt, store)
			run = must[*bide.Run](t)(rt.Get(ctx, run.ID))
			if got := fmt.Sprint(run.Error, string(run.Output)); run.Status != tc.status || !strings.Contains(got, tc.text) {
				t.Errorf("parent = %s %s, want %s with %s", run.Status, got, tc.status, tc.text)
			}
			must[bide.Position](t)(rt.Verify(ctx, run.ID))
		})
	}
}

func waiting(*bide.Run) (bide.StepPlan, error) {
	return bide.Do(bide.Ask("?", nil)).ThenComplete("answered"), nil
}

func TestCancellingAParentCancelsItsChildAndTheOtherWayRound(t *testing.T) {
	parent, kid := family(waiting, nil)
	for _, who := range []string{"parent", "kid"} {
		t.Run(who, func(t *testing.T) {
			store := mem.New()
			rt := newRuntime(t, store, nil, kid)
			run := must[*bide.Run](t)(rt.Start(ctx, parent, nil, nil))
			driveAll(t, rt, store)
			kids := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Parent: run.ID})).Runs
			if len(kids) != 1 || kids[0].Status != bide.StatusWaiting {
				t.Fatalf("children = %+v, want one that waits", kids)
			}
			target := map[string]string{"parent": run.ID, "kid": kids[0].ID}[who]
			must[*bide.Run](t)(rt.Cancel(ctx, target))
			driveAll(t, rt, store)
			run = must[*bide.Run](t)(rt.Get(ctx, run.ID))
			child := must[*bide.Run](t)(rt.Get(ctx, kids[0].ID))
			want := map[string]bide.Status{"parent": bide.StatusCancelled, "kid": bide.StatusFailed}[who]
			if run.Status != want || child.Status != bide.StatusCancelled {
				t.Errorf("parent %s, child %s; want %s, cancelled", run.Status, child.Status, want)
			}
		})
	}
}

func TestADetachedChildGoesOnByItself(t *testing.T) {
	parent, kid := family(waiting, &bide.ChildOptions{Detached: true, Labels: map[string]string{"a": "b"}})
	store := mem.New()
	rt := newRuntime(t, store, nil, kid)
	run := must[*bide.Run](t)(rt.Start(ctx, parent, nil, nil))
	driveAll(t, rt, store)
	run = must[*bide.Run](t)(rt.Get(ctx, run.ID))
	child, err := bide.Get[bide.ChildResult](run.Vars, "child")
	if err != nil || run.Status != bide.StatusCompleted {
		t.Fatalf("parent = %s, %v, %v", run.Status, run.Error, err)
	}
	if got := must[*bide.Run](t)(rt.Get(ctx, child.RunID)); got.Status != bide.StatusWaiting || got.Labels["a"] != "b" {
		t.Errorf("child = %s %v, want waiting with its labels", got.Status, got.Labels)
	}
}

func TestChildrenBelowChildrenEndAtTheLimit(t *testing.T) {
	parent, _ := family(nil, nil)
	self := bide.Workflow{ID: "kid", Version: "1", Entry: "start", Nodes: parent.Nodes}
	store := mem.New()
	rt := newRuntime(t, store, &bide.Options{Limits: bide.Limits{Depth: 3}}, self)
	run := must[*bide.Run](t)(rt.Start(ctx, self, nil, nil))
	driveAll(t, rt, store)
	run = must[*bide.Run](t)(rt.Get(ctx, run.ID))
	all := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{})).Runs
	if run.Status != bide.StatusFailed || len(all) != 4 {
		t.Errorf("run = %s, %d runs in all; want failed and 4", run.Status, len(all))
	}
}

func TestACrashWhileAChildIsStartedStartsItOnce(t *testing.T) {
	parent, kid := family(func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("done"), nil }, nil)
	for n := range 6 {
		for _, applied := range []bool{false, true} {
			store := mem.New()
			fault := &faultStore{Store: store, at: n, applied: applied}
			rt := newRuntime(t, fault, nil, parent, kid)
			_, _ = rt.Start(ctx, parent, nil, &bide.StartOptions{RunID: "p"})
			func() { // drive until death
				for range 20 {
					claims, _ := store.Claim(ctx, bide.ClaimQuery{Owner: "w", Now: time.Now(), Limit: 1, Workflows: rt.Workflows(), Sole: true})
					for _, c := range claims {
						if _, err := rt.TickClaimed(ctx, c, nil); err != nil {
							return
						}
					}
				}
			}()
			if err := store.Release(ctx, "w", nil, false); err != nil {
				t.Fatal(err)
			}
			rt = newRuntime(t, store, nil, parent, kid)
			must[*bide.Run](t)(rt.Start(ctx, parent, nil, &bide.StartOptions{RunID: "p"}))
			driveAll(t, rt, store)
			all := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{})).Runs
			if len(all) != 2 || all[0].Status != bide.StatusCompleted || all[1].Status != bide.StatusCompleted {
				t.Errorf("death at commit %d (applied %v): %+v, want two completed runs", n, applied, all)
			}
		}
	}
}

func TestAStaleWorkersCommitIsRefused(t *testing.T) {
	wf := one(bide.Call("slow", nil))
	store := mem.New()
	rt := newRuntime(t, store, nil, wf)
	entered, release := make(chan struct{}), make(chan struct{})
	rt.Handle("slow", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		close(entered)
		<-release
		return bide.Completed("from the stale one"), nil
	})
	run := must[*bide.Run](t)(rt.Start(ctx, wf, nil, nil))
	query := bide.ClaimQuery{Owner: "a", Now: time.Now(), Limit: 1, Workflows: rt.Workflows()}
	first := must[[]bide.Claim](t)(store.Claim(ctx, query))
	failed := make(chan error)
	go func() {
		_, err := rt.TickClaimed(ctx, first[0], nil)
		failed <- err
	}()
	<-entered
	query.Owner = "b" // a never said that it is alive
	second := must[[]bide.Claim](t)(store.Claim(ctx, query))
	if len(second) != 1 || second[0].Fence <= first[0].Fence {
		t.Fatalf("claims = %+v, then %+v", first, second)
	}
	before := must[*bide.Stored](t)(store.Load(ctx, run.ID, bide.Position{}))
	close(release)
	if err := <-failed; !errors.Is(err, bide.ErrFenced) {
		t.Errorf("the stale worker's tick = %v, want ErrFenced", err)
	}
	after := must[*bide.Stored](t)(store.Load(ctx, run.ID, bide.Position{}))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the stale worker changed the store:\n%s", diff)
	}
}

func squares() bide.Workflow {
	return bide.Workflow{ID: "square", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Input[int](r)
			if n < 0 {
				return bide.Fail("negative"), err
			}
			return bide.Complete(n * n), err
		},
	}}
}

func fan(inputs []int, opts *bide.FanOutOptions) bide.Workflow {
	return bide.Workflow{ID: "fan", Version: "1", Entry: "start", Nodes: bide.Nodes{
		"start": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.FanOut("square", inputs, opts).As("all")).ThenCompleteWith("all"), nil
		},
	}}
}

func TestFanOutJoinsItsChildren(t *testing.T) {
	for name, tc := range map[string]struct {
		inputs    []int
		opts      *bide.FanOutOptions
		status    bide.Status
		completed int // among the results; -1: any
		most      int // children started at most
	}{
		"all":            {[]int{1, 2, 3, 4, 5}, nil, bide.StatusCompleted, 5, 5},
		"none":           {nil, nil, bide.StatusCompleted, 0, 0},
		"two at a time":  {[]int{1, 2, 3, 4, 5, 6, 7}, &bide.FanOutOptions{AtOnce: 2}, bide.StatusCompleted, 7, 7},
		"first two":      {[]int{1, 2, 3, 4, 5, 6, 7}, &bide.FanOutOptions{AtOnce: 1, Need: 2}, bide.StatusCompleted, 2, 3},
		"one fails":      {[]int{1, -2, 3}, nil, bide.StatusFailed, -1, 3},
		"one may fail":   {[]int{1, -2, 3}, &bide.FanOutOptions{AllowFailures: true}, bide.StatusCompleted, 2, 3},
		"need is missed": {[]int{-1, -2, 3}, &bide.FanOutOptions{Need: 2}, bide.StatusFailed, -1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			store := mem.New()
			rt := newRuntime(t, store, &bide.Options{SnapshotBytes: 1}, squares())
			run := must[*bide.Run](t)(rt.Start(ctx, fan(tc.inputs, tc.opts), nil, nil))
			driveAll(t, rt, store)
			run = must[*bide.Run](t)(rt.Get(ctx, run.ID))
			if run.Status != tc.status {
				t.Fatalf("run = %s, %v, want %s", run.Status, run.Error, tc.status)
			}
			results, err := bide.Get[[]*bide.ChildResult](run.Vars, "all")
			if err != nil || len(results) != len(tc.inputs) {
				t.Fatalf("results = %v, %v", results, err)
			}
			completed := 0
			for i, r := range results {
				if r != nil && r.Status == bide.StatusCompleted {
					completed++
					if string(r.Output) != fmt.Sprint(tc.inputs[i]*tc.inputs[i]) {
						t.Errorf("result %d = %s", i, r.Output)
					}
				}
			}
			if tc.completed >= 0 && completed != tc.completed {
				t.Errorf("%d children completed, want %d", completed, tc.completed)
			}
			kids := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{Parent: run.ID})).Runs
			for _, k := range kids {
				if !k.Status.Final() {
					t.Errorf("child %s is %s", k.ID, k.Status)
				}
			}
			if len(kids) > tc.most {
				t.Errorf("%d children were started, want at most %d", len(kids), tc.most)
			}
			must[bide.Position](t)(rt.Verify(ctx, run.ID))
			if d := must[*bide.Divergence](t)(rt.Replay(ctx, run.ID)); d != nil {
				t.Error(d)
			}
		})
	}
}

func TestDeleteRemovesAnEndedTreeAndNothingElse(t *testing.T) {
	store := mem.New()
	rt := newRuntime(t, store, nil, squares())
	wf := fan([]int{1, 2, 3}, nil)
	run := must[*bide.Run](t)(rt.Start(ctx, wf, nil, &bide.StartOptions{Key: "a"}))
	other := must[*bide.Run](t)(rt.Start(ctx, wf, nil, &bide.StartOptions{Key: "b"}))
	if err := rt.Delete(ctx, run.ID); !errors.Is(err, bide.ErrWrongStatus) {
		t.Errorf("Delete of a running run = %v, want ErrWrongStatus", err)
	}
	driveAll(t, rt, store)
	if err := rt.Delete(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Get(ctx, run.ID); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Get of a deleted run = %v, want ErrNotFound", err)
	}
	left := must[*bide.RunPage](t)(rt.Runs(ctx, bide.RunQuery{})).Runs
	if len(left) != 4 || left[0].Parent != other.ID && left[0].ID != other.ID {
		t.Errorf("%d runs are left, want the other tree of 4", len(left))
	}
	again := must[*bide.Run](t)(rt.Start(ctx, wf, nil, &bide.StartOptions{Key: "a"}))
	if again.Seq != 1 {
		t.Errorf("a run started under the key of a deleted one is at record %d", again.Seq)
	}
}

func TestAKeptBroadcastReachesLaterWaitsThatAskForThePast(t *testing.T) {
	clock := bidetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	event := func(past bide.Duration) bide.Workflow {
		return listener(1, "news", &bide.EventOptions{Scope: bide.ScopeGlobal, Past: past})
	}
	store := mem.New()
	rt := newRuntime(t, store, &bide.Options{Clock: clock})
	if err := rt.Send(ctx, bide.Event{Scope: bide.ScopeGlobal, Name: "news", Payload: "old", Keep: time.Hour}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Minute)
	if err := rt.Send(ctx, bide.Event{Scope: bide.ScopeGlobal, Name: "news", Payload: "short", Keep: time.Minute}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Minute) // the second is no longer kept
	for name, tc := range map[string]struct {
		past bide.Duration
		want string
	}{
		"asks for half an hour":  {bide.Duration(30 * time.Minute), `["old"]`},
		"asks for ten minutes":   {bide.Duration(10 * time.Minute), ""},
		"asks for nothing":       {0, ""},
		"asks again, and has it": {bide.Duration(24 * time.Hour), `["old"]`},
	} {
		run := must[*bide.Run](t)(newRuntime(t, store, &bide.Options{Clock: clock}).Run(ctx, event(tc.past), nil, nil))
		if string(run.Output) != tc.want {
			t.Errorf("a wait that %s gives %q (%s), want %q", name, run.Output, run.Status, tc.want)
		}
	}
	for _, e := range []bide.Event{
		{Scope: bide.ScopeSession, ScopeID: "s", Name: "x", Keep: time.Hour},
		{Scope: bide.ScopeGlobal, Name: "x", Keep: -1},
	} {
		if err := rt.Send(ctx, e); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Send(%+v) = %v, want ErrInvalidInput", e, err)
		}
	}
	if run := must[*bide.Run](t)(rt.Run(ctx, listener(1, "x", &bide.EventOptions{Past: 1}), nil, nil)); run.Error == nil || !strings.Contains(run.Error.Message, "past") {
		t.Errorf("a wait for a past event of the run itself gives %v", run.Error)
	}
}
