package bide

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Tick moves a run on: it visits nodes, starts effects and waits for their
// handlers, until the run ends or is paused, only waits are left, or the budget of
// steps (Options.TickSteps) is used up: the status then is still running.
// One Tick at a time works on a run; another waits for it.
//
// Only one process may tick a run at a time: an effect announced by a Tick that
// no longer lives is in doubt (K8), and the next Tick deals with it.
//
// Tick fails with ErrNotFound, ErrUnknownWorkflow or the store's error. When
// ctx ends, it tells the handlers at work to stop, records what they did, and
// returns the run with ctx's error. A failed effect or node is not an error of
// Tick: look at Run.Status and Run.Error.
func (rt *Runtime) Tick(ctx context.Context, runID string) (*Run, error) {
	return rt.tick(ctx, runID, nil, drive{})
}

// TickClaimed is Tick for a worker that owns the run by a claim (K23). It fails
// with ErrFenced once another worker has claimed the run. After drain is closed
// it visits no further node: the effects at work end, and the run is left running.
// It fails with ErrLacking when nothing is left but what this runtime lacks a handler or a workflow for: the run is
// for others, and as if it had not been looked at.
func (rt *Runtime) TickClaimed(ctx context.Context, c Claim, drain <-chan struct{}) (*Run, error) {
	return rt.tick(ctx, c.RunID, nil, drive{fence: c.Fence, last: c.Last, drain: drain, stored: c.Stored})
}

// drive says on whose behalf a Tick is made.
type drive struct {
	fence  int64
	last   bool            // nobody else can drive it
	drain  <-chan struct{} // nil never ends it
	stored *Stored         // the run as it was claimed; nil when it is to be loaded
}

