package bide

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Command says who makes a change, why, and under which id. All fields may be empty.
type Command struct {
	// ID makes the change idempotent: sent again with the same id, it is not
	// made again and gives the first result (K22). Ids are per run.
	ID     string
	Actor  string
	Reason string
	// Groups are those of the actor, for waits that only some may answer
	// (Wait.Assignees). They come from credentials, never from what a client says.
	Groups []string
}

func (c Command) cause() Cause {
	return Cause{Command: c.ID, Actor: c.Actor, Reason: c.Reason, Groups: c.Groups}
}

func oneCommand(cmd []Command) (Command, error) {
	var c Command
	switch len(cmd) {
	case 0:
		return c, nil
	case 1:
		c = cmd[0]
	default:
		return c, Errorf(CodeInvalidInput, "%d commands were given; a change has one", len(cmd))
	}
	for _, f := range [...]struct{ name, value string }{{"command id", c.ID}, {"actor", c.Actor}, {"reason", c.Reason}} {
		if err := checkText(f.value); err != nil {
			return c, Errorf(CodeInvalidInput, "the %s cannot be used: %w", f.name, err)
		}
	}
	return c, nil
}

// checkText holds free text in records to what JSON can say and a screen can show.
func checkText(s string) error {
	if len(s) > 1000 {
		return fmt.Errorf("has %d bytes, more than 1000", len(s))
	}
	if _, err := encode(s); err != nil {
		return err
	}
	return nil
}

// command makes a change that came from outside, once per command id.
func (rt *Runtime) command(ctx context.Context, runID, verb string, cmd []Command, args []byte, do func(m *machine) error) (run *Run, err error) {
	c, err := oneCommand(cmd)
	if err != nil {
		return nil, err
	}
	fp := fingerprint(verb, args)
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	var before *CommandRecord
	var after *Run
	h := rt.reserve(s)
	defer func() { h.end(err) }()
	err = s.decide(ctx, c.cause(), func(m *machine) error {
		h.clear()
		if err := m.run.usable(verb); err != nil {
			return err
		}
		if c.ID != "" {
			if before, err = rt.store.Command(ctx, runID, c.ID); err == nil || !errors.Is(err, ErrNotFound) {
				return err
			}
			before = nil
		}
		if err := do(m); err != nil {
			return err
		}
		if c.ID != "" {
			m.command = &CommandRecord{ID: c.ID, Fingerprint: fp, Seq: m.run.Seq}
		}
		after = m.run.view()
		return h.advance(m)
	})
	switch {
	case err != nil:
		return nil, err
	case before == nil:
		return after, nil
	case before.Fingerprint != fp:
		return nil, Errorf(CodeCommandReused, "command %q did something else to run %s before (record %d); choose another id", c.ID, runID, before.Seq).onRun(runID)
	}
	return rt.StateAt(ctx, runID, before.Seq)
}

// Resume answers an open wait of a run. Tick then goes on with it.
//
// The answer is a string for a question, a value for a form, a JobResult for a job, an
// Attention for an effect in doubt, and any value for an event. It fails with
// ErrInvalidAnswer, listing every fault, when it does not fit, and the wait stays open; with
// ErrExpired after the deadline; and with ErrAlreadyDecided, naming who answered, when and what,
// when another answer was first; with ErrForbidden when the actor may not answer. For a tool call the
// answer is an Approval, which fails with ErrArgsChanged when it is about other arguments; for a budget a Budget. The same answer again is accepted and gives the first result (K16, K17).
func (rt *Runtime) Resume(ctx context.Context, runID, waitID string, answer any, cmd ...Command) (*Run, error) {
	raw, err := encode(answer)
	if err != nil {
		return nil, (&Error{Code: CodeInvalidAnswer, Message: "the answer to wait " + waitID + " cannot be used", Err: err, Wait: waitID}).onRun(runID)
	}
	var decided *Decision
	kept := rt.redact(RedactAt{Effect: "*"}, raw) // what may be kept of it, by any rule
	run, err := rt.command(ctx, runID, "resume", cmd, append([]byte(waitID+"\x00"), kept...), func(m *machine) error {
		decided = nil
		if m.run.Wait(waitID) != nil {
			return m.answer(waitID, raw)
		}
		if decided, err = rt.decision(ctx, m.run, waitID); err != nil {
			return err
		}
		if decided.By != ByAnswer || !sameJSON(rt.redact(RedactAt{Effect: "*"}, decided.Answer), kept) {
			return tooLate(decided, runID)
		}
		return errRepeated
	})
	if errors.Is(err, errRepeated) {
		return rt.StateAt(ctx, runID, decided.Seq)
	}
	return run, err
}

// errRepeated ends a command that finds its work done by the same answer.
var errRepeated = errors.New("answered before, with the same answer")

func tooLate(d *Decision, runID string) error {
	e := &Error{Code: CodeAlreadyDecided, Run: runID, Wait: d.Wait, Decision: d}
	switch d.By {
	case ByAnswer:
		who := d.Actor
		if who == "" {
			who = "somebody"
		}
		e.Message = fmt.Sprintf("wait %s was answered by %s at %s with %s", d.Wait, who, formatTime(d.At), d.Answer)
	case ByDeadline:
		e.Code = CodeExpired
		e.Message = fmt.Sprintf("wait %s expired at %s", d.Wait, formatTime(d.At))
	default:
		e.Message = fmt.Sprintf("wait %s was closed by %s at %s", d.Wait, d.By, formatTime(d.At))
	}
	return e
}

