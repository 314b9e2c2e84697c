package bide

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
)

// StateAt rebuilds a run as it was after record seq (K28). It fails with
// ErrNotFound when there is no such run or record.
func (rt *Runtime) StateAt(ctx context.Context, runID string, seq int64) (*Run, error) {
	if seq < 1 {
		return nil, Errorf(CodeInvalidInput, "record %d: records are numbered from 1", seq).onRun(runID)
	}
	r := &Run{}
	for rec, err := range ParseRecords(rt.texts(ctx, runID, 1, ledgerPager())) {
		if err == nil {
			err = rt.genuine(&rec)
		}
		if err != nil {
			return nil, err
		}
		if err := r.fold(&rec); err != nil {
			return nil, err
		}
		if rec.Seq == seq {
			if err := r.readable(runID, nil); err != nil {
				return nil, rt.whyLocked(ctx, runID, err)
			}
			return r.view(), nil
		}
	}
	return nil, Errorf(CodeNotFound, "run %s has %d records, not %d", runID, r.Seq, seq).onRun(runID)
}

// Verify reads a run's whole ledger and checks that every record carries the
// hash of the one before, that it ends where the run's row says, and that it folds
// to the stored state. It fails with ErrCorrupt at the first fault (K27). Of a run that is encrypted, without its
// key, it checks the chain alone.
func (rt *Runtime) Verify(ctx context.Context, runID string) (Position, error) {
	stored, err := rt.store.Load(ctx, runID, Position{})
	if err != nil {
		return Position{}, err
	}
	kept := &session{rt: rt, id: runID, run: &Run{}}
	if stored.Snapshot != nil {
		if err := decodeOwn(stored.Snapshot, kept.run); err != nil {
			return Position{}, Errorf(CodeCorrupt, "snapshot at record %d: %w", stored.SnapshotSeq, err).onRun(runID)
		}
	}
	unread := kept.extend(stored)
	if unread != nil && !errors.Is(unread, ErrSealed) {
		return Position{}, unread
	}
	r := &Run{}
	for rec, err := range rt.Ledger(ctx, runID, 1) {
		if err == nil {
			err = r.fold(&rec)
		}
		if err != nil {
			return Position{}, err
		}
		if r.Seq == stored.Seq {
			break
		}
	}
	if r.Position() != stored.Position {
		return Position{}, Errorf(CodeCorrupt, "record %d is not the one that the run's row names", r.Seq).onRun(runID)
	}
	if unread != nil || r.locked != nil {
		return stored.Position, nil // sealed: the chain is all that can be checked
	}
	folded, err := encodeOwn(r)
	if err != nil {
		return Position{}, err
	}
	cached, err := encodeOwn(kept.run)
	if err != nil {
		return Position{}, err
	}
	if !bytes.Equal(folded, cached) {
		return Position{}, Errorf(CodeCorrupt, "the snapshot at record %d is not what the records give", stored.SnapshotSeq).onRun(runID)
	}
	return stored.Position, nil
}

// Divergence is the first step at which a workflow's code decides otherwise
// than recorded.
type Divergence struct {
	Seq      int64  `json:"seq"` // of the record
	Step     int64  `json:"step"`
	Node     string `json:"node"`
	Recorded JSON   `json:"recorded"` // the plan or failure in the ledger
	Now      JSON   `json:"now"`      // what the code decides now
}

// String tells what differs.
func (d *Divergence) String() string {
	return fmt.Sprintf("step %d, node %q (record %d): recorded %s, now %s", d.Step, d.Node, d.Seq, d.Recorded, d.Now)
}

// Replay runs the registered code of a run's workflow against its recorded
// results, calling no handler, and returns the first divergence, or nil when
// every step decides as recorded (K28). It fails with ErrUnknownWorkflow.
func (rt *Runtime) Replay(ctx context.Context, runID string) (*Divergence, error) {
	run, err := rt.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	if err := run.usable("replay"); err != nil {
		return nil, err
	}
	wf, err := rt.workflow(run.Workflow, run.Version)
	if err != nil {
		return nil, err
	}
	return replay(wf, rt.Ledger(ctx, runID, 1), &rt.opts.Limits, rt.opts.Redact)
}

// Replay is Runtime.Replay for a ledger from anywhere, from its first record
// on, under the default limits.
func Replay(wf Workflow, records iter.Seq2[Record, error]) (*Divergence, error) {
	if err := wf.check(); err != nil {
		return nil, err
	}
	lim := Limits{}.withDefaults()
	return replay(&wf, records, &lim, nil)
}

func replay(wf *Workflow, records iter.Seq2[Record, error], lim *Limits, by Redactor) (*Divergence, error) {
	r := &Run{}
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		if rec.Kind == KindStepPlanned || rec.Kind == KindStepFailed {
			if d, err := compare(wf, r, &rec, lim, by); d != nil || err != nil {
				return d, err
			}
		}
		if err := r.fold(&rec); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// compare decides a recorded step again, from the state before it. Failures
// compare by code and message: stacks move with every edit.
func compare(wf *Workflow, r *Run, rec *Record, lim *Limits, by Redactor) (*Divergence, error) {
	data, err := rec.Decode()
	if err != nil {
		return nil, err
	}
	var recorded any
	switch d := data.(type) {
	case *StepPlanned:
		recorded = &d.Plan
	case *StepFailed:
		recorded = &Failure{Code: d.Error.Code, Message: d.Error.Message}
	}
	plan, failure := decide(wf, rec.Node, r, rec.At, lim)
	if by != nil {
		redaction{by, r.Workflow}.decision(plan, failure)
	}
	var now any = plan
	if failure != nil {
		now = &Failure{Code: failure.Code, Message: failure.Message}
	}
	was, err := encodeOwn(recorded)
	if err != nil {
		return nil, err
	}
	is, err := encodeOwn(now)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(was, is) {
		return nil, nil
	}
	return &Divergence{Seq: rec.Seq, Step: rec.Step, Node: rec.Node, Recorded: was, Now: is}, nil
}

// Migrate moves a run to another registered version of its workflow (K26). It
// first replays the run's whole ledger against the new code and fails with ErrDiverged,
// naming the first step that it would have decided otherwise, without changing anything; and with
// ErrUnknownWorkflow, or ErrWrongStatus when the run has ended.
func (rt *Runtime) Migrate(ctx context.Context, runID, version string, cmd ...Command) (*Run, error) {
	return rt.command(ctx, runID, "migrate", cmd, []byte(version), func(m *machine) error {
		if m.run.Status.Final() {
			return Errorf(CodeWrongStatus, "cannot migrate run %s: it is %s", runID, m.run.Status).onRun(runID)
		}
		wf, err := rt.workflow(m.run.Workflow, version)
		if err != nil {
			return err
		}
		d, err := replay(wf, rt.Ledger(ctx, runID, 1), &rt.opts.Limits, rt.opts.Redact)
		if err != nil {
			return err
		}
		if d != nil {
			return Errorf(CodeDiverged, "run %s cannot go on with version %q: %s", runID, version, d).onRun(runID)
		}
		return m.here(KindRunMigrated, &RunMigrated{Version: wf.Version, Definition: wf.Definition()})
	})
}
