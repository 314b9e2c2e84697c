package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/schedule"
)

const hour = bide.Duration(time.Hour)

func (w *world) wantStarted(name string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.started(name)); diff != "" {
		w.t.Errorf("%s started (-want +got):\n%s", name, diff)
	}
}

func (w *world) wantCounts(name string, want schedule.Counts) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.get(name).Counts); diff != "" {
		w.t.Errorf("counts of %s (-want +got):\n%s", name, diff)
	}
}

func TestAScheduleStartsARunAtEachOfItsTimes(t *testing.T) {
	w := newWorld(t, "2026-03-27T12:00:00Z")
	s := w.create(schedule.Spec{Name: "digest", Cron: "30 7 * * *", TimeZone: "Europe/Berlin", Workflow: "work",
		Input: bide.JSON(`{"n":9007199254740993}`), Labels: map[string]string{"a": "b"}})
	if s.Status != bide.StatusRunning || s.Last != nil || !s.Next.Equal(at("2026-03-28T06:30:00Z")) {
		t.Errorf("a fresh schedule = %+v", s)
	}
	w.to("2026-03-31T00:00:00Z")
	w.wantStarted("digest", "2026-03-28T06:30:00Z", "2026-03-29T05:30:00Z", "2026-03-30T05:30:00Z")
	w.wantCounts("digest", schedule.Counts{Started: 3, Completed: 3})
	s = w.get("digest")
	if s.Status != bide.StatusWaiting || s.Next.Format(time.RFC3339) != "2026-03-31T07:30:00+02:00" {
		t.Errorf("status %s, next %s; want waiting, 07:30 in Berlin", s.Status, s.Next)
	}
	last := must[*bide.Run](t)(w.Get(ctx, s.Last.RunID))
	if in, _, _ := last.Vars.Raw("input"); string(in) != `{"n":9007199254740993}` || last.Labels["a"] != "b" || last.Session != "schedule.digest" ||
		s.Last.Status != bide.StatusCompleted || !s.Last.Time.Equal(at("2026-03-30T05:30:00Z")) {
		t.Errorf("last run: input %s, labels %v, session %q, firing %+v", in, last.Labels, last.Session, s.Last)
	}
	w.checkLedgers()
}

func TestAScheduleEndsAfterItsLastTime(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:00:00Z")
	spec := schedule.Spec{Name: "x", Interval: hour, Start: at("2026-01-01T02:30:00Z"), End: at("2026-01-01T05:30:00Z"), Workflow: "work"}
	w.create(spec)
	w.to("2026-01-02T00:00:00Z")
	w.wantStarted("x", "2026-01-01T02:30:00Z", "2026-01-01T03:30:00Z", "2026-01-01T04:30:00Z")
	if s := w.get("x"); s.Status != bide.StatusCompleted || s.Counts.Completed != 3 || !s.Next.IsZero() {
		t.Errorf("schedule = %+v, want completed with 3 runs", s)
	}
	w.checkLedgers()
	w.create(spec) // as it is
	w.to("2026-01-03T00:00:00Z")
	if got := w.started("x"); len(got) != 3 {
		t.Errorf("creating an ended schedule again started %v", got)
	}
}

