package bide

import (
	"fmt"
	"slices"
	"time"
)

// machine is the kernel's state machine for one run: inputs go in, records come
// out and become a Commit. It touches no clock, randomness or store; time and a
// random number come in with the input (K5).
type machine struct {
	run    *Run
	wf     *Workflow                          // nil for inputs that call no node
	find   func(id, version string) *Workflow // for children; an empty version means the newest
	has    func(typ string) bool              // whether there is a handler
	yields bool                               // leave to others what is lacking here, instead of failing
	left   *Failure                           // what was lacking
	mail   []Message                          // for the run, not yet taken
	lim    *Limits
	now    time.Time
	random float64 // in [0,1), for the jitter of a retry
	cause  Cause

	sealer    Sealer                             // nil: what is recorded is not encrypted
	newSealer func(runID string) (Sealer, error) // for new runs; nil when they are not encrypted

	redactor Redactor // nil: everything is recorded as it is

	command *CommandRecord // what to keep of the command at work, once it is done

	from      Position
	was       Status // before the records in out; empty for a run that is not there yet
	out       []Record
	outBytes  int
	announced map[attemptID]bool // attempts announced by records in out
	fence     int64              // the claim under which the run is driven
	owner     string             // for whom the commit claims the run; empty for nobody
	claimed   int64              // the number of that claim
	fired     bool               // a timer fired
	lag       time.Duration      // the longest that one that fired was due
	fresh     bool               // the mail is as it was at from or later
	looked    bool               // every message that could be taken was
	taken     map[string]bool    // messages taken by records in out or before
	took      []string
	send      []Message
	starts    []*Commit
}

// attemptID names one attempt of one effect of a run.
type attemptID struct {
	step    int64
	effect  int
	attempt int
}

func newMachine(r *Run, wf *Workflow, lim *Limits, now time.Time, random float64, cause Cause) *machine {
	return &machine{run: r, wf: wf, lim: lim, now: now, random: random, cause: cause,
		from: r.Position(), was: r.Status}
}

// announce notes that the pending records announce an attempt.
func (m *machine) announce(id attemptID) {
	if m.announced == nil {
		m.announced = map[attemptID]bool{}
	}
	m.announced[id] = true
}

// emit appends a record and applies it at once, by the same code that folds stored records.
func (m *machine) emit(kind Kind, step int64, node string, data any) error {
	rec := Record{
		Seq: m.run.Seq + 1, Prev: m.run.Head, At: m.now, Kind: kind, Step: step, Node: node,
		Command: m.cause.Command, Actor: m.cause.Actor, Reason: m.cause.Reason,
	}
	if data != nil {
		m.redact(data)
		var err error
		if rec.Data, err = encodeOwn(data); err != nil {
			return fmt.Errorf("encode %s: %w", kind, err)
		}
	}
	seal, err := m.sealFor(kind, data)
	if err == nil {
		err = rec.writeText(seal)
	}
	if err != nil {
		return fmt.Errorf("seal %s: %w", kind, err)
	}
	waits, wasFinal := m.run.Waits, m.run.Status.Final()
	if kind == KindRunCompleted || kind == KindRunFailed || kind == KindRunCancelled {
		for i := range waits {
			m.cancelChild(&waits[i])
		}
	}
	if err := m.run.apply(&rec, data); err != nil {
		return err
	}
	if m.out == nil {
		m.out = make([]Record, 0, 4) // most commits have two or three
	}
	m.out = append(m.out, rec)
	m.outBytes += len(rec.Raw)
	if m.run.Status.Final() && !wasFinal {
		return m.ended()
	}
	return nil
}

// here emits a record about the current step.
func (m *machine) here(kind Kind, data any) error {
	return m.emit(kind, m.run.Step, m.run.Node, data)
}

// commit takes the records out as one value.
func (m *machine) commit() *Commit {
	c := &Commit{
		RunID: m.run.ID, Expect: m.from, Records: m.out, Info: m.run.RunInfo,
		Opened: m.run.opened, Closed: m.run.closed, Command: m.command,
		Starts: m.starts, Send: m.send, Took: m.took, Fence: m.fence, Owner: m.owner, Claimed: m.claimed,
		Sealer: m.sealer,
	}
	m.run.opened, m.run.closed = nil, nil
	return c
}

// maxPending bounds the bytes of records that consecutive pure steps gather
// before they are committed.
const maxPending = 1 << 20

