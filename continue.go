package bide

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A run that goes on for years ends now and then and continues as a new one of the same workflow and version, with an
// empty ledger, fresh vars and a fresh count of steps. The end of the one and the start of the other are one commit.
//
// The new run has the key, session, labels, actor, deadline, limit of steps and parent of the old one; not its grants.
// A parent's wait for its child moves on to it. What was sent to the old run and not taken is handed over; what is sent
// to the old run later goes to the newest. Messages sent while the old ones are handed over may come before those; and
// the id of an event counts once per run: one that an earlier run has taken already is new to the newest.

// ContinueAsNew plans that the run ends and a new one continues in its place, with input.
func ContinueAsNew(input any) StepPlan { return StepPlan{}.ThenContinueAsNew(input) }

// ThenContinueAsNew continues as a new run with input when the effects have completed.
func (p StepPlan) ThenContinueAsNew(input any) StepPlan {
	p = p.ThenComplete(input)
	p.Exit.Complete, p.Exit.Continue = false, true
	return p
}

// ThenContinueAsNewWith continues as a new run when the effects have completed; its input is what is then at path in vars.
func (p StepPlan) ThenContinueAsNewWith(path string) StepPlan {
	p = p.ThenCompleteWith(path)
	p.Exit.Complete, p.Exit.Continue = false, true
	return p
}

// Newest returns the last of the runs that a run continued as, as it is now; the run itself when there is none.
func (rt *Runtime) Newest(ctx context.Context, runID string) (*Run, error) {
	for range maxChain {
		run, err := rt.Get(ctx, runID)
		if err != nil || run.ContinuedAs == "" {
			return run, err
		}
		runID = run.ContinuedAs
	}
	return nil, Errorf(CodeCorrupt, "run %s continues more than %d times", runID, maxChain).onRun(runID)
}

// maxChain bounds how many times a run is followed.
const maxChain = 1_000_000

// continueAs starts the run that goes on in place of this one. What is in the mailbox is handed over in the next
// transition: everybody who looks from now on sends to the new run.
func (m *machine) continueAs(input JSON) error {
	r := m.run
	next := &RunStarted{RunID: derivedID("continue", r.ID), Workflow: m.wf.ID, Version: m.wf.Version, Definition: m.wf.Definition(), Entry: m.wf.Entry,
		Input: input, Continues: r.ID, Key: r.Key, Session: r.Session, Labels: r.Labels, Parent: r.Parent, Detached: r.Detached, Depth: r.Depth,
		Deadline: r.Deadline, MaxSteps: r.MaxSteps}
	if r.Parent != "" {
		next.Root = r.Root
	}
	first := newMachine(&Run{}, nil, m.lim, m.now, 0, Cause{Actor: r.Actor})
	first.newSealer, first.redactor = m.newSealer, m.redactor
	if err := first.emit(KindRunStarted, 0, "", next); err != nil {
		return err
	}
	m.starts = append(m.starts, first.commit())
	if r.Parent != "" && !r.Detached {
		if err := m.tellParent("continued", ChildResult{RunID: r.ID, Status: StatusRunning, ContinuedAs: next.RunID}); err != nil {
			return err
		}
	}
	return m.here(KindRunContinued, &RunContinued{RunID: next.RunID, Input: input})
}

// continued opens a wait for whatever was sent to the run, so that the store shows it.
func (r *Run) continued(rec *Record, d *RunContinued) {
	r.ContinuedAs = d.RunID
	w := Wait{ID: r.nextWaitID(), Kind: WaitForEvent, Key: EventKey(ScopeRun, r.ID, "*"), Node: r.Node, Step: r.Step,
		Message: "to be handed over to run " + d.RunID, CreatedAt: rec.At}
	r.WaitCount++
	r.Waits, r.opened, r.Effects, r.Plan = append(r.Waits, w), append(r.opened, w), nil, nil
}

// handOver passes on what is in the mailbox of a run that has continued, and ends it when nothing is left. It needs
// to see the mail as it is after the new run was named.
func (m *machine) handOver() (more bool, err error) {
	r := m.run
	if !m.fresh || m.from.Seq < r.Seq {
		return true, nil
	}
	d := &MailForwarded{RunID: r.ContinuedAs}
	for _, msg := range m.mail {
		m.take(msg)
		m.send = append(m.send, msg.forward(r.ContinuedAs))
		d.Messages = append(d.Messages, MessageRef{ID: msg.ID, Key: msg.Key, At: msg.At})
	}
	if len(d.Messages) > 0 {
		return true, m.here(KindMailForwarded, d)
	}
	output, err := encodeOwn(struct {
		RunID string `json:"continued_as"`
	}{r.ContinuedAs})
	if err != nil {
		return false, err
	}
	return false, m.here(KindRunCompleted, &RunCompleted{output})
}

// forward addresses a message to another run.
func (msg Message) forward(to string) Message {
	switch name, isEvent := strings.CutPrefix(msg.Key, EventKey(ScopeRun, msg.To, "")); {
	case isEvent:
		msg.Key = EventKey(ScopeRun, to, name)
	case msg.Key == "cancel:"+msg.To:
		msg.ID, msg.Key = to+"/cancel", "cancel:"+to
	}
	msg.To = to
	return msg
}

// sendOn sends a message that was sent to a run to those that it has continued as, too: one of them takes it. What the
// first hands over has the same id, and counts once.
func (rt *Runtime) sendOn(ctx context.Context, msg Message) error {
	for range maxChain {
		run, err := rt.Get(ctx, msg.To)
		if errors.Is(err, ErrNotFound) || err == nil && run.ContinuedAs == "" {
			return nil
		}
		if err != nil {
			return err
		}
		msg = msg.forward(run.ContinuedAs)
		if err := rt.commit(ctx, &Commit{Send: []Message{msg}}); err != nil {
			return err
		}
	}
	return Errorf(CodeCorrupt, "run %s continues more than %d times", msg.To, maxChain).onRun(msg.To)
}

// followChild moves a wait on to the run that its child has continued as. It reports false when the child has ended instead.
func (m *machine) followChild(w *Wait, msg Message) (bool, error) {
	var c ChildResult
	if err := decodeOwn(msg.Payload, &c); err != nil || c.ContinuedAs == "" {
		return false, err
	}
	m.take(msg)
	return true, m.here(KindChildContinued, &ChildContinued{WaitID: w.ID, RunID: c.ContinuedAs})
}

// childContinued opens a wait in place of one whose child goes on as another run.
func (r *Run) childContinued(d *ChildContinued) error {
	old := r.Wait(d.WaitID)
	if old == nil || old.Kind != WaitChild {
		return fmt.Errorf("wait %s for a child is not open", d.WaitID)
	}
	w := *old
	w.Message = strings.Replace(w.Message, strings.TrimPrefix(w.Key, childKey("")), d.RunID, 1)
	w.ID, w.Key = r.nextWaitID(), childKey(d.RunID)
	r.WaitCount++
	r.closeWait(d.WaitID)
	r.Waits, r.opened = append(r.Waits, w), append(r.opened, w)
	return r.onEffect(w.Effect, func(e *EffectState) error {
		if e.FanOut == nil {
			e.Wait = w.ID
		}
		return nil
	})
}
