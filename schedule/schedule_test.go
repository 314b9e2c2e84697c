package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

func TestCreatingTheSameAgainGivesTheSameAndAnotherIsRefused(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	spec := schedule.Spec{Name: "x", Interval: hour, Workflow: "work", Start: at("2026-01-01T00:00:00Z").In(time.FixedZone("", 3600)),
		Input: bide.JSON(`{"a": "\u003c<é", "b": 1.50}`), Labels: map[string]string{}}
	first := w.create(spec)
	w.to("2026-01-01T01:10:00Z")
	spec.Input, spec.Labels, spec.Start = bide.JSON(`{"b":1.50,"a":"<\u003c\u00e9"}`), nil, spec.Start.UTC()
	if again := w.create(spec); again.RunID != first.RunID || again.Counts.Started != 1 {
		t.Errorf("Create again = %+v, want the run %s as it is", again, first.RunID)
	}
	for what, change := range map[string]func(*schedule.Spec){
		"interval": func(s *schedule.Spec) { s.Interval = 2 * hour },
		"input":    func(s *schedule.Spec) { s.Input = bide.JSON(`{"b":1.5,"a":"<<é"}`) },
		"labels":   func(s *schedule.Spec) { s.Labels = map[string]string{"a": "b"} },
	} {
		other := spec
		change(&other)
		if _, err := schedule.Create(ctx, w.Runtime, other); !errors.Is(err, bide.ErrKeyReused) || !strings.Contains(err.Error(), `"x" exists with another spec`) {
			t.Errorf("Create with another %s = %v, want ErrKeyReused", what, err)
		}
	}
}

