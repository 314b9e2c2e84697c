package bide

import (
	"context"
	"errors"
)

// Sealing is what a store offers that keeps the content of runs encrypted, as the
// one of package seal does. The runtime seals the data of a record before it is hashed, so
// that the chain is over what is stored and can be checked without a key. The store itself seals
// what else it keeps: waits, snapshots, mail and documents.
//
// Such a store gives records, wherever it gives them, as their Text: with the data beside
// what is sealed; or, when it lacks the key, as they are stored.
type Sealing interface {
	// NewSealer gives a run that is not there yet a data key of its own. The key is
	// durable when it returns.
	NewSealer(ctx context.Context, runID string) (Sealer, error)
	// Shred destroys the data key of a run in two steps: the first time it notes that
	// this is going to happen, who wants it and when; with done, it does it. Both may be repeated.
	// It fails with ErrWrongStatus when the run is not encrypted.
	Shred(ctx context.Context, runID string, by Cause, done bool) error
	// Stored is the store beneath, which gives everything as it is kept.
	Stored() Store
}

// Sealer seals what is recorded of one run.
type Sealer interface {
	// Seal encrypts the data of the record with a heading (Record.Heading). What it returns
	// can be opened in that record of that run alone.
	Seal(heading, data []byte) ([]byte, error)
}

// sealing is the runtime's store, if it is one that seals.
func (rt *Runtime) sealing() Sealing {
	s, _ := rt.store.(Sealing)
	return s
}

// sealFor returns what seals the data of a record, or nil when the run is not encrypted.
func (m *machine) sealFor(kind Kind, data any) (func(heading, data []byte) ([]byte, error), error) {
	if m.newSealer != nil && m.run.Seq == 0 {
		var err error
		switch d := data.(type) {
		case *RunStarted:
			m.sealer, err = m.newSealer(d.RunID)
		case *RunForked:
			m.sealer, err = m.newSealer(d.RunID)
		}
		if err != nil {
			return nil, err
		}
	}
	if m.sealer == nil || kind == KindRunShredded {
		return nil, nil
	}
	return m.sealer.Seal, nil
}

// parse reads a record as the store gives it.
func (rt *Runtime) parse(raw []byte) (Record, error) {
	rec, err := ParseRecord(raw)
	if err == nil {
		err = rt.genuine(&rec)
	}
	return rec, err
}

// genuine fails for a record that comes opened from a store that does not seal: it was changed there.
func (rt *Runtime) genuine(rec *Record) error {
	if len(rec.Sealed) > 0 && rec.Data != nil && rt.sealing() == nil {
		return Errorf(CodeCorrupt, "record %d has data beside what is sealed", rec.Seq)
	}
	return nil
}

// Shred destroys the content of an encrypted run that has ended, and of all below it,
// for good: their inputs, vars, results, answers and outputs can be read by nobody any more. What is
// not encrypted stays (see package seal), the hash chain stays whole, and a record says who
// did it, when and why. It fails with ErrWrongStatus, changing nothing, when one of them has not ended or
// is not encrypted. Cut off in the middle, it is done by calling it again.
//
// What the run gave to others is theirs: its parent, runs forked from it, exports and backups.
func (rt *Runtime) Shred(ctx context.Context, runID string, cmd ...Command) (*Run, error) {
	c, err := oneCommand(cmd)
	if err != nil {
		return nil, err
	}
	sealing := rt.sealing()
	if sealing == nil {
		return nil, Errorf(CodeWrongStatus, "run %s cannot be shredded: the store is not encrypted; delete the run instead", runID).onRun(runID)
	}
	root, err := rt.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	tree, err := rt.endedTree(ctx, root, "shred")
	if err != nil {
		return nil, err
	}
	cause := c.cause()
	cause.At = rt.now()
	for _, r := range tree { // all can be shredded, and all will be
		if err := sealing.Shred(ctx, r.ID, cause, false); err != nil {
			return nil, err
		}
	}
	for _, r := range tree {
		if err := rt.shred(ctx, r.ID, cause); err != nil {
			return nil, err
		}
		if err := sealing.Shred(ctx, r.ID, cause, true); err != nil {
			return nil, err
		}
	}
	return rt.Get(ctx, runID)
}

// shred records what is left of one run.
func (rt *Runtime) shred(ctx context.Context, runID string, cause Cause) error {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transition(ctx, true, cause, func(m *machine) error {
		r := m.run
		switch {
		case r.Shredded != nil:
			return nil
		case !r.Status.Final():
			return Errorf(CodeWrongStatus, "cannot shred run %s: it is %s; cancel it first", runID, r.Status).onRun(runID)
		}
		left := Run{RunInfo: r.RunInfo, Deadline: r.Deadline, MaxSteps: r.MaxSteps, Detached: r.Detached, Depth: r.Depth, WaitCount: r.WaitCount,
			Continues: r.Continues, ContinuedAs: r.ContinuedAs}
		if r.Error != nil {
			left.Error = &Failure{Code: r.Error.Code, Node: r.Error.Node, Step: r.Error.Step}
		}
		state, err := encodeOwn(left)
		if err != nil {
			return err
		}
		if err := m.here(KindRunShredded, &RunShredded{State: state}); err != nil {
			return err
		}
		m.sealer = nil
		s.bytes, s.snapAt = max(s.bytes, 2*len(state)+1024), 0 // a snapshot, so that nobody has to look for this record
		return nil
	})
}

// shredded sets the state that is left of a run.
func (r *Run) shredded(rec *Record, d *RunShredded) error {
	seq, head := r.Seq, r.Head
	*r = Run{}
	if err := decodeOwn(d.State, r); err != nil {
		return err
	}
	r.Seq, r.Head = seq, head
	r.Shredded = &Cause{Command: rec.Command, Actor: rec.Actor, Reason: rec.Reason, At: rec.At}
	return nil
}

// skip passes over a record that is sealed. A state is known again after run.shredded.
func (r *Run) skip(rec *Record) {
	if r.locked == nil {
		_, r.locked = rec.Decode()
	}
	r.Seq, r.Head = rec.Seq, rec.Hash
}

// readable is why the state of a run is not known, or nil.
func (r *Run) readable(runID string, why error) error {
	if r.locked == nil {
		return nil
	}
	if why == nil {
		why = r.locked
	}
	var e *Error
	if errors.As(why, &e) && e.Run == "" {
		return Errorf(e.Code, "run %s cannot be read: %w", runID, why).onRun(runID)
	}
	return why
}

// whyLocked says why a state could not be rebuilt.
func (rt *Runtime) whyLocked(ctx context.Context, runID string, err error) error {
	run, now := rt.Get(ctx, runID)
	if now != nil {
		return now
	}
	if now = run.usable("look into"); now != nil {
		return now
	}
	return err
}

// usable fails for a run whose content was destroyed.
func (r *Run) usable(verb string) error {
	if r.Shredded == nil {
		return nil
	}
	return Errorf(CodeShredded, "cannot %s run %s: its content was destroyed at %s", verb, r.ID, formatTime(r.Shredded.At)).onRun(r.ID)
}
