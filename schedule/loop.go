package schedule

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/bide-dev/bide"
)

// Workflow and Version name the workflow whose runs are the schedules.
const (
	Workflow = "bide.schedule"
	Version  = "1"
)

// EventName is the event by which a schedule's run is told to do something at once.
const EventName = "bide.schedule"

// typeLook is the effect that looks at the run which a schedule started last.
const typeLook = "bide.schedule.look"

// Firing is one start of a run by a schedule.
type Firing struct {
	// Time is what the run is for, and StartedAt when it was started.
	Time      time.Time `json:"time"`
	StartedAt time.Time `json:"started_at"`
	// By is who triggered it; Triggered says that it was not the clock.
	Triggered bool   `json:"triggered,omitempty"`
	By        string `json:"by,omitempty"`
	// RunID is empty when no run could be started, and in a ledger as long as it is not known.
	RunID  string      `json:"run_id,omitempty"`
	Status bide.Status `json:"status"`
	// Error is why the run failed or could not be started; a long message is cut.
	Error *bide.Failure `json:"error,omitempty"`
}

// Counts is what became of the times of a schedule. With overlap allow, how the runs ended is not counted.
type Counts struct {
	Started   int64 `json:"started"` // of which:
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"` // those that could not be started included
	Cancelled int64 `json:"cancelled"`
	Skipped   int64 `json:"skipped"` // times left out because a run was at work
	Missed    int64 `json:"missed"`  // times that could not be acted on and were not made up
}

// state is what a schedule remembers: its size does not grow with its age.
type state struct {
	// Cursor is the time up to which every time was counted, started or put into the backlog.
	Cursor  time.Time   `json:"cursor"`
	Backlog []time.Time `json:"backlog,omitempty"` // to be started, oldest first
	Last    *Firing     `json:"last,omitempty"`
	Counts  Counts      `json:"counts"`
	// Refused is why the last command was not carried out.
	Refused string `json:"refused,omitempty"`
}

