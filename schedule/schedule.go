package schedule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/bide-dev/bide"
)

// Schedule is a schedule as it stands.
type Schedule struct {
	// Spec is the spec in force.
	Spec Spec `json:"spec"`
	// RunID is the run that the schedule is. Status is that run's: waiting or running while it lives, paused,
	// completed after its last time, failed when it cannot go on.
	RunID     string      `json:"run_id"`
	Status    bide.Status `json:"status"`
	CreatedAt time.Time   `json:"created_at"`
	// Paused says who paused it, when and why; nil when it is not paused.
	Paused *bide.Cause `json:"paused,omitempty"`
	// Last is the last start, and what became of the run as far as is known now.
	Last *Firing `json:"last,omitempty"`
	// Next is the first time that is not dealt with, and Due when its run is to start: after
	// its jitter. Both are in the past when the schedule is paused, waits for a run
	// or for a worker; zero when no time is left.
	Next time.Time `json:"next,omitzero"`
	Due  time.Time `json:"due,omitzero"`
	// Backlog are times to be started before that, oldest first.
	Backlog []time.Time `json:"backlog,omitempty"`
	Counts  Counts      `json:"counts"`
	// Refused is why the last order (Update, Trigger) was not carried out.
	Refused string        `json:"refused,omitempty"`
	Error   *bide.Failure `json:"error,omitempty"` // why Status is failed
}

// maxSteps is how many steps a schedule may make; at two or three a turn, one a
// second, it lasts for millions of years.
const maxSteps = 1 << 50

// labelGeneration counts the schedules that had a name, the deleted ones included.
const labelGeneration = "schedule_generation"

// Register makes schedules known to a runtime: call it once, before workers run.
// The workflows that schedules start must be registered with the same runtimes. It panics when called twice.
func Register(rt *bide.Runtime) error {
	rt.Handle(typeLook, look(rt))
	return rt.Register(workflow())
}

// Create makes a schedule, or returns the one that has the name when its spec
// is the same. It fails with ErrInvalidInput, listing every fault, when the spec cannot be used or
// its workflow is not registered with rt, and with ErrKeyReused when a live schedule of the
// name has another spec. The name of a deleted or ended schedule can be used again.
func Create(ctx context.Context, rt *bide.Runtime, spec Spec, cmd ...bide.Command) (*Schedule, error) {
	spec = spec.normal()
	if err := check(rt, &spec); err != nil {
		return nil, err
	}
	c, err := oneCommand(cmd)
	if err != nil {
		return nil, err
	}
	past, err := generations(ctx, rt, spec.Name)
	if err != nil {
		return nil, err
	}
	number := int64(1)
	if len(past) > 0 {
		s, err := read(ctx, rt, past[0].ID)
		if err != nil {
			return nil, err
		}
		same := s.Spec.same(spec)
		if same && s.Status == bide.StatusCancelled && c.ID != "" {
			same, err = beganWith(ctx, rt, s.RunID, c.ID) // sent again
		} else {
			same = same && s.Status != bide.StatusCancelled
		}
		if same || err != nil {
			return s, err
		}
		if !s.Status.Final() {
			return nil, taken(s.RunID, spec.Name)
		}
		number = generation(past[0]) + 1
	}
	gen := strconv.FormatInt(number, 10)
	run, err := rt.Start(ctx, workflow(), spec, &bide.StartOptions{
		Command: c, RunID: runID(spec.Name, gen), Key: spec.Name, Session: session(spec.Name), MaxSteps: maxSteps,
		Labels: map[string]string{LabelName: spec.Name, labelGeneration: gen},
	})
	if errors.Is(err, bide.ErrExists) { // somebody else was first
		return nil, taken(runID(spec.Name, gen), spec.Name)
	}
	if err != nil {
		return nil, err
	}
	return view(ctx, rt, run)
}

func taken(runID, name string) error {
	return &bide.Error{Code: bide.CodeKeyReused, Run: runID,
		Message: fmt.Sprintf("schedule %q exists with another spec; Update it, delete it first, or choose another name", name)}
}

// check lists every fault of a spec for a runtime.
func check(rt *bide.Runtime, s *Spec) error {
	_, faults := s.compile()
	known := rt.Workflows()
	if !slices.Contains(known, bide.WorkflowVersion{ID: Workflow, Version: Version}) {
		return bide.Errorf(bide.CodeUnknownWorkflow, "schedules are not registered with this runtime; call schedule.Register first")
	}
	if checkName(s.Workflow) == "" && !slices.ContainsFunc(known, func(w bide.WorkflowVersion) bool {
		return w.ID == s.Workflow && (s.Version == "" || s.Version == w.Version)
	}) {
		faults = append(faults, bide.Fault{Path: "workflow", Message: fmt.Sprintf("%q version %q is not registered with this runtime", s.Workflow, s.Version)})
	}
	if len(faults) > 0 {
		return s.refused(faults)
	}
	return nil
}

