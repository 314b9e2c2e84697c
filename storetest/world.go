package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// world is what is outside of the runtime: it remembers what was done to it,
// whatever process did it, and it has the time.
type world struct {
	t      *testing.T
	clock  *clock
	ledger bide.Store // to see what was announced; set before a process starts

	mu       sync.Mutex
	repaired bool
	calls    map[string]int // by idempotency key
	once     map[string]bool
}

func newWorld(t *testing.T) *world {
	return &world{t: t, clock: newClock(start), calls: map[string]int{}, once: map[string]bool{}}
}

// repair makes effects succeed that failed so far.
func (w *world) repair() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.repaired = true
}

// handle registers the handlers of the scenario. What they answer follows from
// the key and, for those that fail at first, from how often they were called.
func (w *world) handle(rt *bide.Runtime) {
	on := func(typ string, do func(call *bide.Invocation, times int) (any, error)) {
		rt.Handle(typ, func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
			w.announced(call)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.calls[call.Key]++
			result, err := do(call, w.calls[call.Key])
			return bide.Completed(result), err
		})
	}
	on("charge", func(call *bide.Invocation, _ int) (any, error) {
		w.once[call.Key] = true
		return chargeResult(call.Key), nil
	})
	on("mail", func(call *bide.Invocation, _ int) (any, error) { return "mailed " + call.Key, nil })
	on("flaky", func(call *bide.Invocation, times int) (any, error) {
		if times <= 2 {
			return nil, errors.New("out of stock")
		}
		return "reserved " + call.Key, nil
	})
	on("broken", func(call *bide.Invocation, _ int) (any, error) {
		if !w.repaired {
			return nil, bide.Permanent(errors.New("no truck"))
		}
		return "shipped " + call.Key, nil
	})
}

// chargeResult is what charging gives, and what a person says that it gave.
func chargeResult(key string) bide.JSON { return fmt.Appendf(nil, `"charged %s"`, key) }

// announced checks that the attempt that a handler was called for is in the ledger already.
func (w *world) announced(call *bide.Invocation) {
	raws, err := w.ledger.Records(context.Background(), call.Run, 1, 10_000)
	if err != nil {
		w.t.Errorf("effect %s: read the ledger: %v", call.Key, err)
		return
	}
	run, err := bide.Fold(func(yield func(bide.Record, error) bool) {
		for _, raw := range raws {
			if !yield(bide.ParseRecord(raw)) {
				return
			}
		}
	})
	if err != nil {
		w.t.Errorf("effect %s: fold the ledger: %v", call.Key, err)
		return
	}
	if run.Step != call.Step || call.Effect >= len(run.Effects) {
		w.t.Errorf("effect %s was called in step %d; the ledger is at step %d", call.Key, call.Step, run.Step)
		return
	}
	if e := run.Effects[call.Effect]; e.Status != bide.StateRunning || e.Attempt != call.Attempt || e.Key != call.Key {
		w.t.Errorf("attempt %d of effect %s was made; the ledger has attempt %d of %s as %s", call.Attempt, call.Key, e.Attempt, e.Key, e.Status)
	}
}

// check looks at what was done when all is over.
func (w *world) check(s bide.Store, end *ending) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.once {
		if n := w.calls[key]; n > 1 {
			w.t.Errorf("effect %s was carried out %d times, want at most once", key, n)
		}
	}
	for _, id := range end.IDs {
		w.checkWaits(s, id)
	}
	open, err := s.Waits(context.Background(), bide.WaitQuery{})
	if err != nil || len(open.Waits) > 0 {
		w.t.Errorf("Waits = %v, %v after all runs have ended, want none", open, err)
	}
	runs, err := s.Runs(context.Background(), bide.RunQuery{})
	if err != nil || len(runs.Runs) != len(end.IDs) {
		w.t.Errorf("Runs = %d runs, %v, want %d", len(runs.Runs), err, len(end.IDs))
		return
	}
	w.checkFeed(s, runs.Runs)
}

// checkFeed checks that the feed holds every run's ledger, each child's after its start.
func (w *world) checkFeed(s bide.Store, runs []bide.RunInfo) {
	w.t.Helper()
	all := &tail{}
	if _, err := all.read(context.Background(), s); err != nil {
		w.t.Error(err)
		return
	}
	got := map[string][][]byte{}
	parent := map[string]string{}
	for _, r := range runs {
		parent[r.ID] = r.Parent
	}
	for _, r := range all.got {
		if above := parent[r.RunID]; above != "" && len(got[above]) == 0 {
			w.t.Errorf("the feed has a record of %s before the first of %s, its parent", r.RunID, above)
		}
		got[r.RunID] = append(got[r.RunID], r.Body)
	}
	for _, r := range runs {
		raws, err := s.Records(context.Background(), r.ID, 1, 10_000)
		if err != nil {
			w.t.Errorf("Records(%s) = %v", r.ID, err)
		}
		same(w.t, "what the feed has of "+r.ID, got[r.ID], raws)
	}
}

// checkWaits checks that every wait of a run was opened once and resolved at most once.
func (w *world) checkWaits(s bide.Store, id string) {
	w.t.Helper()
	raws, err := s.Records(context.Background(), id, 1, 10_000)
	if err != nil {
		w.t.Errorf("Records(%s) = %v", id, err)
	}
	opened, resolved := map[string]int{}, map[string]int{}
	for _, raw := range raws {
		rec, err := bide.ParseRecord(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		data, err := rec.Decode()
		if err != nil {
			w.t.Fatal(err)
		}
		switch d := data.(type) {
		case *bide.Wait:
			opened[d.ID]++
		case *bide.WaitResolved:
			resolved[d.WaitID]++
		}
	}
	for wait, n := range resolved {
		if n != 1 || opened[wait] != 1 {
			w.t.Errorf("wait %s was opened %d times and resolved %d times, want once", wait, opened[wait], n)
		}
	}
}

// clock is a bide.Clock that stands still until it is told to go on.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	alarms map[*alarm]bool
}

type alarm struct {
	at time.Time
	f  func()
}

func newClock(now time.Time) *clock { return &clock{now: now, alarms: map[*alarm]bool{}} }

// Now implements bide.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc implements bide.Clock.
func (c *clock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{c.now.Add(d), f}
	if d <= 0 {
		go f()
		return func() bool { return false }
	}
	c.alarms[a] = true
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		was := c.alarms[a]
		delete(c.alarms, a)
		return was
	}
}

// advanceTo lets the time be t, unless it is later already, and fires what is due.
func (c *clock) advanceTo(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t
	}
	for a := range c.alarms {
		if !a.at.After(c.now) {
			delete(c.alarms, a)
			go a.f()
		}
	}
}