// order is the payload of the event.
type order struct {
	Do     string `json:"do"`             // update or trigger
	Spec   *Spec  `json:"spec,omitempty"` // with update
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// sight is the result of a look.
type sight struct {
	RunID   string      `json:"run_id,omitempty"`
	Status  bide.Status `json:"status,omitempty"`
	EndedAt time.Time   `json:"ended_at,omitzero"`
}

// workflow is the loop of every schedule. A turn is next → ended, two steps;
// looked comes between when a run failed or a time came while it was at work.
func workflow() bide.Workflow {
	onward := []string{"next", "steer", "ended", bide.End}
	return bide.Workflow{
		ID: Workflow, Version: Version, Entry: "next",
		Nodes: bide.Nodes{"next": node((*turn).next), "steer": node((*turn).steer), "ended": node((*turn).ended), "looked": node((*turn).looked)},
		Exits: map[string][]string{"next": onward, "steer": onward, "ended": append(onward, "looked"), "looked": onward},
	}
}

// turn is one visit of a node.
type turn struct {
	run  *bide.Run
	spec Spec
	tt   *timetable
	state
}

func node(decide func(*turn) (bide.StepPlan, error)) bide.NodeFunc {
	return func(r *bide.Run) (bide.StepPlan, error) {
		t, err := open(r)
		if err != nil {
			return bide.StepPlan{}, err
		}
		return decide(t)
	}
}

// open reads what a schedule's run holds: the spec that is in force and the state.
func open(r *bide.Run) (*turn, error) {
	path := "input"
	if r.Vars.Has("spec") {
		path = "spec" // it was updated
	}
	spec, err := bide.Get[Spec](r.Vars, path)
	if err != nil {
		return nil, err
	}
	t := &turn{run: r, spec: spec}
	var faults []bide.Fault
	if t.tt, faults = t.spec.compile(); len(faults) > 0 {
		return nil, t.spec.refused(faults)
	}
	t.state, err = bide.Get[state](r.Vars, "state")
	if t.Cursor.IsZero() {
		t.Cursor = r.CreatedAt
	}
	return t, err
}

// next starts the first of the backlog, or sleeps until the next time.
func (t *turn) next() (bide.StepPlan, error) {
	t.account()
	if len(t.Backlog) > 0 {
		first := t.Backlog[0]
		t.Backlog = t.Backlog[1:]
		return t.start(&Firing{Time: first}), nil
	}
	return t.sleep(), nil
}

// account takes in the times that came: into the backlog, or as missed.
func (t *turn) account() {
	now := t.run.Now()
	n, newest := t.tt.between(t.Cursor, now, t.spec.CatchUp+1)
	if n == 0 {
		return
	}
	last := newest[len(newest)-1]
	take := t.spec.CatchUp
	if now.Sub(t.tt.due(last)) <= t.spec.grace() {
		take++
	}
	if t.spec.overlap() == Cancel {
		take = min(take, 1) // the next would cancel it at once
	}
	take = min(take, len(newest))
	t.Counts.Missed += n - int64(take)
	t.Counts.Missed += t.put(newest[len(newest)-take:], max(t.spec.CatchUp+1, t.spec.queue()))
	t.Cursor = last.UTC()
}

// put adds times to the backlog, of which it keeps the newest, and returns how many it dropped.
func (t *turn) put(times []time.Time, keep int) (dropped int64) {
	for _, at := range times {
		t.Backlog = append(t.Backlog, at.UTC())
	}
	drop := max(len(t.Backlog)-keep, 0)
	t.Backlog = t.Backlog[drop:]
	return int64(drop)
}

// sleep waits for the next time, or for an order.
func (t *turn) sleep() bide.StepPlan {
	next, ok := t.tt.next(t.Cursor)
	if !ok {
		return t.keep(bide.Complete(t.Counts))
	}
	wait := &bide.EventOptions{Timeout: bide.Duration(t.tt.due(next).Sub(t.run.Now()))}
	return t.keep(bide.Do(bide.WaitEvent(EventName, wait).As("order")).Then("steer").OnTimeout("next"))
}

// start starts a run, and waits for its end unless runs may overlap.
func (t *turn) start(f *Firing) bide.StepPlan {
	now, s := t.run.Now(), &t.spec
	f.StartedAt, f.Status = now, bide.StatusRunning
	t.Last = f
	t.Counts.Started++
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	labels[LabelName], labels[LabelTime] = s.Name, timeText(f.Time)
	child := bide.StartRun(s.Workflow, s.Input, &bide.ChildOptions{
		Version: s.Version, Detached: s.overlap() == Allow, Session: s.Session, Labels: labels, Timeout: s.RunTimeout,
	}).As("child")
	if s.overlap() == Cancel {
		if next, ok := t.tt.next(t.Cursor); ok {
			child = child.WithTimeout(t.tt.due(next).Sub(now))
		}
	}
	return t.keep(bide.Do(child).Then("ended").OnError("ended").OnTimeout("ended"))
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// keep writes the state with the plan, and takes away what was read.
func (t *turn) keep(p bide.StepPlan) bide.StepPlan {
	for _, path := range []string{"order", "child", "sight"} {
		if t.run.Vars.Has(path) {
			p = p.Delete(path)
		}
	}
	return p.Set("state", t.state)
}

// ended takes in what became of the run that was started.
func (t *turn) ended() (bide.StepPlan, error) {
	child, err := bide.Get[bide.ChildResult](t.run.Vars, "child")
	if err != nil {
		return bide.StepPlan{}, err
	}
	f, failure := t.Last, t.run.Caught
	f.RunID, f.Status = child.RunID, child.Status
	unknown := false // which run it was
	switch {
	case failure == nil && child.Status == bide.StatusCompleted:
		t.Counts.Completed++
	case failure == nil: // detached
	case failure.Code == bide.FailureChildCancelled, failure.Code == bide.FailureTimeout:
		f.Status, unknown = bide.StatusCancelled, true
		t.Counts.Cancelled++
	default:
		f.Status, unknown = bide.StatusFailed, failure.Code == bide.FailureChild
		f.Error = &bide.Failure{Code: failure.Code, Message: cut(failure.Message, 500)}
		t.Counts.Failed++
	}
	overlapped := int64(0)
	if o := t.spec.overlap(); o == Skip || o == Queue {
		overlapped, _ = t.tt.between(t.Cursor, t.run.Now(), 1)
	}
	if !unknown && overlapped == 0 {
		return t.next()
	}
	look := bide.Call(typeLook, timeText(f.Time)).As("sight").WithRetry(bide.RetryPolicy{Attempts: 5})
	return t.keep(bide.Do(look).Then("looked").OnError("looked")), nil
}

// looked acts on the times that came while the run was at work; those that
// came after its end were missed, and are next's.
func (t *turn) looked() (bide.StepPlan, error) {
	seen, err := bide.Get[sight](t.run.Vars, "sight") // empty when looking failed
	if err != nil {
		return bide.StepPlan{}, err
	}
	if seen.RunID != "" {
		t.Last.RunID = seen.RunID
	}
	until := t.run.Now()
	if !seen.EndedAt.IsZero() {
		until = seen.EndedAt
	}
	keep := 0
	switch t.spec.overlap() {
	case Queue:
		keep = t.spec.queue()
	case Cancel, Allow:
		return t.next()
	}
	if n, newest := t.tt.between(t.Cursor, until, keep+1); n > 0 {
		t.Cursor = newest[len(newest)-1].UTC()
		newest = newest[max(len(newest)-keep, 0):]
		t.Counts.Skipped += n - int64(len(newest))
		t.Counts.Skipped += t.put(newest, max(t.spec.CatchUp+1, keep))
	}
	return t.next()
}

// steer carries out an order.
func (t *turn) steer() (bide.StepPlan, error) {
	event, err := bide.Get[bide.ReceivedEvent](t.run.Vars, "order")
	if err != nil {
		return bide.StepPlan{}, err
	}
	o, err := bide.Get[order](t.run.Vars, "order.payload")
	switch {
	case err != nil:
		t.Refused = cut(err.Error(), 500)
	case o.Do == "update" && o.Spec != nil:
		return t.update(o.Spec, event.At)
	case o.Do != "trigger":
		t.Refused = "an order is to update, with a spec, or to trigger"
	default:
		t.Refused = ""
		t.account()
		at := event.At
		if at.IsZero() { // somebody answered the wait by hand
			at = t.run.Now()
		}
		return t.start(&Firing{Time: at, Triggered: true, By: o.Actor}), nil
	}
	return t.next()
}

// update puts another spec in force, from the time of the order on.
func (t *turn) update(spec *Spec, at time.Time) (bide.StepPlan, error) {
	tt, faults := spec.compile()
	if spec.Name != t.spec.Name {
		faults = append(faults, bide.Fault{Path: "name", Message: "a schedule keeps its name"})
	}
	if len(faults) > 0 {
		t.Refused = cut(spec.refused(faults).Error(), 500)
		return t.next()
	}
	t.Refused = ""
	t.spec, t.tt = *spec, tt
	if at.After(t.Cursor) {
		t.Cursor = at
	}
	plan, err := t.next()
	return plan.Set("spec", spec), err
}

// look finds the run that a schedule started for a time, if it was the last.
func look(rt *bide.Runtime) bide.Handler {
	return func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
		page, err := rt.Runs(ctx, bide.RunQuery{Parent: call.Run, Limit: 1})
		if err != nil {
			return bide.Outcome{}, err
		}
		for _, r := range page.Runs {
			if `"`+r.Labels[LabelTime]+`"` == string(call.Payload) {
				return bide.Completed(sight{RunID: r.ID, Status: r.Status, EndedAt: r.EndedAt}), nil
			}
		}
		return bide.Outcome{}, bide.Permanent(errors.New("there is no run for " + string(call.Payload)))
	}
}

// cut shortens a text to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
