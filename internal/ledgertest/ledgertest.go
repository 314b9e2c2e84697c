// Package ledgertest gives tests stores of every kind, and runs in them: ended, waiting, paused and failed ones, with
// children, several effects in a step, an attempt made again, answers, events and commands.
package ledgertest

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/store/sqlite"
)

// Store is all that a store offers.
type Store interface {
	bide.Store
	bide.Claims
	bide.Documents
	bide.Counter
}

// Kinds are the kinds of stores.
var Kinds = []string{"mem", "file", "sqlite", "postgres"}

// Seal encrypts a store. All are encrypted with the same key.
func Seal(t testing.TB, s Store) *seal.Store {
	t.Helper()
	keys, err := seal.ParseKeyring([]byte("test " + base64.StdEncoding.EncodeToString([]byte("a key for tests, 32 bytes of it!"))))
	if err != nil {
		t.Fatal(err)
	}
	out, err := seal.New(context.Background(), s, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Open makes an empty store of a kind, or one in memory that is "sealed"; it is closed when the test ends.
func Open(t testing.TB, kind string) Store {
	t.Helper()
	ctx := context.Background()
	var s Store
	var err error
	switch kind {
	case "mem":
		s = mem.New()
	case "sealed":
		s = Seal(t, mem.New())
	case "file":
		s, err = file.Open(ctx, filepath.Join(t.TempDir(), "runs"), nil)
	case "sqlite":
		s, err = sqlite.Open(ctx, filepath.Join(t.TempDir(), "runs.db"), nil)
	case "postgres":
		s, err = postgres.Open(ctx, pgtest.Start(t), nil)
	default:
		t.Fatalf("there is no kind of store %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, bide.ErrStoreClosed) {
			t.Error(err)
		}
	})
	return s
}

// Start is the time at which everything begins.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// World is a runtime with workflows and handlers over a store.
type World struct {
	t     testing.TB
	Store Store
	Clock *bidetest.Clock
	RT    *bide.Runtime
}

// New returns a world over a store. Its clock stands at Start.
func New(t testing.TB, store Store) *World {
	t.Helper()
	w := &World{t: t, Store: store, Clock: bidetest.NewClock(Start)}
	w.RT = bide.Must(bide.New(store, &bide.Options{Clock: w.Clock}))
	if err := w.RT.Register(Order, Part); err != nil {
		t.Fatal(err)
	}
	w.RT.Handle("charge", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		return bide.Completed(map[string]any{"charged": call.Payload, "evidence": []any{}}), nil
	})
	w.RT.Handle("flaky", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if call.Attempt == 1 {
			return bide.Outcome{}, errors.New("out of stock")
		}
		return bide.Completed("reserved <&>"), nil
	})
	w.RT.Handle("broken", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Outcome{}, bide.Permanent(errors.New("no truck"))
	})
	return w
}

// Order asks, charges and reserves at once, waits for a child and an event, and completes; with input "broken" it fails.
var Order = bide.Workflow{ID: "order", Version: "1", Entry: "ask", Nodes: bide.Nodes{
	"ask": func(r *bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Pay?", &bide.AskOptions{Choices: []string{"yes", "no"}}).As("decision")).Then("pay"), nil
	},
	"pay": func(r *bide.Run) (bide.StepPlan, error) {
		in, err := bide.Input[string](r)
		if in == "broken" {
			return bide.Do(bide.Call("broken", "truck")).Then("end"), err
		}
		return bide.Do(bide.Call("charge", 9007199254740993).Once().As("charged"),
			bide.Call("flaky", "stock").WithRetry(bide.RetryPolicy{Attempts: 3, Backoff: bide.Duration(time.Minute), Jitter: -1}).As("reserved")).Then("part"), err
	},
	"part": func(r *bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.StartRun("part", "wheel", nil).As("part")).Then("wait").Set("note", "a <b> & c"), nil
	},
	"wait": func(r *bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("shipped", nil).As("shipped")).Then("end"), nil
	},
	"end": func(r *bide.Run) (bide.StepPlan, error) {
		decision, err := bide.Get[any](r.Vars, "decision.choice")
		return bide.Complete(map[string]any{"decision": decision}), err
	},
}}

// Part is the child of an Order: it asks a person.
var Part = bide.Workflow{ID: "part", Version: "1", Entry: "make", Nodes: bide.Nodes{
	"make": func(r *bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Made?", nil).As("made")).ThenCompleteWith("made.text"), nil
	},
}}

// Start starts an order under an id and drives it until it waits.
func (w *World) Start(id, input string) *bide.Run {
	w.t.Helper()
	return w.must(w.RT.Run(context.Background(), Order, input, &bide.StartOptions{RunID: id, Command: bide.Command{ID: "start-" + id, Actor: "eve", Reason: "a customer"},
		Session: "s1", Labels: map[string]string{"team": "a"}}))
}

func (w *World) must(r *bide.Run, err error) *bide.Run {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// Answer answers the open question of a run and drives it on.
func (w *World) Answer(id, answer string) *bide.Run {
	w.t.Helper()
	run := w.must(w.RT.Get(context.Background(), id))
	for _, wait := range run.Waits {
		if wait.Kind == bide.WaitQuestion {
			w.must(w.RT.Resume(context.Background(), id, wait.ID, answer, bide.Command{ID: "answer-" + id, Actor: "bob"}))
			w.Clock.Advance(time.Second)
			return w.Tick(id)
		}
	}
	w.t.Fatalf("run %s has no open question: %+v", id, run.Waits)
	return nil
}

// Tick drives a run.
func (w *World) Tick(id string) *bide.Run {
	w.t.Helper()
	return w.must(w.RT.Tick(context.Background(), id))
}

// ToChild drives a run that asks until it waits for its child, whose id it returns.
func (w *World) ToChild(id string) string {
	w.t.Helper()
	w.Answer(id, "yes")
	w.Clock.Advance(2 * time.Minute)
	w.Tick(id)
	page, err := w.RT.Runs(context.Background(), bide.RunQuery{Parent: id})
	if err != nil || len(page.Runs) != 1 {
		w.t.Fatalf("run %s has children %v, %v; want one", id, page, err)
	}
	w.Tick(page.Runs[0].ID)
	return page.Runs[0].ID
}

// Finish drives a run that waits for its child to its end.
func (w *World) Finish(id, child string) *bide.Run {
	w.t.Helper()
	w.Answer(child, "made it")
	w.Tick(id)
	if err := w.RT.Send(context.Background(), bide.Event{Scope: bide.ScopeRun, ScopeID: id, Name: "shipped", ID: "ev-" + id, Payload: "today"}); err != nil {
		w.t.Fatal(err)
	}
	return w.Tick(id)
}

// Fill makes one run of every sort: "done", "asking", "parent" with a child that asks, "failed", "gone" (cancelled) and "held" (paused).
func (w *World) Fill() {
	w.t.Helper()
	w.Start("done", "x")
	w.Finish("done", w.ToChild("done"))
	w.Clock.Advance(time.Second)
	w.Start("asking", "x")
	w.Start("parent", "x")
	w.ToChild("parent")
	w.Start("failed", "broken")
	w.Answer("failed", "yes")
	w.Start("gone", "x")
	w.must(w.RT.Cancel(context.Background(), "gone", bide.Command{Actor: "eve", Reason: "changed her mind"}))
	w.Start("held", "x")
	w.must(w.RT.Pause(context.Background(), "held", bide.Command{Actor: "eve"}))
	w.Clock.Advance(time.Second)
}