func TestMissedTimesAreMadeUpAsTheSpecSays(t *testing.T) {
	for name, tc := range map[string]struct {
		overlap schedule.Overlap
		catchUp int
		back    string // when the pause or the downtime ends
		want    []string
		counts  schedule.Counts
	}{
		"none":          {"", 0, "05:30", nil, schedule.Counts{Missed: 5}},
		"just in time":  {"", 0, "05:04", []string{"05:00"}, schedule.Counts{Started: 1, Completed: 1, Missed: 4}},
		"the newest":    {"", 1, "05:30", []string{"05:00"}, schedule.Counts{Started: 1, Completed: 1, Missed: 4}},
		"some, in time": {"", 2, "05:05", []string{"03:00", "04:00", "05:00"}, schedule.Counts{Started: 3, Completed: 3, Missed: 2}},
		"all":           {"", 100, "03:30", []string{"01:00", "02:00", "03:00"}, schedule.Counts{Started: 3, Completed: 3}},
		"queue":         {schedule.Queue, 2, "05:30", []string{"04:00", "05:00"}, schedule.Counts{Started: 2, Completed: 2, Missed: 3}},
		"allow":         {schedule.Allow, 2, "05:30", []string{"04:00", "05:00"}, schedule.Counts{Started: 2, Missed: 3}},
		"cancel":        {schedule.Cancel, 3, "05:01", []string{"05:00"}, schedule.Counts{Started: 1, Completed: 1, Missed: 4}},
	} {
		for _, why := range []string{"pause", "downtime"} {
			t.Run(name+"/"+why, func(t *testing.T) {
				w := newWorld(t, "2026-01-01T00:10:00Z")
				w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "work", CatchUp: tc.catchUp, Overlap: tc.overlap})
				back := "2026-01-01T" + tc.back + ":00Z"
				if why == "pause" {
					w.to("2026-01-01T00:20:00Z")
					s := must[*schedule.Schedule](t)(schedule.Pause(ctx, w.Runtime, "x", bide.Command{Actor: "ann", Reason: "audit"}))
					if s.Status != bide.StatusPaused || s.Paused == nil || s.Paused.Actor != "ann" || s.Paused.Reason != "audit" {
						t.Errorf("a paused schedule = %+v, %+v", s, s.Paused)
					}
					w.to(back)
					must[*schedule.Schedule](t)(schedule.Unpause(ctx, w.Runtime, "x"))
				} else {
					w.down(back)
				}
				w.to(back)
				var want []string
				for _, hm := range tc.want {
					want = append(want, "2026-01-01T"+hm+":00Z at "+back)
				}
				w.wantStarted("x", want...)
				w.wantCounts("x", tc.counts)
				w.checkLedgers()
			})
		}
	}
}

func TestOverlap(t *testing.T) {
	const day = "2026-01-01T"
	for _, tc := range []struct {
		overlap schedule.Overlap
		queue   int
		want    []string // after an answer at 03:30 to the run of 01:00, and at 03:40 to the next
		counts  schedule.Counts
	}{
		{schedule.Skip, 0, []string{"01:00", "04:00"}, schedule.Counts{Started: 2, Completed: 1, Skipped: 2}},
		{schedule.Queue, 0, []string{"01:00", "03:00 at 03:30", "04:00"}, schedule.Counts{Started: 3, Completed: 2, Skipped: 1}},
		{schedule.Queue, 5, []string{"01:00", "02:00 at 03:30", "03:00 at 03:40"}, schedule.Counts{Started: 3, Completed: 2}},
		{schedule.Cancel, 0, []string{"01:00", "02:00", "03:00", "04:00"}, schedule.Counts{Started: 4, Completed: 1, Cancelled: 2}},
		{schedule.Allow, 0, []string{"01:00", "02:00", "03:00", "04:00"}, schedule.Counts{Started: 4}},
	} {
		t.Run(fmt.Sprintf("%s %d", tc.overlap, tc.queue), func(t *testing.T) {
			w := newWorld(t, day+"00:10:00Z")
			w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "ask", Overlap: tc.overlap, Queue: tc.queue})
			w.to(day + "03:30:00Z")
			w.answer("x")
			w.to(day + "03:40:00Z")
			if tc.overlap == schedule.Queue {
				w.answer("x")
			}
			w.to(day + "04:10:00Z")
			var want []string
			for _, s := range tc.want {
				s, late, found := strings.Cut(s, " at ")
				if s = day + s + ":00Z"; found {
					s += " at " + day + late + ":00Z"
				}
				want = append(want, s)
			}
			w.wantStarted("x", want...)
			w.wantCounts("x", tc.counts)
			if last := w.get("x").Last; last.Status != bide.StatusWaiting || last.RunID == "" {
				t.Errorf("the run at work = %+v", last)
			}
			w.checkLedgers()
		})
	}
}

func TestTheCancelledRunIsCancelled(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "ask", Overlap: schedule.Cancel})
	w.to("2026-01-01T01:10:00Z")
	first := w.get("x").Last.RunID
	w.to("2026-01-01T02:10:00Z")
	if run := must[*bide.Run](t)(w.Get(ctx, first)); run.Status != bide.StatusCancelled {
		t.Errorf("the first run is %s after the second started", run.Status)
	}
}

