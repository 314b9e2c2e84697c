package bide

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Command says who makes a change, why, and under which id. All fields may be empty.
type Command struct {
	// ID makes the change idempotent: sent again with the same id, it is not
	// made again and gives the first result (K22). Ids are per run.
	ID     string
	Actor  string
	Reason string
}

func (c Command) cause() Cause { return Cause{Command: c.ID, Actor: c.Actor, Reason: c.Reason} }

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

// StartOptions refines Start. Nil means a fresh run without a name.
type StartOptions struct {
	Command
	// RunID is the id of the run: letters, digits, - and _, at most 100. Defaults to one made
	// from Key or Command.ID, or else to Options.NewID.
	RunID string
	// Key names the run among those of its workflow: the same key gives the same run.
	Key     string
	Session string
	Parent  string
	Labels  map[string]string
	// Timeout is how long the run may take, waits included; then it fails. Zero means forever.
	Timeout time.Duration
	// MaxSteps is how many steps it may make. Defaults to Limits.Steps.
	MaxSteps int64
}

// Start begins a run and returns it; Tick then moves it. The input is at "input" in its vars.
//
// A run that was begun before under the same RunID, Key or Command.ID with the
// same workflow and input is returned as it is now. With another input, Start
// fails with ErrKeyReused, ErrExists or ErrCommandReused. It fails with
// ErrInvalidWorkflow or ErrInvalidInput when wf or an argument cannot be used.
func (rt *Runtime) Start(ctx context.Context, wf Workflow, input any, opts *StartOptions) (*Run, error) {
	sp, err := rt.prepare(wf, input, opts)
	if err != nil {
		return nil, err
	}
	s := rt.open(sp.data.RunID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.run != nil
	if !fresh {
		s.run = &Run{}
	}
	if err := s.transition(ctx, fresh, sp.cause, func(m *machine) error { return sp.begin(ctx, rt, m) }); err != nil {
		return nil, err
	}
	return s.run.view(), nil
}

// Run is Start followed by Tick, in one commit less.
func (rt *Runtime) Run(ctx context.Context, wf Workflow, input any, opts *StartOptions) (*Run, error) {
	sp, err := rt.prepare(wf, input, opts)
	if err != nil {
		return nil, err
	}
	return rt.tick(ctx, sp.data.RunID, sp, drive{})
}

// startSpec is a start that is ready to be made.
type startSpec struct {
	data    RunStarted
	cause   Cause
	timeout time.Duration
	reused  Code // what to answer when the run exists with another input
}

func (rt *Runtime) prepare(wf Workflow, input any, opts *StartOptions) (*startSpec, error) {
	var o StartOptions
	if opts != nil {
		o = *opts
	}
	if _, err := oneCommand([]Command{o.Command}); err != nil {
		return nil, err
	}
	known, err := rt.register(wf)
	if err != nil {
		return nil, err
	}
	raw, err := encode(input)
	if err != nil {
		return nil, Errorf(CodeInvalidInput, "the input of workflow %q cannot be used: %w", wf.ID, err)
	}
	if len(raw) > rt.opts.Limits.ValueBytes {
		return nil, Errorf(CodeInvalidInput, "the input has %d bytes, more than the limit of %d; pass a reference to it", len(raw), rt.opts.Limits.ValueBytes)
	}
	if o.Timeout < 0 || o.MaxSteps < 0 {
		return nil, Errorf(CodeInvalidInput, "a timeout or number of steps is negative")
	}
	sp := &startSpec{cause: o.Command.cause(), timeout: o.Timeout, reused: CodeExists, data: RunStarted{
		RunID: o.RunID, Workflow: wf.ID, Version: wf.Version, Definition: known.hash, Entry: wf.Entry, Input: raw,
		Key: o.Key, Session: o.Session, Parent: o.Parent, Labels: o.Labels, MaxSteps: o.MaxSteps,
	}}
	if sp.data.MaxSteps == 0 {
		sp.data.MaxSteps = rt.opts.Limits.Steps
	}
	switch {
	case o.RunID != "":
		if err := checkRunID(o.RunID); err != nil {
			return nil, err
		}
	case o.Key != "":
		sp.data.RunID, sp.reused = derivedID("key", wf.ID, o.Key), CodeKeyReused
	case o.Command.ID != "":
		sp.data.RunID, sp.reused = derivedID("command", o.Command.ID), CodeCommandReused
	default:
		sp.data.RunID = rt.opts.NewID()
	}
	for _, text := range []string{o.Key, o.Session, o.Parent} {
		if err := checkText(text); err != nil {
			return nil, Errorf(CodeInvalidInput, "the key, session or parent %q cannot be used: %w", text, err)
		}
	}
	if _, err := encode(o.Labels); err != nil {
		return nil, Errorf(CodeInvalidInput, "the labels cannot be used: %w", err)
	}
	return sp, nil
}

func checkRunID(id string) error {
	if err := checkName(id); err != nil {
		return Errorf(CodeInvalidInput, "the run id cannot be used: %w", err)
	}
	for _, c := range id {
		if c == '.' {
			return Errorf(CodeInvalidInput, "run id %q contains a dot; letters, digits, - and _ are allowed", id)
		}
	}
	return nil
}

// derivedID is an id that follows from parts (UUIDv8, RFC 9562).
func derivedID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	var u uuid.UUID
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// begin emits the first record of a new run, or checks that the run that is
// there is the one that was to be started.
func (sp *startSpec) begin(ctx context.Context, rt *Runtime, m *machine) error {
	if m.run.Seq == 0 {
		if sp.timeout > 0 {
			sp.data.Deadline = truncate(m.now.Add(sp.timeout))
		}
		data := sp.data
		if err := m.emit(KindRunStarted, 0, "", &data); err != nil {
			return err
		}
		if m.cause.Command != "" {
			m.command = &CommandRecord{ID: m.cause.Command, Fingerprint: fingerprint("start", data.Input), Seq: m.run.Seq}
		}
		return nil
	}
	raw, err := rt.store.Records(ctx, sp.data.RunID, 1, 1)
	if err != nil || len(raw) == 0 {
		return err
	}
	first, err := ParseRecord(raw[0])
	if err != nil {
		return err
	}
	was, err := first.Decode()
	if err != nil {
		return err
	}
	if d, ok := was.(*RunStarted); !ok || d.Workflow != sp.data.Workflow || !sameJSON(d.Input, sp.data.Input) {
		return Errorf(sp.reused, "run %s was started before with another workflow or input; choose another key or id", sp.data.RunID).onRun(sp.data.RunID)
	}
	return nil
}

// command makes a change that came from outside, once per command id.
func (rt *Runtime) command(ctx context.Context, runID, verb string, cmd []Command, args []byte, do func(m *machine) error) (*Run, error) {
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
	err = s.transition(ctx, true, c.cause(), func(m *machine) error {
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
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case before == nil:
		return s.run.view(), nil
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
// when another answer was first. The same answer again is accepted and gives the first result (K16, K17).
func (rt *Runtime) Resume(ctx context.Context, runID, waitID string, answer any, cmd ...Command) (*Run, error) {
	raw, err := encode(answer)
	if err != nil {
		return nil, (&Error{Code: CodeInvalidAnswer, Message: "the answer to wait " + waitID + " cannot be used", Err: err, Wait: waitID}).onRun(runID)
	}
	var decided *Decision
	run, err := rt.command(ctx, runID, "resume", cmd, append([]byte(waitID+"\x00"), raw...), func(m *machine) error {
		decided = nil
		if m.run.Wait(waitID) != nil {
			return m.answer(waitID, raw)
		}
		if decided, err = rt.decision(ctx, m.run, waitID); err != nil {
			return err
		}
		if decided.By != ByAnswer || !sameJSON(decided.Answer, raw) {
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
		if !allowed(m.run.Status) {
			return Errorf(CodeWrongStatus, "cannot %s run %s: it is %s", verb, runID, m.run.Status).onRun(runID)
		}
		return m.here(kind, nil)
	})
}

// Delete removes an ended run with all its descendants: their ledgers, snapshots
// and mail are gone. It fails with ErrWrongStatus, naming the run and removing nothing, when one of them
// has not ended. Cut off in the middle, it is done by calling it again.
func (rt *Runtime) Delete(ctx context.Context, runID string) error {
	root, err := rt.Get(ctx, runID)
	if err != nil {
		return err
	}
	tree := []RunInfo{root.RunInfo}
	for i := 0; i < len(tree); i++ {
		if !tree[i].Status.Final() {
			return Errorf(CodeWrongStatus, "cannot delete run %s: run %s of its tree is %s; cancel it first", runID, tree[i].ID, tree[i].Status).onRun(tree[i].ID)
		}
		for q := (RunQuery{Parent: tree[i].ID, Limit: 1000}); ; {
			page, err := rt.store.Runs(ctx, q)
			if err != nil {
				return err
			}
			tree = append(tree, page.Runs...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	for _, r := range slices.Backward(tree) { // children first: the root is gone when all are
		if err := rt.commit(ctx, &Commit{RunID: r.ID, Expect: r.Position(), Delete: true}); err != nil {
			return err
		}
		rt.forget(r.ID)
	}
	return nil
}

// forget drops what is in memory of a run.
func (rt *Runtime) forget(runID string) {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = nil
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

// ledgerPage is how many records Ledger reads at a time.
const ledgerPage = 500

// Ledger yields a run's records in order from number from on (0 and 1 both
// mean all). The last pair may carry an error instead: ErrNotFound,
// ErrCorrupt, or the store's.
func (rt *Runtime) Ledger(ctx context.Context, runID string, from int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for next := max(from, 1); ; {
			raws, err := rt.store.Records(ctx, runID, next, ledgerPage)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, raw := range raws {
				rec, err := ParseRecord(raw)
				if !yield(rec, err) || err != nil {
					return
				}
			}
			if len(raws) < ledgerPage {
				return
			}
			next += int64(len(raws))
		}
	}
}
