package bide

import (
	"context"
	"errors"
	"slices"
)

// Driver is what drives runs in this process: a worker. With one, a change that
// lets a run proceed also moves it on, in the same commit, which claims it for the
// driver: the run goes on at once, one commit and one load sooner than by Claims.Claim.
type Driver interface {
	// Reserve keeps a place for one more run and returns the owner to claim it
	// for, or false when there is none. It returns at once.
	Reserve() (owner string, ok bool)
	// Drive gets the run for a reserved place, to be driven by TickHandover; or
	// nil when there is nothing to drive, and the place is free again. It returns at once.
	Drive(*Handover)
}

// Handover is a run that a driver of this process is to go on with.
type Handover struct {
	Claim
	session *session // with its ticking token taken
	step    step
}

// DriveWith lets d drive what becomes runnable by this runtime's own commits,
// until it is called again; nil ends that.
func (rt *Runtime) DriveWith(d Driver) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.driver = d
}

// TickHandover is TickClaimed for a run that was handed over. It must be called once.
func (rt *Runtime) TickHandover(ctx context.Context, h *Handover, drain <-chan struct{}) (*Run, error) {
	defer rt.release(h.session)
	defer func() { <-h.session.ticking }()
	d := rt.newDriver(h.session, nil, drive{fence: h.Fence, drain: drain})
	d.budget -= h.step.used
	return d.work(ctx, &h.step)
}

// Proceed moves a waiting run on, if there is anything to do, and hands it
// over; it is for mail of which the caller has heard. It does nothing without a driver or for a
// run that is at work somewhere. It fails with the store's error.
func (rt *Runtime) Proceed(ctx context.Context, runID string) error {
	nothing := func(*machine) error { return nil }
	if err := rt.proceed(ctx, runID, nothing, nothing); !errors.Is(err, errBusy) {
		return err
	}
	return nil
}

// proceed moves a run on between two steps of the caller's. It fails with errBusy when it cannot here and now.
func (rt *Runtime) proceed(ctx context.Context, runID string, before, after func(*machine) error) (err error) {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := rt.reserve(s)
	if h == nil {
		return errBusy
	}
	defer func() { h.end(err) }()
	return s.transition(ctx, true, Cause{}, func(m *machine) error {
		h.clear()
		if err := before(m); err != nil {
			return err
		}
		if err := h.advance(m); err != nil {
			return err
		}
		return after(m)
	})
}

// errBusy says that a run is not moved on here and now.
var errBusy = errors.New("not now")

// deliver gives a message to the run that waits for it, which goes on in the
// same commit. It reports false when the message must go to the mailbox instead.
func (rt *Runtime) deliver(ctx context.Context, msg Message) (bool, error) {
	tries := 0
	err := rt.proceed(ctx, msg.To, func(m *machine) error {
		if m.run.ContinuedAs != "" {
			return errBusy
		}
		if err := m.run.receives(msg); err != nil {
			return err
		}
		waits := func(w Wait) bool { return w.Kind == WaitForEvent && keyMatches(w.Key, msg.Key) }
		if tries++; tries > 2 || len(m.mail) > 0 || !slices.ContainsFunc(m.run.Waits, waits) {
			return errBusy // its id may have been sent before, or others come first, or later
		}
		m.mail = []Message{msg}
		return nil
	}, func(m *machine) error {
		if !m.taken[msg.ID] {
			return errBusy
		}
		m.send = append(m.send, msg)
		return nil
	})
	if errors.Is(err, errBusy) {
		return false, nil
	}
	return err == nil, err
}

// handover moves a run on within somebody else's transition. A nil one does nothing.
type handover struct {
	rt     *Runtime
	s      *session
	driver Driver
	owner  string
	step   step
	fence  int64 // of the claim that the commit makes; 0 for none
}

// reserve prepares a handover, or returns nil when nobody here could drive the
// run now. s.mu must be held. What it returns must be ended.
func (rt *Runtime) reserve(s *session) *handover {
	rt.mu.Lock()
	d := rt.driver
	rt.mu.Unlock()
	if d == nil {
		return nil
	}
	select {
	case s.ticking <- struct{}{}:
	default: // a tick is at work, and hears of every change
		return nil
	}
	owner, ok := d.Reserve()
	if !ok {
		<-s.ticking
		return nil
	}
	return &handover{rt: rt, s: s, driver: d, owner: owner}
}

// clear forgets a transition that was not committed.
func (h *handover) clear() {
	if h != nil {
		h.step, h.fence = step{}, 0
	}
}

// advance moves the run of a machine on, and lets its commit claim it when
// that leaves it running. A run that somebody may be at work on is left alone.
func (h *handover) advance(m *machine) error {
	if h == nil {
		return nil
	}
	if m.was == StatusRunning || m.run.Status == StatusPaused || m.run.Status.Final() || m.run.busy() {
		return nil
	}
	if m.wf = h.rt.find(m.run.Workflow, m.run.Version); m.wf == nil {
		return nil
	}
	m.cause, m.yields = Cause{}, true
	if err := h.step.advance(m, func(attemptID) bool { return false }, h.rt.opts.TickSteps); err != nil {
		return err
	}
	if m.run.Status == StatusRunning {
		h.fence = h.s.fence + 1
		m.owner, m.claimed = h.owner, h.fence
	}
	return nil
}

// end gives the run to the driver if the transition claimed it, and the place
// back if not. s.mu must be held.
func (h *handover) end(err error) {
	switch {
	case h == nil:
	case err != nil || h.fence == 0:
		<-h.s.ticking
		h.driver.Drive(nil)
	default:
		h.step.view = h.s.run.view()
		h.driver.Drive(&Handover{Claim: Claim{RunID: h.s.id, Fence: h.fence}, session: h.rt.open(h.s.id), step: h.step})
	}
}
