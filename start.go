package bide

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// StartOptions refines Start. Nil means a fresh run without a name.
type StartOptions struct {
	Command
	// RunID is the id of the run: letters, digits, - and _, at most 100. Defaults to one made
	// from Key or Command.ID, or else to Options.NewID.
	RunID string
	// Key names the run among those of its workflow: the same key gives the same run.
	Key     string
	Session string
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
	return rt.create(ctx, sp.data.RunID, sp.cause, func(m *machine) error { return sp.begin(ctx, rt, m) })
}

// create begins a run, or finds it, in one commit, and returns it as begin leaves it.
func (rt *Runtime) create(ctx context.Context, runID string, cause Cause, begin func(*machine) error) (run *Run, err error) {
	s := rt.open(runID)
	defer rt.release(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.run != nil
	if !fresh {
		s.run = &Run{}
	}
	h := rt.reserve(s)
	defer func() { h.end(err) }()
	err = s.transition(ctx, fresh, cause, func(m *machine) error {
		h.clear()
		if err := begin(m); err != nil {
			return err
		}
		run = m.run.view()
		return h.advance(m)
	})
	if err != nil {
		return nil, err
	}
	return run, nil
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
	raw = rt.redact(RedactAt{Workflow: wf.ID, Path: "input"}, raw)
	sp := &startSpec{cause: o.Command.cause(), timeout: o.Timeout, reused: CodeExists, data: RunStarted{
		RunID: o.RunID, Workflow: wf.ID, Version: wf.Version, Definition: known.hash, Entry: wf.Entry, Input: raw,
		Key: o.Key, Session: o.Session, Labels: o.Labels, MaxSteps: o.MaxSteps,
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
	for _, text := range []string{o.Key, o.Session} {
		if err := checkText(text); err != nil {
			return nil, Errorf(CodeInvalidInput, "the key or session %q cannot be used: %w", text, err)
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
	if errors.Is(err, ErrSealed) {
		if gone := m.run.usable("start"); gone != nil {
			err = gone
		}
	}
	if err != nil {
		return err
	}
	if d, ok := was.(*RunStarted); !ok || d.Workflow != sp.data.Workflow || !sameJSON(d.Input, sp.data.Input) {
		return Errorf(sp.reused, "run %s was started before with another workflow or input; choose another key or id", sp.data.RunID).onRun(sp.data.RunID)
	}
	return nil
}