// What comes while a run is at work overlaps it; what comes after its end, but
// while the schedule is paused, is missed.
func TestAPauseDoesNotTurnMissedTimesIntoOverlap(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "ask", CatchUp: 1})
	w.to("2026-01-01T01:30:00Z")
	must[*schedule.Schedule](t)(schedule.Pause(ctx, w.Runtime, "x"))
	w.to("2026-01-01T02:30:00Z") // 02:00 overlaps
	w.answer("x")
	w.to("2026-01-01T05:30:00Z") // 03:00, 04:00 and 05:00 are missed
	must[*schedule.Schedule](t)(schedule.Unpause(ctx, w.Runtime, "x"))
	w.to("2026-01-01T05:30:00Z")
	w.wantStarted("x", "2026-01-01T01:00:00Z", "2026-01-01T05:00:00Z at 2026-01-01T05:30:00Z")
	w.wantCounts("x", schedule.Counts{Started: 2, Completed: 1, Skipped: 1, Missed: 2})
	w.checkLedgers()
}

func TestARunThatFailsOrCannotStartDoesNotEndTheSchedule(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "fail"})
	w.create(schedule.Spec{Name: "slow", Interval: hour, Workflow: "ask", RunTimeout: hour / 2})
	gone := target("gone", func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil })
	if err := w.Register(gone); err != nil {
		t.Fatal(err)
	}
	w.create(schedule.Spec{Name: "gone", Interval: hour, Workflow: "gone"})
	w.boot() // without it
	w.to("2026-01-01T02:40:00Z")
	for name, text := range map[string]string{"x": "no luck", "slow": "deadline", "gone": "not registered"} {
		w.wantCounts(name, schedule.Counts{Started: 2, Failed: 2})
		s := w.get(name)
		if s.Last.Status != bide.StatusFailed || !strings.Contains(s.Last.Error.Message, text) || (s.Last.RunID == "") != (name == "gone") {
			t.Errorf("last of %s = %+v, %v", name, s.Last, s.Last.Error)
		}
	}
	w.checkLedgers()
}

func TestJitterDelaysEachStartByTheSameEveryTime(t *testing.T) {
	var before []string
	for range 2 {
		w := newWorld(t, "2026-01-01T00:10:00Z")
		w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "work", Jitter: 10 * hour})
		w.to("2026-01-01T12:00:00Z")
		got := w.started("x")
		if before != nil && cmp.Diff(before, got) != "" {
			t.Errorf("started %v, then %v", before, got)
		}
		late := 0
		for _, s := range got {
			if for_, started, ok := strings.Cut(s, " at "); ok {
				late++
				if d := at(started).Sub(at(for_)); d < 0 || d >= time.Hour {
					t.Errorf("%s: delayed by %s", s, d)
				}
			}
		}
		if late < 8 || len(got) < 10 {
			t.Errorf("%d of %d starts were delayed: %v", late, len(got), got)
		}
		before = got
		w.checkLedgers()
	}
}

