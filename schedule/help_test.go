package schedule_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
)

var ctx = context.Background()

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// The workflows that schedules start here.
var targets = []bide.Workflow{
	target("work", func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("done"), nil }),
	target("ask", func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("?", nil)).ThenComplete("answered"), nil
	}),
	target("fail", func(*bide.Run) (bide.StepPlan, error) { return bide.Fail("no luck"), nil }),
}

func target(id string, do bide.NodeFunc) bide.Workflow {
	return bide.Workflow{ID: id, Version: "1", Entry: "do", Nodes: bide.Nodes{"do": do}}
}

// world is a store, a clock, and a process that claims and ticks.
type world struct {
	t     testing.TB
	store *mem.Store
	fault *faultStore
	clock *bidetest.Clock
	*bide.Runtime
}

func newWorld(t testing.TB, start string) *world {
	w := &world{t: t, store: mem.New(), clock: bidetest.NewClock(at(start))}
	w.boot()
	return w
}

// boot is a new process over the store.
func (w *world) boot() {
	w.t.Helper()
	w.fault = &faultStore{Store: w.store, at: -1}
	w.Runtime = must[*bide.Runtime](w.t)(bide.New(w.fault, &bide.Options{Clock: w.clock}))
	if err := errors.Join(schedule.Register(w.Runtime), w.Register(targets...), w.store.Release(ctx, "w", nil, false)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(s schedule.Spec) *schedule.Schedule {
	w.t.Helper()
	return must[*schedule.Schedule](w.t)(schedule.Create(ctx, w.Runtime, s))
}

func (w *world) get(name string) *schedule.Schedule {
	w.t.Helper()
	return must[*schedule.Schedule](w.t)(schedule.Get(ctx, w.Runtime, name))
}

// drive ticks every run that can proceed until none can.
func (w *world) drive() error {
	for range 10_000 {
		claims := must[[]bide.Claim](w.t)(w.store.Claim(ctx, bide.ClaimQuery{Owner: "w", Now: w.clock.Now(), Limit: 10, Workflows: w.Workflows()}))
		if len(claims) == 0 {
			return nil
		}
		for _, c := range claims {
			c.Last = true // there is no other worker
			if _, err := w.TickClaimed(ctx, c, nil); err != nil {
				return err
			}
			if err := w.store.Release(ctx, "w", []string{c.RunID}, true); err != nil {
				return err
			}
		}
	}
	return errors.New("the runs do not come to rest")
}

// to moves the clock from timer to timer until a time, with everything at work.
func (w *world) to(text string) {
	w.t.Helper()
	for end := at(text); ; {
		if err := w.drive(); err != nil {
			w.t.Fatal(err)
		}
		next := must[time.Time](w.t)(w.store.NextWake(ctx, time.Time{}))
		if next.IsZero() || next.After(end) {
			w.clock.Set(end)
			return
		}
		w.clock.Set(next)
	}
}

// down moves the clock with nothing at work.
func (w *world) down(text string) { w.clock.Set(at(text)) }

// started lists what a schedule started, oldest first: the time that the run is
// for, and when it was started if that is another.
func (w *world) started(name string) (out []string) {
	w.t.Helper()
	type start struct{ created, text string }
	var all []start
	for cursor := ""; ; {
		page := must[*bide.RunPage](w.t)(w.Runs(ctx, bide.RunQuery{Limit: 1000, Cursor: cursor}))
		for _, r := range page.Runs {
			if r.Workflow == schedule.Workflow || r.Labels[schedule.LabelName] != name {
				continue
			}
			s := start{r.CreatedAt.Format(time.RFC3339), r.Labels[schedule.LabelTime]}
			if s.text != s.created {
				s.text += " at " + s.created
			}
			all = append(all, s)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b start) int {
		return slices.Compare([]string{a.created, a.text}, []string{b.created, b.text})
	})
	for _, s := range all {
		out = append(out, s.text)
	}
	return out
}

// answer answers the open question of the run that a schedule started last.
func (w *world) answer(name string) {
	w.t.Helper()
	run := must[*bide.Run](w.t)(w.Get(ctx, w.get(name).Last.RunID))
	must[*bide.Run](w.t)(w.Resume(ctx, run.ID, run.Waits[0].ID, "yes"))
}

// checkLedgers verifies and replays the ledger of every schedule.
func (w *world) checkLedgers() {
	w.t.Helper()
	for _, r := range must[*bide.RunPage](w.t)(w.Runs(ctx, bide.RunQuery{Workflow: schedule.Workflow})).Runs {
		must[bide.Position](w.t)(w.Verify(ctx, r.ID))
		if d := must[*bide.Divergence](w.t)(w.Replay(ctx, r.ID)); d != nil {
			w.t.Errorf("replay of %s: %s", r.Key, d)
		}
		if r.Status == bide.StatusFailed {
			w.t.Errorf("schedule %s failed: %v", r.Key, must[*bide.Run](w.t)(w.Get(ctx, r.ID)).Error)
		}
	}
}

var errDead = errors.New("dead")

// faultStore dies at a chosen commit, before or after it is applied.
type faultStore struct {
	bide.Store
	mu      sync.Mutex
	at      int // commits until death; below 0 never
	applied bool
	dead    bool
}

func (f *faultStore) Commit(ctx context.Context, c *bide.Commit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errDead
	}
	if f.at != 0 {
		f.at--
		return f.Store.Commit(ctx, c)
	}
	f.dead = true
	if f.applied {
		if err := f.Store.Commit(ctx, c); err != nil {
			return err
		}
	}
	return errDead
}

func (f *faultStore) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	f.mu.Lock()
	dead := f.dead
	f.mu.Unlock()
	if dead {
		return nil, errDead
	}
	return f.Store.Load(ctx, id, have)
}