func TestManyCreatesAtOnceMakeOne(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	var mu sync.Mutex
	var all sync.WaitGroup
	ids, refused := map[string]int{}, 0
	for i := range 20 {
		all.Go(func() {
			spec := schedule.Spec{Name: "x", Interval: hour * bide.Duration(1+i%2), Workflow: "work"}
			s, err := schedule.Create(ctx, w.Runtime, spec)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				ids[fmt.Sprint(s.RunID, s.Spec.Interval)]++
			case errors.Is(err, bide.ErrKeyReused):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(ids) != 1 || refused != 10 {
		t.Errorf("created %v, refused %d; want one schedule, ten times each", ids, refused)
	}
}

func TestADeletedNameCanBeUsedAgain(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	spec := schedule.Spec{Name: "x", Interval: hour, Workflow: "ask"}
	create := bide.Command{ID: "create", Actor: "ann"}
	first := must[*schedule.Schedule](t)(schedule.Create(ctx, w.Runtime, spec, create))
	w.to("2026-01-01T01:10:00Z")
	child := w.get("x").Last.RunID
	del := bide.Command{ID: "delete", Actor: "ann", Reason: "not needed"}
	for range 2 { // sent again
		if err := schedule.Delete(ctx, w.Runtime, "x", del); err != nil {
			t.Fatal(err)
		}
	}
	w.to("2026-01-01T03:10:00Z")
	if run := must[*bide.Run](t)(w.Get(ctx, child)); run.Status != bide.StatusCancelled {
		t.Errorf("the run at work is %s after its schedule was deleted", run.Status)
	}
	w.wantStarted("x", "2026-01-01T01:00:00Z")
	if _, err := schedule.Get(ctx, w.Runtime, "x"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Get of a deleted schedule = %v, want ErrNotFound", err)
	}
	if err := schedule.Delete(ctx, w.Runtime, "x"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Delete of a deleted schedule = %v, want ErrNotFound", err)
	}
	if s := must[*schedule.Schedule](t)(schedule.Create(ctx, w.Runtime, spec, create)); s.RunID != first.RunID || s.Status != bide.StatusCancelled {
		t.Errorf("the first command again = %+v, want what it made", s)
	}
	second := w.create(spec)
	if second.RunID == first.RunID || second.Status == bide.StatusCancelled {
		t.Errorf("Create after Delete = %+v, want another run than %s", second, first.RunID)
	}
	if err := schedule.Delete(ctx, w.Runtime, "x", del); err != nil { // the first, late
		t.Fatal(err)
	}
	w.to("2026-01-01T04:10:00Z")
	w.wantStarted("x", "2026-01-01T01:00:00Z", "2026-01-01T04:00:00Z")
	page := must[*schedule.Page](t)(schedule.List(ctx, w.Runtime, nil))
	if len(page.Schedules) != 1 || page.Schedules[0].RunID != second.RunID {
		t.Errorf("List = %+v, want the second only", page)
	}
}

func TestListGoesThroughAllPages(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	for i := range 5 {
		w.create(schedule.Spec{Name: fmt.Sprint("s", i), Interval: hour, Workflow: "work"})
		w.clock.Advance(time.Second)
	}
	w.to("2026-01-01T01:10:00Z")
	var names []string
	for opts := (&schedule.ListOptions{Limit: 2}); ; {
		page := must[*schedule.Page](t)(schedule.List(ctx, w.Runtime, opts))
		for _, s := range page.Schedules {
			names = append(names, s.Spec.Name)
		}
		if opts.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "s4 s3 s2 s1 s0" {
		t.Errorf("listed %s", got)
	}
}

func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	spec := schedule.Spec{Name: "x", Interval: hour, Workflow: "work"}
	unknown, version, wrong, two := spec, spec, spec, []bide.Command{{}, {}}
	unknown.Workflow, version.Version, wrong.Cron = "unheard-of", "7", "@daily"
	bare := must[*bide.Runtime](t)(bide.New(mem.New(), nil))
	for what, tc := range map[string]struct {
		do   func() error
		want error
	}{
		"create, not registered":   {func() error { _, err := schedule.Create(ctx, bare, spec); return err }, bide.ErrUnknownWorkflow},
		"create, unknown workflow": {func() error { _, err := schedule.Create(ctx, w.Runtime, unknown); return err }, bide.ErrInvalidInput},
		"create, unknown version":  {func() error { _, err := schedule.Create(ctx, w.Runtime, version); return err }, bide.ErrInvalidInput},
		"create, wrong spec":       {func() error { _, err := schedule.Create(ctx, w.Runtime, wrong); return err }, bide.ErrInvalidInput},
		"create, two commands":     {func() error { _, err := schedule.Create(ctx, w.Runtime, spec, two...); return err }, bide.ErrInvalidInput},
		"delete, none":             {func() error { return schedule.Delete(ctx, w.Runtime, "none") }, bide.ErrNotFound},
		"pause, none":              {func() error { _, err := schedule.Pause(ctx, w.Runtime, "none"); return err }, bide.ErrNotFound},
		"unpause, not paused":      {func() error { w.create(spec); _, err := schedule.Unpause(ctx, w.Runtime, "x"); return err }, bide.ErrWrongStatus},
		"update, none":             {func() error { s := spec; s.Name = "none"; return schedule.Update(ctx, w.Runtime, s) }, bide.ErrNotFound},
		"update, wrong spec":       {func() error { return schedule.Update(ctx, w.Runtime, wrong) }, bide.ErrInvalidInput},
		"trigger, none":            {func() error { return schedule.Trigger(ctx, w.Runtime, "none") }, bide.ErrNotFound},
	} {
		if err := tc.do(); !errors.Is(err, tc.want) {
			t.Errorf("%s = %v, want %v", what, err, tc.want)
		}
	}
}

// A run of the workflow with another input than a spec fails with what is wrong with it.
func TestARunThatIsNoScheduleFails(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	wf := bide.Workflow{ID: "parent", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.StartRun(schedule.Workflow, schedule.Spec{Name: "x"}, nil)).ThenComplete(nil), nil
	}}}
	run := must[*bide.Run](t)(w.Start(ctx, wf, nil, nil))
	w.to("2026-01-01T00:20:00Z")
	run = must[*bide.Run](t)(w.Get(ctx, run.ID))
	if run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, "exactly one of cron and interval") {
		t.Errorf("run = %s, %v", run.Status, run.Error)
	}
	if page := must[*schedule.Page](t)(schedule.List(ctx, w.Runtime, nil)); len(page.Schedules) != 0 {
		t.Errorf("List = %+v, want none", page)
	}
}

