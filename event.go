package bide

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scope is who an event is for (K19).
type Scope string

// The scopes of events. An event for a run or a session is kept until one wait
// takes it; one for a workflow or for all reaches every wait that is open when it is sent, and
// within Event.Keep every later one that asks for it.
const (
	ScopeRun      Scope = "run"
	ScopeSession  Scope = "session"
	ScopeWorkflow Scope = "workflow"
	ScopeGlobal   Scope = "global"
)

// EventKey is the key of an event, and of the waits for it: "evt:<scope>:<scope
// id>:<name>". The name "*" in a wait's key matches any event of the scope.
func EventKey(scope Scope, scopeID, name string) string {
	return "evt:" + string(scope) + ":" + scopeID + ":" + name
}

// Event is something that happened, sent to whoever waits for it.
type Event struct {
	// ID makes sending idempotent: an id is delivered once to a scope. Defaults to a fresh one.
	ID    string
	Scope Scope // Defaults to ScopeRun.
	// ScopeID is the run, session or workflow; empty for ScopeGlobal.
	ScopeID string
	Name    string // letters, digits and ._-
	Payload any    // any JSON value
	// Keep is how long an event for a workflow or for all stays for later waits that
	// ask for it (EventOptions.Past), by the sender's clock. Zero keeps it for none.
	Keep time.Duration
}

// ReceivedEvent is the result of waiting for an event.
type ReceivedEvent struct {
	ID      string    `json:"id,omitempty"`
	Name    string    `json:"name,omitempty"`
	Payload JSON      `json:"payload"`
	At      time.Time `json:"at,omitzero"`
	By      string    `json:"by,omitempty"` // the actor, when a person resolved the wait by hand
}

// EventOptions refines WaitEvent. Nil means an event for this run, without deadline.
type EventOptions struct {
	// Scope is where to listen: this run, its session, its workflow, or all. Defaults to ScopeRun.
	Scope Scope
	// Timeout is how long to wait; then the effect fails with code timeout, which OnTimeout can catch. Zero means forever.
	Timeout Duration
	// Past also takes an event of the workflow or of all that was sent at most this
	// long before and is still kept (Event.Keep); the oldest first. Zero takes later ones only.
	Past Duration
}

// WaitEvent waits for an event by name; "*" takes any. Its result is a ReceivedEvent.
func WaitEvent(name string, opts *EventOptions) Effect {
	if opts == nil {
		opts = &EventOptions{}
	}
	spec := waitSpec{Key: name, Scope: opts.Scope, Timeout: opts.Timeout, Past: opts.Past}
	return spec.effect(TypeWaitEvent, spec.checkEvent())
}

// checkEvent holds a wait for an event to what Send can send.
func (s *waitSpec) checkEvent() error {
	if s.Past < 0 || s.Past > 0 && s.Scope != ScopeWorkflow && s.Scope != ScopeGlobal {
		return fmt.Errorf("past is %s; it is not negative and goes with the scopes workflow and global: other events are kept until they are taken", s.Past)
	}
	return checkEvent(s.Scope, s.Key, true)
}

func checkEvent(scope Scope, name string, star bool) error {
	switch scope {
	case "", ScopeRun, ScopeSession, ScopeWorkflow, ScopeGlobal:
	default:
		return fmt.Errorf("the scope %q is none of run, session, workflow and global", scope)
	}
	if star && name == "*" {
		return nil
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("the name of the event %w", err)
	}
	return nil
}

// eventKey is the key that a wait of this run listens on.
func (r *Run) eventKey(scope Scope, name string) (string, error) {
	switch scope {
	case ScopeSession:
		if r.Session == "" {
			return "", fmt.Errorf("the run waits for an event of its session, but has none")
		}
		return EventKey(scope, r.Session, name), nil
	case ScopeWorkflow:
		return EventKey(scope, r.Workflow, name), nil
	case ScopeGlobal:
		return EventKey(scope, "", name), nil
	}
	return EventKey(ScopeRun, r.ID, name), nil
}

// Send delivers an event (K19). Sent again with the same id, it is delivered
// once. It fails with ErrInvalidInput when a field cannot be used, and, for a run, with
// ErrNotFound when there is none and ErrWrongStatus when it has ended. To a run that was continued as a new one, it goes to the newest.
func (rt *Runtime) Send(ctx context.Context, e Event) error {
	m, err := rt.message(e)
	if err != nil {
		return err
	}
	if m.To != "" {
		if done, err := rt.deliver(ctx, m); done || err != nil {
			return err
		}
		run, err := rt.Newest(ctx, m.To)
		if err != nil {
			return err
		}
		if run.ID != m.To {
			m = m.forward(run.ID)
		}
		if err := run.receives(m); err != nil {
			return err
		}
	}
	if err := rt.commit(ctx, &Commit{Send: []Message{m}}); err != nil || m.To == "" {
		return err
	}
	return rt.sendOn(ctx, m)
}