func (rt *Runtime) tick(ctx context.Context, runID string, start *startSpec, by drive) (*Run, error) {
	s := rt.open(runID)
	defer rt.release(s)
	select {
	case s.ticking <- struct{}{}:
		defer func() { <-s.ticking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return rt.newDriver(s, start, by).work(ctx, nil)
}

func (rt *Runtime) newDriver(s *session, start *startSpec, by drive) *driver {
	return &driver{rt: rt, s: s, start: start, drive: by, flights: map[attemptID]*flight{}, results: make(chan *result), alarm: make(chan struct{}, 1), budget: rt.opts.TickSteps}
}

// step is what one transition leaves to do.
type step struct {
	view  *Run        // after it
	start []attemptID // attempts that it announced
	used  int         // nodes visited
	more  bool        // more can be done at once
	left  *Failure    // what is lacking here for more
}

// advance moves the run of a machine as far as a budget of steps lets it.
func (st *step) advance(m *machine, live func(attemptID) bool, budget int) (err error) {
	st.start, st.used, st.more, err = m.advance(live, budget)
	st.left = m.left
	return err
}

// driver is one Tick at work.
type driver struct {
	rt    *Runtime
	s     *session
	start *startSpec
	drive
	budget  int
	flights map[attemptID]*flight
	results chan *result
	alarm   chan struct{} // the clock says that something is due
}

// flight is one attempt with a handler at work.
type flight struct {
	cancel   context.CancelCauseFunc
	deadline time.Time     // of the attempt; zero when there is none
	limit    time.Time     // when to go on without the handler; zero before it was told to stop
	why      error         // why it was told to stop
	gone     chan struct{} // closed when nobody waits for it any more
}

// work ticks until there is nothing to do; begun, when not nil, is a first step that was made already.
func (d *driver) work(ctx context.Context, begun *step) (*Run, error) {
	var ended []*result
	refresh := d.start == nil
	looked := int64(-1) // the record after which mail was last looked for
	for {
		st := begun
		if begun = nil; st == nil {
			var err error
			if st, err = d.step(ctx, ended, refresh); err != nil {
				d.abandon(err)
				return nil, err
			}
		}
		ended, refresh = nil, false
		d.settle(ctx, st.view)
		for _, id := range st.start {
			d.launch(ctx, st.view, id)
		}
		switch {
		case st.more && ctx.Err() == nil:
			refresh = st.view.ContinuedAs != "" // to hand over all that there is
			continue
		case len(d.flights) == 0 && ctx.Err() == nil && st.view.listens() && looked != st.view.Seq:
			// What was sent before the wait was there is found by looking again.
			looked, refresh = st.view.Seq, true
			continue
		case len(d.flights) == 0 && ctx.Err() == nil && st.left != nil:
			return st.view, fmt.Errorf("%w: %s", ErrLacking, st.left.Message)
		case len(d.flights) == 0:
			return st.view, context.Cause(ctx)
		}
		ended, refresh = d.await(ctx, st.view)
	}
}

// step makes one transition: it takes in what ended and moves the run on.
func (d *driver) step(ctx context.Context, ended []*result, refresh bool) (*step, error) {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	stopping := ctx.Err() != nil
	select {
	case <-d.drain:
		d.budget = 0
	default:
	}
	ctx = context.WithoutCancel(ctx) // what happened is recorded even when the caller has gone
	if d.start != nil {
		refresh = s.run != nil
		if s.run == nil {
			s.run = &Run{}
		}
	}
	if d.stored != nil {
		refresh = !s.adopt(d.stored)
		d.stored = nil
	}
	cause := Cause{}
	if d.start != nil {
		cause = d.start.cause
	}
	var st step
	err := s.transition(ctx, refresh, cause, func(m *machine) (err error) {
		if d.start != nil {
			if err := d.start.begin(ctx, d.rt, m); err != nil {
				return err
			}
			m.cause = Cause{}
		}
		m.fence, m.yields = d.fence, d.fence != 0 && !d.last
		if m.wf, err = d.rt.workflow(m.run.Workflow, m.run.Version); err != nil {
			return err
		}
		for _, res := range ended {
			if err := m.attemptEnded(res); err != nil {
				return err
			}
		}
		if st = (step{}); stopping {
			return nil
		}
		return st.advance(m, func(id attemptID) bool { return d.flights[id] != nil }, d.budget)
	})
	if err != nil {
		return nil, err
	}
	d.start = nil
	d.budget -= st.used
	select {
	case <-s.changed: // this transition's own news, or news that it has seen
	default:
	}
	st.view = s.run.view()
	return &st, nil
}

// launch starts the handler of an announced attempt.
func (d *driver) launch(ctx context.Context, r *Run, id attemptID) {
	e := &r.Effects[id.effect]
	now := d.rt.now()
	var deadline time.Time
	if e.AttemptTimeout > 0 {
		deadline = now.Add(time.Duration(e.AttemptTimeout))
	}
	if e.Timeout > 0 {
		if end := e.StartedAt.Add(time.Duration(e.Timeout)); deadline.IsZero() || end.Before(deadline) {
			deadline = end
		}
	}
	call := &Invocation{Run: r.ID, Workflow: r.Workflow, Node: r.Node, Step: id.step, Effect: id.effect, Type: e.Type, Payload: e.Payload,
		Key: e.Key, Attempt: id.attempt, Deadline: deadline, Session: r.Session, Labels: r.Labels,
		Answered: e.Answered, Grants: r.Grants, Vars: r.Vars, Last: e.Error}
	fctx, cancel := context.WithCancelCause(ctx)
	f := &flight{cancel: cancel, deadline: deadline, gone: make(chan struct{})}
	d.flights[id] = f
	d.rt.strays.Add(1)
	go func() {
		defer d.rt.strays.Done()
		defer cancel(nil)
		res := callHandler(fctx, d.rt.handler(e.Type), call)
		d.rt.opts.Large.offload(fctx, res)
		select {
		case d.results <- res:
		case <-f.gone:
			d.rt.recordLate(context.WithoutCancel(ctx), r.ID, res)
		}
	}()
}

// settle tells handlers to stop whose work is no longer wanted.
func (d *driver) settle(ctx context.Context, r *Run) {
	var why error
	switch {
	case r.Status.Final():
		why = ErrRunEnded
	case r.Status == StatusPaused:
		why = ErrRunPaused
	case ctx.Err() != nil:
		why = context.Cause(ctx)
	}
	now := d.rt.now()
	for _, f := range d.flights {
		switch {
		case f.why != nil:
		case why != nil:
			f.stop(why, now.Add(d.rt.opts.Grace))
		case !f.deadline.IsZero() && !now.Before(f.deadline):
			f.stop(ErrAttemptTimeout, now.Add(d.rt.opts.Grace))
		}
	}
}

func (f *flight) stop(why error, limit time.Time) {
	f.why, f.limit = why, limit
	f.cancel(why)
}

// await blocks until there is something to do, and returns the attempts that
// ended meanwhile and whether the store should be looked at.
func (d *driver) await(ctx context.Context, r *Run) (ended []*result, refresh bool) {
	now := d.rt.now()
	wake := now.Add(d.rt.opts.Poll)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(wake) {
			wake = t
		}
	}
	earlier(r.WakeAt)
	done := ctx.Done()
	for _, f := range d.flights {
		if f.why == nil {
			earlier(f.deadline)
			continue
		}
		earlier(f.limit)
		if ctx.Err() != nil {
			done = nil // it has been told
		}
	}
	stop := d.rt.opts.Clock.AfterFunc(max(wake.Sub(now), 0), func() {
		select {
		case d.alarm <- struct{}{}:
		default:
		}
	})
	defer stop()
	select {
	case res := <-d.results:
		ended = d.landed(ended, res)
	case <-d.s.changed:
	case <-done:
	case <-d.alarm:
		refresh = true
	}
	for {
		select {
		case res := <-d.results:
			ended = d.landed(ended, res)
			continue
		default:
		}
		return d.giveUp(ended), refresh
	}
}

func (d *driver) landed(ended []*result, res *result) []*result {
	delete(d.flights, res.id)
	return append(ended, res)
}

// giveUp goes on without handlers that did not stop in time.
func (d *driver) giveUp(ended []*result) []*result {
	now := d.rt.now()
	for id, f := range d.flights {
		if f.why == nil || now.Before(f.limit) {
			continue
		}
		delete(d.flights, id)
		close(f.gone)
		fail := &Failure{Code: FailureHandler, Message: fmt.Sprintf("%v; the handler did not stop within %s", f.why, d.rt.opts.Grace)}
		if errors.Is(f.why, ErrAttemptTimeout) {
			fail.Code = FailureTimeout
		}
		d.rt.opts.Logger.Warn("handler did not stop", "run", d.s.id, "step", id.step, "effect", id.effect, "attempt", id.attempt)
		if errors.Is(f.why, ErrRunEnded) {
			continue // there is nothing to say yet; its outcome is recorded when it comes
		}
		ended = append(ended, &result{id: id, fail: fail, interrupted: !errors.Is(f.why, ErrAttemptTimeout)})
	}
	return ended
}

// abandon ends a Tick whose store failed: handlers are told to stop, and what
// they do is recorded if the store is there again by then.
func (d *driver) abandon(why error) {
	for id, f := range d.flights {
		f.cancel(why)
		close(f.gone)
		delete(d.flights, id)
	}
}

// recordLate records the outcome of an attempt that its Tick went on without.
func (rt *Runtime) recordLate(ctx context.Context, runID string, res *result) {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transition(ctx, false, Cause{}, func(m *machine) error { return m.attemptEnded(res) })
	if err != nil {
		rt.opts.Logger.Error("record late outcome", "run", runID, "step", res.id.step, "effect", res.id.effect, "attempt", res.id.attempt, "err", err)
	}
}