// advance moves the run until it has to wait for something: the outcome of an
// attempt, a wait, the end, or the budget of steps. live tells whether an
// attempt has a handler at work. It returns the attempts to start once the
// records are durable, the steps used, and whether more can be done after the commit.
func (m *machine) advance(live func(attemptID) bool, budget int) (start []attemptID, used int, more bool, err error) {
	r := m.run
	for {
		if r.ContinuedAs != "" && !r.Status.Final() && r.Paused == nil {
			more, err := m.handOver()
			return nil, used, more, err
		}
		if err := m.takeMail(); err != nil {
			return nil, used, false, err
		}
		if r.Status.Final() || r.Paused != nil {
			return m.toStart(), used, false, nil
		}
		m.looked = true
		if !r.Deadline.IsZero() && !m.now.Before(r.Deadline) {
			err := m.here(KindRunFailed, &RunFailed{Failure{Code: FailureTimeout, Message: "the run's deadline passed", Step: r.Step, Node: r.Node}})
			return nil, used, false, err
		}
		if err := m.fireDue(); err != nil {
			return nil, used, false, err
		}
		if r.Exit == nil {
			if err := m.startEffects(live); err != nil {
				return nil, used, false, err
			}
			if r.Exit == nil {
				return m.toStart(), used, false, nil
			}
		}
		if m.outBytes > maxPending {
			return m.toStart(), used, true, nil
		}
		if r.Exit.Node != "" {
			if used == budget {
				return m.toStart(), used, false, nil
			}
			used++
		}
		if err := m.leave(); err != nil {
			return nil, used, false, err
		}
	}
}

// toStart lists the attempts announced by the pending records that still stand.
func (m *machine) toStart() (out []attemptID) {
	for i, e := range m.run.Effects {
		if id := (attemptID{m.run.Step, i, e.Attempt}); e.Status == StateRunning && m.announced[id] {
			out = append(out, id)
		}
	}
	return out
}

// fireDue resolves every wait whose time has come.
func (m *machine) fireDue() error {
	r := m.run
	for i := 0; i < len(r.Waits); i++ {
		w := r.Waits[i]
		at := w.due()
		if at.IsZero() || m.now.Before(at) {
			continue
		}
		m.fired, m.lag = true, max(m.lag, m.now.Sub(at))
		var err error
		switch {
		case w.Kind == WaitRetry && m.leaves(w.Effect):
			continue
		case w.Kind == WaitRetry:
			err = m.startAttempt(w.Effect, false)
		case !w.Until.IsZero():
			err = m.here(KindWaitResolved, &WaitResolved{WaitID: w.ID, By: ByTimer})
		default:
			m.cancelChild(&w)
			err = m.here(KindWaitResolved, &WaitResolved{WaitID: w.ID, By: ByDeadline})
		}
		if err != nil {
			return err
		}
		i = -1 // the list changed
	}
	return nil
}