// receives says why an event cannot be sent to the run.
func (r *Run) receives(m Message) error {
	if r.Status.Final() {
		return Errorf(CodeWrongStatus, "cannot send event %q to run %s: it is %s", m.Key, r.ID, r.Status).onRun(r.ID)
	}
	return nil
}

func (rt *Runtime) message(e Event) (m Message, err error) {
	if e.Scope == "" {
		e.Scope = ScopeRun
	}
	if err := checkEvent(e.Scope, e.Name, false); err != nil {
		return m, Errorf(CodeInvalidInput, "the event cannot be sent: %w", err)
	}
	if (e.ScopeID == "") != (e.Scope == ScopeGlobal) || strings.ContainsAny(e.ScopeID, ":*") {
		return m, Errorf(CodeInvalidInput, "the event cannot be sent: %q is not the id of a %s", e.ScopeID, e.Scope)
	}
	payload, err := encode(e.Payload)
	if err != nil {
		return m, Errorf(CodeInvalidInput, "the payload of event %q cannot be used: %w", e.Name, err)
	}
	if len(payload) > rt.opts.Limits.ValueBytes {
		return m, Errorf(CodeInvalidInput, "the payload of event %q has %d bytes, more than the limit of %d", e.Name, len(payload), rt.opts.Limits.ValueBytes)
	}
	payload = rt.redact(RedactAt{Effect: "*"}, payload)
	if err := checkText(e.ID); err != nil {
		return m, Errorf(CodeInvalidInput, "the id of event %q cannot be used: %w", e.Name, err)
	}
	if e.ID == "" {
		e.ID = rt.opts.NewID()
	}
	m = Message{ID: e.ID, Key: EventKey(e.Scope, e.ScopeID, e.Name), Payload: payload, At: rt.now()}
	switch e.Scope {
	case ScopeRun:
		m.To = e.ScopeID
	case ScopeWorkflow, ScopeGlobal:
		m.Copies = true
		if e.Keep > 0 {
			m.Until = truncate(m.At.Add(e.Keep))
		}
	}
	if e.Keep < 0 || e.Keep > 0 && !m.Copies {
		return m, Errorf(CodeInvalidInput, "event %q cannot be sent: %s is not how long to keep one for a %s; those for a run or session are kept until they are taken", e.Name, e.Keep, e.Scope)
	}
	return m, nil
}

// keyMatches reports whether a wait's key matches a message's.
func keyMatches(waitKey, key string) bool {
	if prefix, ok := strings.CutSuffix(waitKey, ":*"); ok {
		return strings.HasPrefix(key, prefix+":")
	}
	return waitKey != "" && waitKey == key
}

// takeMail resolves waits with the messages that match them, in the order of
// sending, and does as a parent says.
func (m *machine) takeMail() error {
	r := m.run
	for _, msg := range m.mail {
		if m.taken[msg.ID] || r.Status.Final() {
			continue
		}
		if msg.Key == "cancel:"+r.ID {
			m.take(msg)
			cause := m.cause
			m.cause = Cause{Reason: "its parent " + r.Parent + " ended"}
			err := m.here(KindRunCancelled, nil)
			m.cause = cause
			if err != nil {
				return err
			}
			continue
		}
		if r.Paused != nil {
			continue
		}
		for i := range r.Waits {
			w := &r.Waits[i]
			if !keyMatches(w.Key, msg.Key) || w.Kind != WaitForEvent && w.Kind != WaitChild {
				continue
			}
			by := ByEvent
			if w.Kind == WaitChild {
				by = ByChild
			}
			if w.Kind == WaitChild {
				if moved, err := m.followChild(w, msg); moved || err != nil {
					if err != nil {
						return err
					}
					break
				}
			}
			m.take(msg)
			if err := m.resolveByMessage(*w, &WaitResolved{WaitID: w.ID, By: by, Answer: msg.Payload, Message: &MessageRef{ID: msg.ID, Key: msg.Key, At: msg.At}}); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// resolveByMessage resolves a wait. Children that nobody waits for any more
// after that, because enough others completed, are told to end.
func (m *machine) resolveByMessage(w Wait, d *WaitResolved) error {
	before := slices.Clone(m.run.Waits)
	if err := m.here(KindWaitResolved, d); err != nil || w.Kind != WaitChild {
		return err
	}
	if len(before) == len(m.run.Waits)+1 {
		return nil
	}
	for i := range before {
		if before[i].ID != w.ID && m.run.Wait(before[i].ID) == nil {
			m.cancelChild(&before[i])
		}
	}
	return nil
}

func (m *machine) take(msg Message) {
	if m.taken == nil {
		m.taken = map[string]bool{}
	}
	m.taken[msg.ID] = true
	m.took = append(m.took, msg.ID)
}

// received is the result of an event wait.
func received(answer JSON, ref *MessageRef, actor string) (outcome, error) {
	e := ReceivedEvent{Payload: answer, By: actor}
	if ref != nil {
		_, name, _ := cutLast(ref.Key, ':')
		e.ID, e.Name, e.At = ref.ID, name, ref.At
	}
	raw, err := encodeOwn(e)
	return outcome{result: raw}, err
}
