package bide

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"
)

// Fold rebuilds a run's state from its records, from the first on, and checks
// the hash chain on the way (K3, K27). It fails with ErrCorrupt at the first record that
// does not follow from those before; and, when all do, with ErrSealed if some were not opened.
func Fold(records iter.Seq2[Record, error]) (*Run, error) {
	r := &Run{}
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		if err := r.fold(&rec); err != nil {
			return nil, err
		}
	}
	if err := r.readable(r.ID, nil); err != nil {
		return nil, err
	}
	r.opened, r.closed = nil, nil
	return r, nil
}

// fold applies a stored record.
func (r *Run) fold(rec *Record) error {
	if rec.Seq != r.Seq+1 {
		return Errorf(CodeCorrupt, "record %d follows record %d", rec.Seq, r.Seq).onRun(r.ID)
	}
	if rec.Prev != r.Head {
		return Errorf(CodeCorrupt, "record %d does not carry the hash of the one before it", rec.Seq).onRun(r.ID)
	}
	if rec.IsSealed() || r.locked != nil && rec.Kind != KindRunShredded {
		r.skip(rec)
		return nil
	}
	data, err := rec.Decode()
	if err != nil {
		return err
	}
	return r.apply(rec, data)
}

// apply changes the state by one record. It is the only place where a run's
// state changes, for new records and for stored ones alike.
func (r *Run) apply(rec *Record, data any) error {
	if err := r.change(rec, data); err != nil {
		return Errorf(CodeCorrupt, "record %d (%s) does not apply: %w", rec.Seq, rec.Kind, err).onRun(r.ID)
	}
	r.Seq, r.Head, r.UpdatedAt = rec.Seq, rec.Hash, rec.At
	r.derive()
	return nil
}

func (r *Run) change(rec *Record, data any) error {
	if begins := rec.Kind == KindRunStarted || rec.Kind == KindRunForked; begins != (r.Seq == 0) {
		return fmt.Errorf("a ledger begins with %s or %s, and has no other", KindRunStarted, KindRunForked)
	}
	switch d := data.(type) {
	case *RunStarted:
		return r.started(rec, d)
	case *StepPlanned:
		return r.planned(rec, d)
	case *StepFailed:
		r.Step, r.Node = rec.Step, rec.Node
		r.closeStep(&d.Error, d.ErrorNode)
		return nil
	case *EffectStarted:
		return r.onEffect(d.Effect, func(e *EffectState) error { r.effectStarted(rec, e, d); return nil })
	case *EffectCompleted:
		return r.onEffect(d.Effect, func(e *EffectState) error { return r.effectCompleted(e, d.Result, d.Writes) })
	case *EffectFailed:
		return r.onEffect(d.Effect, func(e *EffectState) error { return r.effectFailed(rec, e, d) })
	case *EffectInterrupted:
		return r.onEffect(d.Effect, func(e *EffectState) error { e.Status = StateInterrupted; return nil })
	case *EffectLate:
		return nil
	case *Wait:
		return r.onEffect(d.Effect, func(e *EffectState) error { r.openWait(e, *d); return nil })
	case *WaitResolved:
		return r.waitResolved(rec, d)
	case *RunForked:
		return r.forked(rec, d)
	case *RunShredded:
		return r.shredded(rec, d)
	case *RunMigrated:
		r.Version, r.Definition = d.Version, d.Definition
	case *RunContinued:
		r.continued(rec, d)
	case *MailForwarded:
	case *ChildContinued:
		return r.childContinued(d)
	case *GrantRevoked:
		return r.grantRevoked(d.GrantID)
	case *RunCompleted:
		r.Output = d.Output
		r.end(StatusCompleted, rec.At)
		r.Effects = nil
	case *RunFailed:
		r.Error = &d.Error
		r.end(StatusFailed, rec.At)
	case nil:
		return r.changeByCommand(rec)
	default:
		return fmt.Errorf("kind %q is not known", rec.Kind)
	}
	return nil
}

// changeByCommand applies the kinds that have no data.
func (r *Run) changeByCommand(rec *Record) error {
	switch rec.Kind {
	case KindRunCancelled:
		r.end(StatusCancelled, rec.At)
		r.Effects = nil
	case KindRunPaused:
		r.Paused = &Cause{Command: rec.Command, Actor: rec.Actor, Reason: rec.Reason, At: rec.At}
	case KindRunUnpaused:
		r.Paused = nil
	case KindRunRetried:
		r.retried(rec)
	default:
		return fmt.Errorf("kind %q is not known", rec.Kind)
	}
	return nil
}