// startEffects begins pending effects and settles those in doubt.
func (m *machine) startEffects(live func(attemptID) bool) error {
	r := m.run
	running := 0
	for i := range r.Effects {
		running += btoi(r.Effects[i].Status == StateRunning)
	}
	for i := 0; i < len(r.Effects); i++ {
		e := &r.Effects[i]
		id := attemptID{r.Step, i, e.Attempt}
		var err error
		switch {
		case e.Status == StatePending && m.leaves(i):
		case e.Status == StatePending && builtin[e.Type]:
			err = m.beginBuiltin(i)
		case e.Status == StatePending && running < m.lim.Concurrency:
			running++
			err = m.startAttempt(i, false)
		case e.Status == StateRunning && !live(id) && !m.announced[id], e.Status == StateInterrupted:
			err = m.inDoubt(i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// startAttempt announces the next attempt of an effect, or fails it when its time is over.
func (m *machine) startAttempt(i int, inDoubt bool) error {
	e := &m.run.Effects[i]
	if end := m.deadline(e, 0); !end.IsZero() && !m.now.Before(end) {
		return m.failAttempt(i, &Failure{Code: FailureTimeout, Permanent: true, Message: "its time was over before it could be tried again"}, 0, nil)
	}
	d := &EffectStarted{Effect: i, Attempt: e.Attempt + 1, InDoubt: inDoubt}
	if err := m.here(KindEffectStarted, d); err != nil {
		return err
	}
	m.announce(attemptID{m.run.Step, i, d.Attempt})
	return nil
}

// decided reports whether what the handler does now must not be repeated, as AtMostOnceDecided means it.
func (e *EffectState) decided() bool {
	return slices.ContainsFunc(e.Answered, func(a Answered) bool { return !a.Wait.Repeatable })
}

// inDoubt decides about an effect that was announced and has no outcome (K8).
func (m *machine) inDoubt(i int) error {
	r, e := m.run, &m.run.Effects[i]
	message := ""
	switch {
	case e.Delivery == AtMostOnce, e.Delivery == AtMostOnceDecided && e.decided():
		message = fmt.Sprintf("It is not known whether %q happened: it was announced and has no outcome.", e.Type)
	case e.Status == StateRunning && e.Lost >= m.lim.Lost:
		message = fmt.Sprintf("The process ended %d times while %q was at work.", e.Lost+1, e.Type)
	case m.leaves(i):
		return nil
	default:
		return m.startAttempt(i, true)
	}
	details, err := encodeOwn(struct {
		Type    string `json:"type"`
		Payload JSON   `json:"payload"`
		Key     string `json:"idempotency_key"`
		Attempt int    `json:"attempt"`
		// The answers that the handler was called with; they may have changed what it did.
		Answered []Answered `json:"answered,omitempty"`
	}{e.Type, e.Payload, e.Key, e.Attempt, e.Answered})
	if err != nil {
		return err
	}
	return m.here(KindWaitOpened, &Wait{ID: r.nextWaitID(), Kind: WaitAttention, Node: r.Node, Step: r.Step, Effect: i,
		Message: message, Details: details, CreatedAt: m.now})
}

// leave goes where the ended step leads.
func (m *machine) leave() error {
	r := m.run
	switch exit := r.Exit; {
	case exit.Fail != nil:
		f := *exit.Fail
		f.Node, f.Step = r.Node, r.Step
		return m.here(KindRunFailed, &RunFailed{f})
	case exit.Complete || exit.Continue:
		raw := exit.Output
		if exit.OutputFrom != "" {
			var ok bool
			var err error
			if raw, ok, err = r.Vars.Raw(exit.OutputFrom); err != nil || !ok {
				return m.here(KindRunFailed, &RunFailed{Failure{Code: FailureOutput, Node: r.Node, Step: r.Step,
					Message: fmt.Sprintf("the run completes with vars %q, but nothing is there", exit.OutputFrom)}})
			}
		}
		if exit.Continue {
			return m.continueAs(raw)
		}
		return m.here(KindRunCompleted, &RunCompleted{raw})
	case r.Step >= r.MaxSteps:
		return m.here(KindRunFailed, &RunFailed{Failure{Code: FailureLimit, Node: r.Node, Step: r.Step,
			Message: fmt.Sprintf("the run has made %d steps, its limit", r.Step)}})
	default:
		return m.visit(exit.Node)
	}
}

// visit calls a node and records its plan.
func (m *machine) visit(node string) error {
	r, step := m.run, m.run.Step+1
	plan, failure := decide(m.wf, node, r, m.now, m.lim)
	if failure != nil {
		to := m.wf.ErrorNode
		if to == node {
			to = ""
		}
		return m.emit(KindStepFailed, step, node, &StepFailed{Error: *failure, ErrorNode: to})
	}
	d := &StepPlanned{Plan: *plan}
	for i := range plan.Effects {
		e := &plan.Effects[i]
		if builtin[e.Type] {
			continue
		}
		if d.Announced == m.lim.Concurrency || m.yields && m.lacks(e, nil) != nil {
			break
		}
		m.announce(attemptID{step, i, 1})
		d.Announced++
	}
	return m.emit(KindStepPlanned, step, node, d)
}

// result is what came of an attempt.
type result struct {
	id          attemptID
	value       JSON
	writes      []Write
	wait        *Wait
	decided     JSON // the answer with which the wait is resolved at once
	fail        *Failure
	retryAfter  time.Duration
	interrupted bool // the handler was told to stop by pause or shutdown, and did
}

// attemptEnded records what came of an attempt.
func (m *machine) attemptEnded(res *result) error {
	r := m.run
	i := res.id.effect
	if r.Status.Final() || r.Step != res.id.step || i >= len(r.Effects) ||
		r.Effects[i].Status != StateRunning || r.Effects[i].Attempt != res.id.attempt {
		return m.late(res)
	}
	switch {
	case res.interrupted:
		return m.here(KindEffectInterrupted, &EffectInterrupted{Effect: i, Attempt: res.id.attempt, Message: res.fail.Message})
	case res.fail != nil:
		if len(res.value) > m.lim.ValueBytes {
			res.value = nil
		}
		return m.failAttempt(i, res.fail, res.retryAfter, res.value)
	case res.wait != nil && len(r.Effects[i].Answered) >= maxAnswered:
		return m.failAttempt(i, &Failure{Code: FailureLimit, Permanent: true,
			Message: fmt.Sprintf("the handler has asked %d times, its limit", maxAnswered)}, 0, nil)
	case res.wait != nil:
		w := *res.wait
		w.ID, w.Node, w.Step, w.Effect, w.CreatedAt = r.nextWaitID(), r.Node, r.Step, i, m.now
		if end := m.deadline(&r.Effects[i], 0); !end.IsZero() && (w.ExpiresAt.IsZero() || end.Before(w.ExpiresAt)) {
			w.ExpiresAt = end
		}
		if err := m.here(KindWaitOpened, &w); err != nil || res.decided == nil {
			return err
		}
		return m.here(KindWaitResolved, &WaitResolved{WaitID: w.ID, By: ByHandler, Answer: res.decided})
	}
	return m.completeEffect(i, res.id.attempt, res.value, res.writes)
}

// completeEffect records a result, or, when it does not fit its place in vars, the failure that this is (K10, K14).
func (m *machine) completeEffect(i, attempt int, value JSON, writes []Write) error {
	e := &m.run.Effects[i]
	all := writes
	if w, ok := e.resultWrite(value); ok {
		all = append(writes[:len(writes):len(writes)], w)
	}
	if len(value) > m.lim.ValueBytes {
		return m.failAttempt(i, &Failure{Code: FailureTooLarge, Permanent: true,
			Message: fmt.Sprintf("the result has %d bytes, more than the limit of %d", len(value), m.lim.ValueBytes)}, 0, nil)
	}
	if err := m.run.Vars.checkAll(all); err != nil {
		return m.failAttempt(i, &Failure{Code: FailureWrite, Permanent: true, Message: err.Error()}, 0, value)
	}
	return m.here(KindEffectCompleted, &EffectCompleted{Effect: i, Attempt: attempt, Result: value, Writes: writes})
}

// failAttempt records a failed attempt and, when the policy allows another,
// chooses its time (K11).
func (m *machine) failAttempt(i int, f *Failure, after time.Duration, value JSON) error {
	e := &m.run.Effects[i]
	if w, ok := e.failedWrite(value); ok {
		if err := m.run.Vars.checkAll([]Write{w}); err != nil {
			f, value = &Failure{Code: FailureWrite, Permanent: true, Message: fmt.Sprintf("%v, where the result of a failed attempt goes: %s", err, f.Message)}, nil
		}
	}
	d := &EffectFailed{Effect: i, Attempt: e.Attempt, Error: *f, Result: value}
	if !f.Permanent && e.Spent < e.attempts() {
		delay := max(e.Retry.delay(e.Spent, m.random), after)
		at := truncate(m.now.Add(delay))
		if end := m.deadline(e, 0); end.IsZero() || at.Before(end) {
			d.RetryAt = at
		} else {
			d.Error.Code = FailureTimeout
			d.Error.Message = fmt.Sprintf("no time left for another attempt; the last one: %s", f.Message)
		}
	}
	return m.here(KindEffectFailed, d)
}

// maxAnswered is how many waits with Wait.Again one effect may open.
const maxAnswered = 100

func (m *machine) late(res *result) error {
	if m.run.Shredded != nil {
		return nil // nothing is kept of it
	}
	d := &EffectLate{Effect: res.id.effect, Attempt: res.id.attempt, Result: res.value, Error: res.fail}
	node := ""
	if m.run.Step == res.id.step {
		node = m.run.Node
	}
	return m.emit(KindEffectLate, res.id.step, node, d)
}

// answer resolves an open wait by an answer that fits it (K16, K17).
func (m *machine) answer(waitID string, raw JSON) error {
	w := m.run.Wait(waitID)
	if w == nil || m.run.ContinuedAs != "" {
		return Errorf(CodeNotFound, "wait %s is not open", waitID).onWait(waitID)
	}
	if err := w.mayAnswer(m.cause); err != nil {
		return err
	}
	if m.run.Paused == nil && !w.ExpiresAt.IsZero() && !m.now.Before(w.ExpiresAt) {
		return Errorf(CodeExpired, "wait %s expired at %s", waitID, formatTime(w.ExpiresAt)).onWait(waitID)
	}
	faults := append(w.check(raw), m.run.rememberFaults(w, raw)...)
	if len(raw) > m.lim.ValueBytes {
		faults = append(faults, Fault{"", fmt.Sprintf("the answer has %d bytes, more than the limit of %d", len(raw), m.lim.ValueBytes)})
	}
	if len(faults) == 0 {
		out, err := w.outcome(raw, m.cause.Actor, false)
		if err != nil {
			return err
		}
		if write, ok := m.run.Effects[w.Effect].resultWrite(out.result); ok && out.result != nil {
			if err := m.run.Vars.checkAll([]Write{write}); err != nil {
				faults = append(faults, Fault{"", err.Error()})
			}
		}
	}
	if len(faults) > 0 {
		return (&Error{Code: w.refusal(raw), Message: "the answer does not fit wait " + waitID, Faults: faults, Wait: waitID}).onRun(m.run.ID)
	}
	return m.here(KindWaitResolved, &WaitResolved{WaitID: waitID, By: ByAnswer, Answer: raw})
}

// truncate keeps a time to what a record can hold.
func truncate(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