func TestALongAbsenceIsCountedExactly(t *testing.T) {
	for name, tc := range map[string]struct {
		spec schedule.Spec
		want int64
	}{
		"interval":      {schedule.Spec{Interval: bide.Duration(time.Second)}, 30 * 24 * 3600},
		"interval, end": {schedule.Spec{Interval: bide.Duration(7 * time.Second), Start: at("2026-01-01T12:00:00Z"), End: at("2026-01-10T00:00:01Z")}, (8*24+12)*3600/7 + 1},
		"cron":          {schedule.Spec{Cron: "* * * * *", TimeZone: "Europe/Berlin"}, 30 * 24 * 60},
		"jitter":        {schedule.Spec{Cron: "0 * * * *", Jitter: hour / 2}, 30 * 24},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "2026-01-01T00:00:00Z")
			tc.spec.Name, tc.spec.Workflow, tc.spec.CatchUp = "x", "work", 3
			w.create(tc.spec)
			w.to("2026-01-01T00:00:00Z")
			w.down("2026-01-31T00:00:00.5Z")
			if err := w.drive(); err != nil {
				t.Fatal(err)
			}
			c := w.get("x").Counts
			// The newest may be on time, besides those made up, or still delayed by its jitter.
			if got := c.Missed + c.Started; got != tc.want && (name != "jitter" || got != tc.want-1) || c.Started < 3 || c.Started > 4 {
				t.Errorf("%+v are %d times, want %d", c, c.Missed+c.Started, tc.want)
			}
			w.checkLedgers()
		})
	}
}

func TestTheStatusIsJSON(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "work"})
	w.to("2026-01-01T01:10:00Z")
	raw := must[[]byte](t)(json.Marshal(w.get("x")))
	for _, want := range []string{`"spec":{"name":"x","interval":"1h0m0s","workflow":"work"}`, `"status":"waiting"`, `"next":"2026-01-01T02:00:00Z"`,
		`"last":{"time":"2026-01-01T01:00:00Z"`, `"counts":{"started":1,"completed":1,"failed":0,"cancelled":0,"skipped":0,"missed":0}`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s does not contain %s", raw, want)
		}
	}
}

// A worker with the same clock wakes for each time by itself.
func TestAWorkerFiresSchedules(t *testing.T) {
	clock, store := bidetest.NewClock(at("2026-01-01T00:00:30Z")), mem.New()
	rt := must[*bide.Runtime](t)(bide.New(store, &bide.Options{Clock: clock}))
	if err := errors.Join(schedule.Register(rt), rt.Register(targets...)); err != nil {
		t.Fatal(err)
	}
	asleep := make(chan time.Time, 100)
	rt.Observe(func(n bide.Notice) {
		if c := n.Commit; len(c.Opened) == 1 && c.Opened[0].Kind == bide.WaitForEvent {
			asleep <- c.Info.WakeAt
		}
	})
	must[*schedule.Schedule](t)(schedule.Create(ctx, rt, schedule.Spec{Name: "x", Cron: "* * * * *", Workflow: "work"}))
	work := must[*worker.Worker](t)(worker.New(rt, store, &worker.Options{Clock: clock, Sole: true}))
	done := make(chan error, 1)
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { done <- work.Run(workCtx) }()
	for turns := 0; turns < 20; {
		select {
		case wake := <-asleep:
			if wake.After(clock.Now()) {
				clock.Set(wake)
				work.Wake()
			}
			turns++
		case <-time.After(time.Minute):
			t.Fatalf("no turn after %d; %+v", turns, work.Stats())
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s := must[*schedule.Schedule](t)(schedule.Get(ctx, rt, "x"))
	if s.Counts.Completed < 9 || s.Counts.Missed != 0 || s.Counts.Skipped != 0 {
		t.Errorf("counts = %+v", s.Counts)
	}
}
