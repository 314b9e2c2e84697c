package bide

import (
	"context"
	"fmt"
	"time"
)

// Origin is the record that a run was forked from.
type Origin struct {
	RunID string `json:"run_id"`
	Seq   int64  `json:"seq"`
	Head  Hash   `json:"head"` // hash of the record
}

// ForkOptions refines Fork. Nil means a fresh run without changes.
type ForkOptions struct {
	Command
	// RunID is the id of the new run. Defaults to one made from Command.ID, or else to Options.NewID.
	RunID string
	// Writes change the vars that the new run begins with.
	Writes []Write
	// Labels of the new run. Defaults to those of the origin.
	Labels map[string]string
}

// Fork starts a new run that goes on from a record of another one (K28), with
// the same workflow, vars and step. What had ended in that step stays; effects of it that had not
// end happen again, under idempotency keys of the new run: its questions are asked anew, its
// timers and children begin anew. ForkPreview tells which. Tick, or a worker, then moves the new run.
//
// It fails with ErrNotFound when there is no such run or record, ErrWrongStatus when the
// run had ended by that record in another way than by failing, ErrInvalidInput when a write does not apply,
// and ErrExists or ErrCommandReused when the id was used for something else. A fork of a failed run begins
// as Retry would go on.
func (rt *Runtime) Fork(ctx context.Context, runID string, seq int64, opts *ForkOptions) (*Run, error) {
	var o ForkOptions
	if opts != nil {
		o = *opts
	}
	if _, err := oneCommand([]Command{o.Command}); err != nil {
		return nil, err
	}
	d, err := rt.forked(ctx, runID, seq, &o)
	if err != nil {
		return nil, err
	}
	return rt.create(ctx, d.RunID, o.Command.cause(), func(m *machine) error {
		if m.run.Seq > 0 {
			return rt.sameFork(ctx, d)
		}
		if err := m.emit(KindRunForked, 0, "", d); err != nil {
			return err
		}
		if o.Command.ID != "" {
			m.command = &CommandRecord{ID: o.Command.ID, Fingerprint: fingerprint("fork", d.State), Seq: m.run.Seq}
		}
		return nil
	})
}

// forked is the first record of a fork.
func (rt *Runtime) forked(ctx context.Context, runID string, seq int64, o *ForkOptions) (*RunForked, error) {
	from, err := rt.StateAt(ctx, runID, seq)
	if err != nil {
		return nil, err
	}
	if err := from.usable("fork"); err != nil {
		return nil, err
	}
	if from.ContinuedAs != "" {
		return nil, Errorf(CodeWrongStatus, "run %s was continued as run %s by record %d; fork that one, or this one from an earlier record", runID, from.ContinuedAs, seq).onRun(runID)
	}
	if from.Status == StatusCompleted || from.Status == StatusCancelled {
		return nil, Errorf(CodeWrongStatus, "run %s was %s by record %d; fork it from an earlier one", runID, from.Status, seq).onRun(runID)
	}
	if err := from.Vars.checkAll(o.Writes); err != nil {
		return nil, Errorf(CodeInvalidInput, "the fork's vars cannot be changed: %w", err).onRun(runID)
	}
	d := &RunForked{RunID: o.RunID, Origin: Origin{runID, seq, from.Head}, Writes: o.Writes, Labels: o.Labels}
	switch {
	case d.RunID != "":
		if err := checkRunID(d.RunID); err != nil {
			return nil, err
		}
	case o.Command.ID != "":
		d.RunID = derivedID("command", o.Command.ID)
	default:
		d.RunID = rt.opts.NewID()
	}
	if _, err := encode(o.Labels); err != nil {
		return nil, Errorf(CodeInvalidInput, "the labels cannot be used: %w", err)
	}
	d.State, err = encodeOwn(from)
	return d, err
}

// sameFork checks that the run that is there is the fork that was asked for.
func (rt *Runtime) sameFork(ctx context.Context, d *RunForked) error {
	for rec, err := range rt.Ledger(ctx, d.RunID, 1) {
		if err != nil {
			return err
		}
		was, err := rec.Decode()
		if err != nil {
			return err
		}
		if f, ok := was.(*RunForked); ok && f.Origin == d.Origin {
			return nil
		}
		break
	}
	return Errorf(CodeExists, "run %s is there already and is no fork of run %s at record %d; choose another id", d.RunID, d.Origin.RunID, d.Origin.Seq).onRun(d.RunID)
}