func (r *Run) started(rec *Record, d *RunStarted) error {
	r.RunInfo = RunInfo{
		ID: d.RunID, Workflow: d.Workflow, Version: d.Version, Definition: d.Definition, Status: StatusRunning,
		Key: d.Key, Session: d.Session, Actor: rec.Actor, Parent: d.Parent, Root: d.Root, Labels: d.Labels, CreatedAt: rec.At,
	}
	if r.Root == "" {
		r.Root = r.ID
	}
	r.Deadline, r.MaxSteps, r.Detached, r.Depth = d.Deadline, d.MaxSteps, d.Detached, d.Depth
	r.Origin, r.Continues = d.Continues, d.Continues
	r.Exit = &Exit{Node: d.Entry}
	return r.Vars.apply(Write{Op: OpSet, Path: "input", Value: d.Input})
}

func (r *Run) planned(rec *Record, d *StepPlanned) error {
	r.Step, r.Node, r.Caught, r.Exit = rec.Step, rec.Node, nil, nil
	if err := r.Vars.apply(d.Plan.Writes...); err != nil {
		return err
	}
	if len(d.Plan.Effects) == 0 {
		r.Effects, r.Exit = nil, &d.Plan.Exit
		return nil
	}
	r.Plan = &StepPlan{Exit: d.Plan.Exit, ErrorNode: d.Plan.ErrorNode, TimeoutNode: d.Plan.TimeoutNode}
	r.Effects = make([]EffectState, len(d.Plan.Effects))
	announced := d.Announced
	for i, e := range d.Plan.Effects {
		s := &r.Effects[i]
		*s = EffectState{Effect: e, Key: effectKey(r.ID, r.Step, i), Status: StatePending}
		if e.Type == TypeFanOut {
			if err := r.fanOut(s); err != nil {
				return err
			}
		}
		if !builtin[e.Type] && announced > 0 {
			announced--
			s.Status, s.Attempt, s.Spent, s.StartedAt = StateRunning, 1, 1, rec.At
		}
	}
	return nil
}

func (r *Run) onEffect(i int, do func(*EffectState) error) error {
	if i < 0 || i >= len(r.Effects) {
		return fmt.Errorf("step %d has no effect %d", r.Step, i)
	}
	return do(&r.Effects[i])
}

func (r *Run) effectStarted(rec *Record, e *EffectState, d *EffectStarted) {
	if e.Wait != "" {
		r.closeWait(e.Wait)
	}
	switch {
	case !d.InDoubt:
		e.Spent++
	case e.Status == StateRunning:
		e.Lost++
	}
	if e.StartedAt.IsZero() {
		e.StartedAt = rec.At
	}
	e.Status, e.Attempt, e.Wait = StateRunning, d.Attempt, ""
}

func (r *Run) effectCompleted(e *EffectState, result JSON, writes []Write) error {
	if w, ok := e.resultWrite(result); ok {
		writes = append(writes[:len(writes):len(writes)], w)
	}
	if err := r.Vars.apply(writes...); err != nil {
		return err
	}
	e.Status, e.Wait, e.Error = StateCompleted, "", nil
	r.settle()
	return nil
}

// resultWrite is the write that stores a result, if it is to be stored.
func (e *EffectState) resultWrite(result JSON) (Write, bool) {
	op := OpSet
	if e.Append {
		op = OpAppend
	}
	return Write{Op: op, Path: e.Result, Value: result}, e.Result != ""
}

// failedWrite is the write that keeps the result of a failed attempt, if it is to be kept.
func (e *EffectState) failedWrite(result JSON) (Write, bool) {
	return Write{Op: OpAppend, Path: e.Failed, Value: result}, e.Failed != "" && result != nil
}

func (r *Run) effectFailed(rec *Record, e *EffectState, d *EffectFailed) error {
	if w, ok := e.failedWrite(d.Result); ok {
		if err := r.Vars.apply(w); err != nil {
			return err
		}
	}
	if e.Wait != "" {
		r.closeWait(e.Wait)
	}
	e.Error = &d.Error
	if d.RetryAt.IsZero() {
		r.failEffect(e, e.Error)
		return nil
	}
	r.openWait(e, Wait{
		ID: r.nextWaitID(), Kind: WaitRetry, Node: r.Node, Step: r.Step, Effect: d.Effect,
		Message: d.Error.Message, CreatedAt: rec.At, Until: d.RetryAt,
	})
	return nil
}