func TestAnUpdateAndATriggerAreTakenInOrder(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	spec := schedule.Spec{Name: "x", Interval: hour, Workflow: "work"}
	w.create(spec)
	w.to("2026-01-01T01:10:00Z")
	for range 2 { // the same command twice
		if err := schedule.Trigger(ctx, w.Runtime, "x", bide.Command{ID: "c", Actor: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	w.to("2026-01-01T01:20:00Z")
	if last := w.get("x").Last; !last.Triggered || last.By != "ann" {
		t.Errorf("last = %+v, want triggered by ann", last)
	}
	spec.Cron, spec.Interval = "*/20 * * * *", 0
	if err := schedule.Update(ctx, w.Runtime, spec); err != nil {
		t.Fatal(err)
	}
	w.to("2026-01-01T02:10:00Z")
	w.wantStarted("x", "2026-01-01T01:00:00Z", "2026-01-01T01:10:00Z", "2026-01-01T01:40:00Z", "2026-01-01T02:00:00Z")
	if s := must[*schedule.Schedule](t)(schedule.Create(ctx, w.Runtime, spec)); s.Spec.Cron != spec.Cron {
		t.Errorf("Create with the updated spec = %+v", s.Spec)
	}
	w.checkLedgers()
}

func TestAPausedScheduleKeepsItsOrders(t *testing.T) {
	for _, overlap := range []schedule.Overlap{schedule.Skip, schedule.Cancel} {
		w := newWorld(t, "2026-01-01T00:10:00Z")
		w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "work", Overlap: overlap})
		w.to("2026-01-01T00:20:00Z")
		must[*schedule.Schedule](t)(schedule.Pause(ctx, w.Runtime, "x"))
		w.to("2026-01-01T02:01:00Z")
		if err := schedule.Trigger(ctx, w.Runtime, "x"); err != nil {
			t.Fatal(err)
		}
		w.to("2026-01-01T02:02:00Z")
		w.wantStarted("x")
		must[*schedule.Schedule](t)(schedule.Unpause(ctx, w.Runtime, "x"))
		w.to("2026-01-01T02:03:00Z")
		w.wantStarted("x", "2026-01-01T02:00:00Z at 2026-01-01T02:02:00Z", "2026-01-01T02:01:00Z at 2026-01-01T02:02:00Z")
		w.wantCounts("x", schedule.Counts{Started: 2, Completed: 2, Missed: 1})
		w.checkLedgers()
	}
}

func TestAnOrderThatCannotBeCarriedOutIsRefused(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	s := w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "work"})
	for _, tc := range []struct {
		payload any
		want    string
	}{
		{map[string]any{"do": "update", "spec": map[string]any{"name": "y", "cron": "x", "workflow": "work"}}, "keeps its name"},
		{map[string]any{"do": 1}, "number"},
		{"what", "order"},
		{nil, "to update"},
	} {
		if err := w.Send(ctx, bide.Event{ScopeID: s.RunID, Name: schedule.EventName, Payload: tc.payload}); err != nil {
			t.Fatal(err)
		}
		w.to("2026-01-01T00:20:00Z")
		if got := w.get("x").Refused; !strings.Contains(got, tc.want) {
			t.Errorf("after %v: refused = %q, want %q in it", tc.payload, got, tc.want)
		}
	}
	w.to("2026-01-01T01:10:00Z")
	w.wantStarted("x", "2026-01-01T01:00:00Z")
	w.checkLedgers()
}

func TestAnOrderMayBeGivenByAnsweringTheWait(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	s := w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "work"})
	w.to("2026-01-01T00:20:00Z")
	wait := must[*bide.Run](t)(w.Get(ctx, s.RunID)).Waits[0]
	must[*bide.Run](t)(w.Resume(ctx, s.RunID, wait.ID, map[string]string{"do": "trigger"}))
	w.to("2026-01-01T00:30:00Z")
	w.wantStarted("x", "2026-01-01T00:20:00Z")
	w.checkLedgers()
}

// What a schedule remembers of a run is small, whatever the run said.
func TestALongErrorIsCut(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	long := target("long", func(*bide.Run) (bide.StepPlan, error) { return bide.Fail("%s", strings.Repeat("é", 100_000)), nil })
	if err := w.Register(long); err != nil {
		t.Fatal(err)
	}
	s := w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "long"})
	w.to("2026-01-01T01:10:00Z")
	if vars := must[*bide.Run](t)(w.Get(ctx, s.RunID)).Vars.String(); len(vars) > 2000 || !strings.Contains(vars, "éé…\"") {
		t.Errorf("the vars hold %d bytes: %.1000s", len(vars), vars)
	}
	w.checkLedgers()
}

// A look that fails takes the end of the run to be now, and changes nothing else.
func TestWithoutALookWhatCameIsTakenAsOverlap(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:10:00Z")
	w.create(schedule.Spec{Name: "x", Interval: hour, Workflow: "ask", RunTimeout: 2 * hour})
	w.to("2026-01-01T01:10:00Z")
	w.Runtime = must[*bide.Runtime](t)(bide.New(blind{w.store}, &bide.Options{Clock: w.clock}))
	if err := errors.Join(schedule.Register(w.Runtime), w.Register(targets...)); err != nil {
		t.Fatal(err)
	}
	w.to("2026-01-01T04:10:00Z")
	w.boot()
	w.wantStarted("x", "2026-01-01T01:00:00Z", "2026-01-01T04:00:00Z")
	w.wantCounts("x", schedule.Counts{Started: 2, Failed: 1, Skipped: 2})
	w.checkLedgers()
}