// forked sets the state that a fork begins with.
func (r *Run) forked(rec *Record, d *RunForked) error {
	if err := decodeOwn(d.State, r); err != nil {
		return fmt.Errorf("the state of the origin: %w", err)
	}
	lasted := r.Deadline.Sub(r.CreatedAt)
	r.ID, r.Root, r.Origin, r.Key, r.Parent, r.Detached, r.Depth = d.RunID, d.RunID, d.Origin.RunID, "", "", false, 0
	r.Actor, r.CreatedAt, r.Paused, r.SetAside = rec.Actor, rec.At, nil, ""
	r.Seq, r.Head, r.WaitCount, r.Waits, r.Grants, r.Continues = 0, Hash{}, 0, nil, nil, ""
	if d.Labels != nil {
		r.Labels = d.Labels
	}
	if !r.Deadline.IsZero() {
		r.Deadline = rec.At.Add(lasted)
	}
	if r.Status == StatusFailed {
		r.retried(rec)
	}
	if err := r.Vars.apply(d.Writes...); err != nil {
		return err
	}
	for i := range r.Effects {
		e := &r.Effects[i]
		e.Key = effectKey(r.ID, r.Step, i)
		if e.Status.ended() {
			continue
		}
		e.Status, e.Attempt, e.Spent, e.Lost, e.Wait, e.StartedAt, e.Error, e.Answered = StatePending, 0, 0, 0, "", time.Time{}, nil, nil
		if e.Type == TypeFanOut {
			if err := r.fanOut(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// ForkEffect is an effect that a fork can make happen again.
type ForkEffect struct {
	Seq      int64    `json:"seq"` // of the record that planned it
	Step     int64    `json:"step"`
	Node     string   `json:"node"`
	Effect   int      `json:"effect"` // index in the step's plan
	Type     string   `json:"type"`
	Payload  JSON     `json:"payload,omitempty"`
	Delivery Delivery `json:"delivery,omitempty"`
	// Certain says that it belongs to the open step and happens again whatever the
	// vars; the others happen again if the fork decides as its origin did.
	Certain bool `json:"certain,omitempty"`
	// Unsafe says that it may have happened and its policy is not to be made twice.
	Unsafe bool `json:"unsafe,omitempty"`
}

// ForkPreview lists the effects that a fork from a record makes happen again:
// those of the step that is open there and had not ended, and those that the run began after it.
func (rt *Runtime) ForkPreview(ctx context.Context, runID string, seq int64) (out []ForkEffect, err error) {
	from, err := rt.StateAt(ctx, runID, seq)
	if err != nil {
		return nil, err
	}
	at := *from
	if at.Status == StatusFailed {
		at.retried(&Record{At: at.UpdatedAt})
	}
	for i, e := range at.Effects {
		if !e.Status.ended() {
			out = append(out, ForkEffect{Seq: seq, Step: from.Step, Node: from.Node, Effect: i, Type: e.Type, Payload: e.Payload, Delivery: e.Delivery,
				Certain: true, Unsafe: e.Attempt > 0 && e.Delivery.once()})
		}
	}
	moved := false // beyond the step of seq
	for rec, err := range rt.Ledger(ctx, runID, seq+1) {
		if err != nil {
			return nil, err
		}
		data, err := rec.Decode()
		if err != nil {
			return nil, err
		}
		switch d := data.(type) {
		case *StepPlanned:
			moved = true
			for i, e := range d.Plan.Effects {
				out = append(out, ForkEffect{Seq: rec.Seq, Step: rec.Step, Node: rec.Node, Effect: i, Type: e.Type, Payload: e.Payload,
					Delivery: e.Delivery, Unsafe: e.Delivery.once()})
			}
		case nil:
			if rec.Kind != KindRunRetried || moved {
				continue
			}
			moved = true
			for i, e := range from.Effects { // what had failed by seq was made again
				if e.Status == StateFailed {
					out = append(out, ForkEffect{Seq: rec.Seq, Step: from.Step, Node: from.Node, Effect: i, Type: e.Type, Payload: e.Payload,
						Delivery: e.Delivery, Unsafe: e.Delivery.once()})
				}
			}
		}
	}
	return out, nil
}