// nextWaitID is the id of the wait that is opened next.
func (r *Run) nextWaitID() string { return r.ID + "." + strconv.FormatInt(r.WaitCount+1, 10) }

func (r *Run) openWait(e *EffectState, w Wait) {
	r.WaitCount++
	r.Waits = append(r.Waits, w)
	r.opened = append(r.opened, w)
	if e.FanOut != nil {
		e.FanOut.Started++
		e.Status = StateWaiting
		return
	}
	e.Status, e.Wait = StateWaiting, w.ID
}

func (r *Run) closeWait(id string) {
	isID := func(w Wait) bool { return w.ID == id }
	if i := slices.IndexFunc(r.Waits, isID); i >= 0 {
		r.Waits = slices.Delete(r.Waits, i, i+1)
	}
	if len(r.Waits) == 0 {
		r.Waits = nil
	}
	if i := slices.IndexFunc(r.opened, isID); i >= 0 {
		r.opened = slices.Delete(r.opened, i, i+1)
	} else {
		r.closed = append(r.closed, id)
	}
}

func (r *Run) waitResolved(rec *Record, d *WaitResolved) error {
	w := r.Wait(d.WaitID)
	if w == nil {
		return fmt.Errorf("wait %s is not open", d.WaitID)
	}
	out, err := w.resolve(d, rec.Actor)
	if err != nil {
		return err
	}
	effect, item := w.Effect, w.Item
	answered := Answered{Wait: *w, Decision: Decision{Wait: w.ID, By: d.By, Answer: d.Answer, Actor: rec.Actor, At: rec.At, Seq: rec.Seq}}
	if d.By == ByDeadline {
		answered.Decision.Answer = w.Default
	}
	r.closeWait(d.WaitID)
	return r.onEffect(effect, func(e *EffectState) error {
		if e.FanOut != nil {
			return r.childEnded(e, item, d.Answer, out)
		}
		e.Wait = ""
		switch {
		case out.again:
			e.Status = StatePending
			if answered.Wait.Kind != WaitAttention {
				r.answered(e, answered)
			}
			return nil
		case out.fail != nil:
			r.failEffect(e, out.fail)
			return nil
		}
		if err := r.effectCompleted(e, out.result, nil); err != nil {
			r.misplaced(e, err)
		}
		return nil
	})
}

// answered keeps an answer for the attempt that it leads to. The one that
// asked has not failed, and so does not count against the retry policy.
func (r *Run) answered(e *EffectState, a Answered) {
	e.Answered = append(e.Answered[:len(e.Answered):len(e.Answered)], a)
	e.Spent = max(e.Spent-1, 0)
	if g, ok := a.Grant(); ok {
		r.Grants = append(r.Grants[:len(r.Grants):len(r.Grants)], g)
	}
}

// failEffect ends an effect that failed for good. With ErrorResult, the
// failure is its result, if that has a place.
func (r *Run) failEffect(e *EffectState, f *Failure) {
	e.Status, e.Wait, e.Error = StateFailed, "", f
	if raw, err := encodeOwn(ErrorResult{f}); e.ErrorResult && err == nil {
		w, ok := e.resultWrite(raw)
		if !ok || r.Vars.apply(w) == nil {
			e.Status = StateCompleted
		}
	}
	r.settle()
}

// misplaced fails an effect whose result does not fit its place in vars. An
// answer is checked before it counts; a timer, a message or a default is not.
func (r *Run) misplaced(e *EffectState, err error) {
	e.Status, e.Error = StateFailed, &Failure{Code: FailureWrite, Message: err.Error(), Permanent: true}
	r.settle()
}