// blind is a store that cannot list runs.
type blind struct{ bide.Store }

func (blind) Runs(context.Context, bide.RunQuery) (*bide.RunPage, error) {
	return nil, errors.New("blind")
}

// A schedule's death at any commit, before or after it is durable, changes
// nothing about which runs it starts.
func TestACrashAtAnyCommitStartsOneRunPerTime(t *testing.T) {
	specs := map[string]schedule.Spec{
		"skip":     {Workflow: "work"},
		"failing":  {Workflow: "fail"},
		"cancel":   {Workflow: "ask", Overlap: schedule.Cancel},
		"allow":    {Workflow: "ask", Overlap: schedule.Allow},
		"catch up": {Workflow: "work", CatchUp: 2, Overlap: schedule.Queue},
	}
	for name, spec := range specs {
		spec.Name, spec.Interval = "x", hour
		t.Run(name, func(t *testing.T) {
			deaths := 0
			for n := 0; ; n++ {
				died := false
				for _, applied := range []bool{false, true} {
					w := newWorld(t, "2026-01-01T00:10:00Z")
					w.create(spec)
					if err := w.drive(); err != nil {
						t.Fatal(err)
					}
					w.fault.at, w.fault.applied = n, applied
					if name == "catch up" {
						w.down("2026-01-01T02:01:00Z")
					}
					for _, hm := range []string{"01:00", "02:00", "03:00"} {
						if now := at("2026-01-01T" + hm + ":00Z"); now.After(w.clock.Now()) {
							w.clock.Set(now)
						}
						err := w.drive()
						if died = died || err != nil; errors.Is(err, errDead) {
							w.boot()
							err = w.drive()
						}
						if err != nil {
							t.Fatal(err)
						}
					}
					w.to("2026-01-01T03:10:00Z")
					late := map[bool]string{true: " at 2026-01-01T02:01:00Z"}[name == "catch up"]
					w.wantStarted("x", "2026-01-01T01:00:00Z"+late, "2026-01-01T02:00:00Z"+late, "2026-01-01T03:00:00Z")
					w.checkLedgers()
				}
				if !died {
					break
				}
				deaths++
			}
			if deaths < 6 {
				t.Errorf("%d commits were tried", deaths)
			}
		})
	}
}

// A late turn costs what the first did, in steps, records and bytes of state.
func TestATurnCostsTheSameForever(t *testing.T) {
	w := newWorld(t, "2026-01-01T00:00:30Z")
	s := w.create(schedule.Spec{Name: "x", Cron: "* * * * *", Workflow: "work"})
	now := at("2026-01-01T00:00:30Z")
	after := func(turns int) (steps, records int64, vars int) {
		now = now.Add(time.Duration(turns) * time.Minute)
		w.to(now.Format(time.RFC3339))
		run := must[*bide.Run](t)(w.Get(ctx, s.RunID))
		return run.Step, run.Seq, len(run.Vars.String())
	}
	s0, r0, _ := after(10)
	s1, r1, v1 := after(100)
	_, _, _ = after(300)
	s2, r2, _ := after(10)
	s3, r3, v3 := after(100)
	if s1-s0 != 200 || s3-s2 != 200 || r1-r0 != r3-r2 {
		t.Errorf("100 turns are %d steps, %d records; 300 turns later %d, %d; want 200 steps", s1-s0, r1-r0, s3-s2, r3-r2)
	}
	if v3 > v1+10 {
		t.Errorf("the vars grew from %d to %d bytes", v1, v3)
	}
	if run := must[*bide.Run](t)(w.Get(ctx, s.RunID)); run.MaxSteps < 1e12 {
		t.Errorf("the schedule ends after %d steps", run.MaxSteps)
	}
	w.checkLedgers()
}