// decision finds out from the ledger how a wait that is not open was closed.
func (rt *Runtime) decision(ctx context.Context, r *Run, waitID string) (*Decision, error) {
	var opened bool
	for rec, err := range rt.Ledger(ctx, r.ID, 1) {
		if err != nil {
			return nil, err
		}
		switch rec.Kind {
		case KindWaitOpened, KindWaitResolved, KindEffectFailed:
		default:
			continue
		}
		data, err := rec.Decode()
		if err != nil {
			return nil, err
		}
		switch d := data.(type) {
		case *Wait:
			opened = opened || d.ID == waitID
		case *WaitResolved:
			if d.WaitID == waitID {
				return &Decision{Wait: waitID, By: d.By, Answer: d.Answer, Actor: rec.Actor, At: rec.At, Seq: rec.Seq}, nil
			}
		}
	}
	if !opened {
		return nil, Errorf(CodeNotFound, "run %s has no wait %q", r.ID, waitID).onRun(r.ID).onWait(waitID)
	}
	return &Decision{Wait: waitID, By: ResolvedBy("the end of the run (" + string(r.Status) + ")"), At: r.EndedAt, Seq: r.Seq}, nil
}

// Pause freezes a run until Unpause (K21): nothing executes and no timer fires;
// answers are accepted and kept. Handlers at work are told to stop. It fails
// with ErrWrongStatus when the run has ended or is paused already.
func (rt *Runtime) Pause(ctx context.Context, runID string, cmd ...Command) (*Run, error) {
	return rt.change(ctx, runID, "pause", KindRunPaused, cmd, func(s Status) bool { return !s.Final() && s != StatusPaused })
}

// Unpause lets a paused run go on from where it is; timers that came due
// meanwhile fire at the next Tick. It fails with ErrWrongStatus when the run is not paused.
func (rt *Runtime) Unpause(ctx context.Context, runID string, cmd ...Command) (*Run, error) {
	return rt.change(ctx, runID, "unpause", KindRunUnpaused, cmd, func(s Status) bool { return s == StatusPaused })
}

// Cancel ends a run. Its waits are closed and handlers at work are told to stop; what
// they still report is recorded and changes nothing. It fails with ErrWrongStatus
// when the run has ended.
func (rt *Runtime) Cancel(ctx context.Context, runID string, cmd ...Command) (*Run, error) {
	return rt.change(ctx, runID, "cancel", KindRunCancelled, cmd, func(s Status) bool { return !s.Final() })
}

// Retry opens a failed run again: the effects that failed are made again with
// their idempotency keys and those that completed stay; a node that failed is
// visited again. It fails with ErrWrongStatus when the run has not failed.
func (rt *Runtime) Retry(ctx context.Context, runID string, cmd ...Command) (*Run, error) {
	return rt.change(ctx, runID, "retry", KindRunRetried, cmd, func(s Status) bool { return s == StatusFailed })
}

func (rt *Runtime) change(ctx context.Context, runID, verb string, kind Kind, cmd []Command, allowed func(Status) bool) (*Run, error) {
	return rt.command(ctx, runID, verb, cmd, nil, func(m *machine) error {
		if next := m.run.ContinuedAs; next != "" {
			return Errorf(CodeWrongStatus, "cannot %s run %s: it was continued as run %s", verb, runID, next).onRun(runID)
		}
		if !allowed(m.run.Status) {
			return Errorf(CodeWrongStatus, "cannot %s run %s: it is %s", verb, runID, m.run.Status).onRun(runID)
		}
		return m.here(kind, nil)
	})
}

// Get returns a run as it is now, or ErrNotFound.
func (rt *Runtime) Get(ctx context.Context, runID string) (*Run, error) {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.run.view(), nil
}

// Runs lists runs; see RunQuery.
func (rt *Runtime) Runs(ctx context.Context, q RunQuery) (*RunPage, error) {
	return rt.store.Runs(ctx, q)
}

// Waits lists the open waits of all runs; see WaitQuery.
func (rt *Runtime) Waits(ctx context.Context, q WaitQuery) (*WaitPage, error) {
	return rt.store.Waits(ctx, q)
}

// Ledger yields a run's records in order from number from on (0 and 1 both
// mean all). The last pair may carry an error instead: ErrNotFound,
// ErrCorrupt, or the store's.
func (rt *Runtime) Ledger(ctx context.Context, runID string, from int64) iter.Seq2[Record, error] {
	return rt.records(ctx, runID, from, ledgerPager())
}

func (rt *Runtime) records(ctx context.Context, runID string, from int64, pages *pager) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for raw, err := range rt.texts(ctx, runID, from, pages) {
			rec := Record{}
			if err == nil {
				rec, err = rt.parse(raw)
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// texts yields the stored text of a run's records from seq on.
func (rt *Runtime) texts(ctx context.Context, runID string, from int64, pages *pager) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for next := max(from, 1); ; {
			limit, bytes := pages.limit, 0
			raws, err := rt.store.Records(ctx, runID, next, limit)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, raw := range raws {
				bytes += len(raw)
				if !yield(raw, nil) {
					return
				}
			}
			if len(raws) < limit {
				return
			}
			pages.read(bytes)
			next += int64(len(raws))
		}
	}
}