// resolve derives the effect's outcome from the way its wait was closed.
func (w *Wait) resolve(d *WaitResolved, actor string) (outcome, error) {
	switch by := d.By; {
	case w.Again && w.Kind != WaitToolApproval && (by != ByDeadline || w.Default != nil):
		return outcome{again: true}, nil
	case by == ByDeadline && w.Kind == WaitToolApproval && w.OnExpire == ExpireReject:
		return w.notDecided()
	case by == ByEvent:
		return received(d.Answer, d.Message, "")
	case by == ByChild:
		return childOutcome(d.Answer)
	case by == ByTimer:
		return outcome{result: JSON(`{"until":"` + formatTime(w.Until) + `"}`)}, nil
	case by == ByDeadline && w.Default == nil:
		return outcome{fail: &Failure{Code: FailureTimeout, Message: "nobody answered before " + formatTime(w.ExpiresAt)}}, nil
	case by == ByDeadline:
		return w.outcome(w.Default, "", true)
	}
	return w.outcome(d.Answer, actor, false)
}

// settle ends the step once all of its effects have ended.
func (r *Run) settle() {
	var failed *EffectState
	for i := range r.Effects {
		e := &r.Effects[i]
		if !e.Status.ended() {
			return
		}
		if e.Status == StateFailed && failed == nil {
			failed = e
		}
	}
	if failed == nil {
		exit := r.Plan.Exit
		r.Effects, r.Plan, r.Exit = nil, nil, &exit
		return
	}
	f := *failed.Error
	f.Effect, f.Attempts = failed.Type, failed.Attempt
	to := r.Plan.ErrorNode
	if f.Code == FailureTimeout && r.Plan.TimeoutNode != "" {
		to = r.Plan.TimeoutNode
	}
	r.closeStep(&f, to)
}

// closeStep ends a step that failed: at a node that takes care of it, or with
// the run. In the second case the effects stay, so that Retry can go on from them.
func (r *Run) closeStep(f *Failure, to string) {
	f.Node, f.Step = r.Node, r.Step
	if to == "" {
		r.Exit = &Exit{Fail: f}
		return
	}
	r.Caught, r.Exit, r.Effects, r.Plan = f, &Exit{Node: to}, nil, nil
}

// end makes the run final. Effects whose attempt is under way are in doubt from then on.
func (r *Run) end(s Status, at time.Time) {
	r.Status, r.EndedAt, r.Paused = s, at, nil
	for i := range r.Effects {
		switch e := &r.Effects[i]; e.Status {
		case StateRunning:
			e.Status = StateInterrupted
		case StateWaiting:
			e.Status, e.Wait = StatePending, ""
		}
	}
	for len(r.Waits) > 0 {
		r.closeWait(r.Waits[len(r.Waits)-1].ID)
	}
}

// retried opens a failed run again: its failed effects are made again, those
// that completed stay; a failed node is visited again. A deadline that ended it starts anew.
func (r *Run) retried(rec *Record) {
	if !r.Deadline.IsZero() && !r.Deadline.After(rec.At) {
		r.Deadline = rec.At.Add(r.Deadline.Sub(r.CreatedAt))
	}
	if r.Step >= r.MaxSteps {
		r.MaxSteps = r.Step * 2
	}
	r.Status, r.EndedAt, r.Error, r.Exit = StatusRunning, time.Time{}, nil, nil
	open := false
	for i := range r.Effects {
		e := &r.Effects[i]
		if e.Status == StateFailed {
			e.Status, e.Spent, e.StartedAt = StatePending, 0, time.Time{}
			if e.FanOut != nil {
				*e.FanOut = FanOutState{Total: e.FanOut.Total, spec: e.FanOut.spec} // its children start anew, and their results take the old ones' places
			}
		}
		open = open || !e.Status.ended()
	}
	if !open {
		r.Effects, r.Plan, r.Exit = nil, nil, &Exit{Node: r.Node}
	}
}

// derive sets what follows from the rest of the state: status and wake time.
func (r *Run) derive() {
	r.WakeAt = time.Time{}
	if r.Status.Final() {
		return
	}
	if r.Paused != nil {
		r.Status = StatusPaused
		return
	}
	r.Status = StatusRunning
	if r.Exit == nil && len(r.Effects) > 0 {
		r.Status = StatusWaiting
		for i := range r.Effects {
			if s := r.Effects[i].Status; !s.ended() && s != StateWaiting {
				r.Status = StatusRunning
			}
		}
	}
	r.WakeAt = r.Deadline
	for i := range r.Waits {
		if at := r.Waits[i].due(); !at.IsZero() && (r.WakeAt.IsZero() || at.Before(r.WakeAt)) {
			r.WakeAt = at
		}
	}
}