func oneCommand(cmd []bide.Command) (c bide.Command, err error) {
	if len(cmd) > 1 {
		return c, bide.Errorf(bide.CodeInvalidInput, "%d commands were given; a change has one", len(cmd))
	}
	if len(cmd) == 1 {
		c = cmd[0]
	}
	return c, nil
}

// session is the session of the runs that are the schedules of a name, by which they are found.
func session(name string) string { return "schedule." + name }

// runID is the id of the run of one generation of a name: two that create it at once create one.
func runID(name, gen string) string {
	sum := sha256.Sum256([]byte(name + "\x00" + gen))
	return "schedule-" + hex.EncodeToString(sum[:16])
}

func generation(i bide.RunInfo) int64 {
	n, err := strconv.ParseInt(i.Labels[labelGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// generations lists the last schedules that had a name, newest first.
func generations(ctx context.Context, rt *bide.Runtime, name string) ([]bide.RunInfo, error) {
	page, err := rt.Runs(ctx, bide.RunQuery{Workflow: Workflow, Session: session(name)})
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(page.Runs, func(i bide.RunInfo) bool { return generation(i) == 0 })
	slices.SortStableFunc(own, func(a, b bide.RunInfo) int { return int(generation(b) - generation(a)) })
	return own, nil
}

// beganWith reports whether a run was started by a command.
func beganWith(ctx context.Context, rt *bide.Runtime, runID, command string) (bool, error) {
	for rec, err := range rt.Ledger(ctx, runID, 1) {
		return rec.Command == command, err
	}
	return false, nil
}

// current finds the schedule of a name, or fails with ErrNotFound.
func current(ctx context.Context, rt *bide.Runtime, name string) (bide.RunInfo, error) {
	past, err := generations(ctx, rt, name)
	if err != nil {
		return bide.RunInfo{}, err
	}
	if len(past) == 0 || past[0].Status == bide.StatusCancelled {
		return bide.RunInfo{}, bide.Errorf(bide.CodeNotFound, "there is no schedule %q", name)
	}
	return past[0], nil
}

// Get returns a schedule, or ErrNotFound when there is none of the name or it was deleted.
func Get(ctx context.Context, rt *bide.Runtime, name string) (*Schedule, error) {
	info, err := current(ctx, rt, name)
	if err != nil {
		return nil, err
	}
	return read(ctx, rt, info.ID)
}

func read(ctx context.Context, rt *bide.Runtime, runID string) (*Schedule, error) {
	run, err := rt.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	return view(ctx, rt, run)
}

// view makes the schedule of its run.
func view(ctx context.Context, rt *bide.Runtime, run *bide.Run) (*Schedule, error) {
	t, err := open(run)
	if err != nil {
		return nil, fmt.Errorf("run %s is not a schedule: %w", run.ID, err)
	}
	s := &Schedule{Spec: t.spec, RunID: run.ID, Status: run.Status, CreatedAt: run.CreatedAt, Paused: run.Paused,
		Last: t.Last, Backlog: t.Backlog, Counts: t.Counts, Refused: t.Refused, Error: run.Error}
	if next, ok := t.tt.next(t.Cursor); ok && !run.Status.Final() {
		s.Next, s.Due = next.In(t.tt.loc), t.tt.due(next).In(t.tt.loc)
	}
	if s.Last == nil || s.Last.Status != bide.StatusRunning {
		return s, nil
	}
	for _, w := range run.Waits {
		if id, ok := childOf(w); ok {
			s.Last.RunID = id
		}
	}
	if s.Last.RunID == "" {
		return s, nil
	}
	child, err := rt.Get(ctx, s.Last.RunID)
	switch {
	case err == nil:
		s.Last.Status, s.Last.Error = child.Status, child.Error
	case !errors.Is(err, bide.ErrNotFound): // else it was removed
		return nil, err
	}
	return s, nil
}

// childOf is the run that a wait waits for, if it is one for a child.
func childOf(w bide.Wait) (runID string, ok bool) {
	const prefix = "run:"
	if w.Kind != bide.WaitChild || len(w.Key) < len(prefix) {
		return "", false
	}
	return w.Key[len(prefix):], true
}

// ListOptions selects schedules. Nil means the first page of all.
type ListOptions struct {
	Limit  int    // at most this many. Defaults to 100, at most 1000.
	Cursor string // from Page.Next
}

// Page is one page of schedules.
type Page struct {
	Schedules []Schedule `json:"schedules"`
	Next      string     `json:"next,omitempty"` // cursor of the next page; empty at the end
}

// List returns the schedules that were not deleted, newest first. A page may hold
// fewer than the limit and still not be the last.
func List(ctx context.Context, rt *bide.Runtime, opts *ListOptions) (*Page, error) {
	if opts == nil {
		opts = &ListOptions{}
	}
	runs, err := rt.Runs(ctx, bide.RunQuery{Workflow: Workflow, Limit: opts.Limit, Cursor: opts.Cursor})
	if err != nil {
		return nil, err
	}
	page := &Page{Next: runs.Next}
	for _, info := range runs.Runs {
		if info.Status == bide.StatusCancelled || generation(info) == 0 {
			continue
		}
		s, err := read(ctx, rt, info.ID)
		if err != nil {
			return nil, err
		}
		page.Schedules = append(page.Schedules, *s)
	}
	return page, nil
}

// Delete ends a schedule by cancelling its run. A run that it waits for is
// cancelled with it; those started with overlap allow go on. It fails with
// ErrNotFound, and with ErrWrongStatus when the schedule has ended by itself.
func Delete(ctx context.Context, rt *bide.Runtime, name string, cmd ...bide.Command) error {
	_, err := change(ctx, rt, name, rt.Cancel, cmd)
	return err
}

// Pause keeps a schedule from starting runs; one that is at work goes on. What
// comes due meanwhile is missed (Spec.CatchUp). It fails with ErrNotFound or ErrWrongStatus.
func Pause(ctx context.Context, rt *bide.Runtime, name string, cmd ...bide.Command) (*Schedule, error) {
	return change(ctx, rt, name, rt.Pause, cmd)
}

// Unpause lets a paused schedule go on. It fails with ErrNotFound or ErrWrongStatus.
func Unpause(ctx context.Context, rt *bide.Runtime, name string, cmd ...bide.Command) (*Schedule, error) {
	return change(ctx, rt, name, rt.Unpause, cmd)
}

type verb func(ctx context.Context, runID string, cmd ...bide.Command) (*bide.Run, error)

// change applies a verb of the runtime to the newest schedule of a name. A
// command that was carried out on the one before is not carried out again.
func change(ctx context.Context, rt *bide.Runtime, name string, do verb, cmd []bide.Command) (*Schedule, error) {
	c, err := oneCommand(cmd)
	if err != nil {
		return nil, err
	}
	past, err := generations(ctx, rt, name)
	if err != nil {
		return nil, err
	}
	if c.ID != "" {
		for _, old := range past {
			if old.Status != bide.StatusCancelled {
				continue
			}
			// The verbs do nothing to a cancelled run but give the result of a command sent again.
			if run, err := do(ctx, old.ID, c); err == nil || !errors.Is(err, bide.ErrWrongStatus) {
				return viewed(ctx, rt, run, err)
			}
		}
	}
	if len(past) == 0 || past[0].Status == bide.StatusCancelled {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no schedule %q", name)
	}
	run, err := do(ctx, past[0].ID, c)
	return viewed(ctx, rt, run, err)
}

func viewed(ctx context.Context, rt *bide.Runtime, run *bide.Run, err error) (*Schedule, error) {
	if err != nil {
		return nil, err
	}
	return view(ctx, rt, run)
}

// Update gives a live schedule another spec of the same name. It is an order: the
// schedule takes it from its mailbox, when it is not paused and waits for no run, and
// then goes by the new spec from the time of the order on; until then, Get shows the old one. It
// fails as Create does, and with ErrNotFound.
func Update(ctx context.Context, rt *bide.Runtime, spec Spec, cmd ...bide.Command) error {
	spec = spec.normal()
	if err := check(rt, &spec); err != nil {
		return err
	}
	return send(ctx, rt, spec.Name, order{Do: "update", Spec: &spec}, cmd)
}

// Trigger starts a run now, for the time of the call, besides those by the clock. It
// is an order like Update: with a run at work, or paused, the schedule starts it afterwards.
func Trigger(ctx context.Context, rt *bide.Runtime, name string, cmd ...bide.Command) error {
	return send(ctx, rt, name, order{Do: "trigger"}, cmd)
}

func send(ctx context.Context, rt *bide.Runtime, name string, o order, cmd []bide.Command) error {
	c, err := oneCommand(cmd)
	if err != nil {
		return err
	}
	info, err := current(ctx, rt, name)
	if err != nil {
		return err
	}
	o.Actor, o.Reason = c.Actor, c.Reason
	id := ""
	if c.ID != "" {
		id = o.Do + "/" + c.ID
	}
	return rt.Send(ctx, bide.Event{ID: id, ScopeID: info.ID, Name: EventName, Payload: o})
}
