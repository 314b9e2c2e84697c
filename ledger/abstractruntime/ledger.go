package abstractruntime

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// ledger makes the records of one run.
type ledger struct {
	c       *converter
	r       *run
	records []bide.Record
	at      time.Time
	steps   int64 // made so far
	waits   int64
	open    *step // started, without an outcome yet
	asked   *step // waiting, without an answer yet
	err     error
}

func newLedger(c *converter, r *run) *ledger { return &ledger{c: c, r: r, at: parseTime(r.CreatedAt)} }

// emit adds a record; from is what it was made of, which its data carries along.
func (l *ledger) emit(kind bide.Kind, node string, data any, from *step) {
	if l.err != nil {
		return
	}
	rec := bide.Record{Seq: int64(len(l.records)) + 1, At: l.at, Kind: kind, Step: l.steps, Node: node, Actor: l.r.ActorID}
	if n := len(l.records); n > 0 {
		rec.Prev = l.records[n-1].Hash
	}
	if data != nil {
		if rec.Data, l.err = encode(data, from); l.err != nil {
			return
		}
	}
	raw, err := encode(rec, nil)
	if err == nil {
		rec, err = bide.ParseRecord(raw)
	}
	l.records, l.err = append(l.records, rec), err
}

// encode writes data with the record it was made of as another member.
func encode(data any, from *step) (json.RawMessage, error) {
	text, err := json.Marshal(data)
	if err != nil || from == nil {
		return text, err
	}
	var raw strings.Builder
	raw.Write(text[:len(text)-1])
	if len(text) > 2 {
		raw.WriteByte(',')
	}
	origin, err := json.Marshal(from.raw)
	raw.WriteString(`"abstractruntime":`)
	raw.Write(origin)
	raw.WriteByte('}')
	return json.RawMessage(raw.String()), err
}

// begin writes the start of the run, and its vars as they are now: how they came about is not on record.
func (l *ledger) begin(steps []step) {
	r := l.r
	if l.at.IsZero() {
		l.at = parseTime(r.UpdatedAt)
	}
	entry := r.CurrentNode
	if len(steps) > 0 && steps[0].NodeID != "" {
		entry = steps[0].NodeID
	}
	labels := map[string]string{"imported_from": "abstractruntime"}
	if isMemory(r) {
		labels["memory"] = "true"
		l.c.note(r.RunID, "it holds data and is no execution; it is carried as a run whose vars are that data")
	}
	start := &bide.RunStarted{RunID: r.RunID, Workflow: r.WorkflowID, Version: l.c.version, Entry: "import", Input: bide.JSON("null"),
		Session: r.SessionID, Parent: r.ParentRunID, Labels: labels, MaxSteps: 1_000_000}
	if r.ParentRunID != "" {
		start.Root = l.c.root(r)
		if l.c.runs[r.ParentRunID] == nil {
			start.Parent, start.Root = "", ""
			l.c.note(r.RunID, "its parent %s is not there", r.ParentRunID)
		}
	}
	l.emit(bide.KindRunStarted, "", start, nil)
	plan := bide.StepPlan{Exit: bide.Exit{Node: entry}}
	names := make([]string, 0, len(r.Vars))
	for name := range r.Vars {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.ContainsAny(name, `."[]\`) || name == "" {
			l.c.note(r.RunID, "the var %q cannot be carried under its name", name)
			continue
		}
		plan.Writes = append(plan.Writes, bide.Write{Op: bide.OpSet, Path: name, Value: r.Vars[name]})
	}
	l.plan("import", plan, 0, nil)
}

// plan writes a step.
func (l *ledger) plan(node string, plan bide.StepPlan, announced int, from *step) {
	l.steps++
	l.emit(bide.KindStepPlanned, node, &bide.StepPlanned{Plan: plan, Announced: announced}, from)
}

// step converts one record.
func (l *ledger) step(s *step, last bool) {
	if at := parseTime(cmp.Or(s.Ended, s.Started)); !at.IsZero() && at.After(l.at) {
		l.at = at
	}
	switch {
	case s.Status == "started":
		l.giveUp()
		l.open = s
	case s.Status == "waiting":
		l.giveUp()
		if last && l.waiting() {
			l.open, l.asked = nil, s
			return
		}
		l.began(s)
		l.asked = s
		l.waits++
		l.emit(bide.KindWaitOpened, s.NodeID, &bide.Wait{ID: fmt.Sprintf("%s.%d", l.r.RunID, l.waits), Kind: bide.WaitCustom, Node: s.NodeID,
			Step: l.steps, Message: "as recorded by AbstractRuntime", Details: s.Result, CreatedAt: l.at}, s)
	case l.asked != nil: // whatever follows a wait has resolved it
		answer := orNull(s.Result)
		l.asked = nil
		l.emit(bide.KindWaitResolved, s.NodeID, &bide.WaitResolved{WaitID: fmt.Sprintf("%s.%d", l.r.RunID, l.waits), By: bide.ByAnswer, Answer: answer}, s)
	case s.Status == "failed":
		l.began(s)
		l.emit(bide.KindEffectFailed, s.NodeID, &bide.EffectFailed{Attempt: max(s.Attempt, 1), Error: bide.Failure{Code: bide.FailureHandler, Message: s.Error}}, s)
	case s.Effect == nil: // a transition
		l.giveUp()
		l.plan(cmp.Or(s.NodeID, "node"), bide.StepPlan{Exit: bide.Exit{Node: cmp.Or(s.NodeID, "node")}}, 0, s)
	default:
		l.began(s)
		l.emit(bide.KindEffectCompleted, s.NodeID, &bide.EffectCompleted{Attempt: max(s.Attempt, 1), Result: orNull(s.Result)}, s)
	}
}

// waiting reports whether the run waits now.
func (l *ledger) waiting() bool { return l.r.Status == "waiting" && l.r.Waiting != nil }

// began writes the step of an effect whose outcome is s.
func (l *ledger) began(s *step) {
	from := l.open
	if from == nil || from.Key != s.Key {
		from = s
	}
	l.open = nil
	l.plan(cmp.Or(s.NodeID, "node"), effectPlan(from, bide.Exit{Node: cmp.Or(s.NodeID, "node")}), 1, from)
}

// giveUp writes the step of an effect that never had an outcome: the process ended.
func (l *ledger) giveUp() {
	if l.open != nil {
		s := l.open
		l.open = nil
		l.plan(cmp.Or(s.NodeID, "node"), effectPlan(s, bide.Exit{Node: cmp.Or(s.NodeID, "node")}), 1, s)
	}
}

func effectPlan(s *step, exit bide.Exit) bide.StepPlan {
	e := bide.Effect{Type: "abstractruntime.effect", Delivery: bide.AtMostOnce}
	if s.Effect != nil {
		e.Type, e.Payload = "abstractruntime."+s.Effect.Type, s.Effect.Payload
	}
	return bide.StepPlan{Effects: []bide.Effect{e}, Exit: exit}
}

// finish writes how the run ended, or what it waits for.
func (l *ledger) finish() {
	r := l.r
	if at := parseTime(r.UpdatedAt); at.After(l.at) {
		l.at = at
	}
	if l.at.IsZero() {
		l.err = fmt.Errorf("%w: it has no time", errNotCarried)
		return
	}
	switch r.Status {
	case "completed":
		l.emit(bide.KindRunCompleted, r.CurrentNode, &bide.RunCompleted{Output: orNull(r.Output)}, nil)
	case "failed":
		l.emit(bide.KindRunFailed, r.CurrentNode, &bide.RunFailed{Error: bide.Failure{Code: "imported", Message: r.Error, Node: r.CurrentNode}}, nil)
	case "cancelled":
		l.emit(bide.KindRunCancelled, r.CurrentNode, nil, nil)
	case "waiting":
		if r.Waiting == nil {
			l.err = fmt.Errorf("%w: it waits, but not for anything", errNotCarried)
			return
		}
		l.wait()
	case "running":
		if l.open != nil {
			l.c.note(r.RunID, "effect %s was announced and has no outcome; the run is paused: unpause it to visit node %q again", l.open.NodeID, r.CurrentNode)
		} else {
			l.c.note(r.RunID, "it was running; it is paused: unpause it to visit node %q again", r.CurrentNode)
		}
		l.giveUp()
		l.plan("import", bide.StepPlan{Exit: bide.Exit{Node: r.CurrentNode}}, 0, nil)
		l.emit(bide.KindRunPaused, r.CurrentNode, nil, nil)
	default:
		l.err = fmt.Errorf("%w: its status %q is not known", errNotCarried, r.Status)
	}
}

// wait opens what the run waits for, so that it goes on where it would have.
func (l *ledger) wait() {
	r, w := l.r, l.r.Waiting
	exit := bide.Exit{Node: w.ResumeToNode}
	if w.ResumeToNode == "" {
		exit = bide.Exit{Complete: true, Output: bide.JSON("null"), OutputFrom: w.ResultKey}
		if w.ResultKey != "" {
			exit.Output = nil
		}
	}
	if paused(r) {
		l.plan(r.CurrentNode, bide.StepPlan{Exit: exit}, 0, l.asked)
		l.emit(bide.KindRunPaused, r.CurrentNode, nil, nil)
		return
	}
	e := bide.Effect{Type: "abstractruntime.wait", Payload: w.Details, Result: w.ResultKey}
	l.plan(r.CurrentNode, bide.StepPlan{Effects: []bide.Effect{e}, Exit: exit}, 1, l.asked)
	l.waits++
	out := &bide.Wait{ID: fmt.Sprintf("%s.%d", r.RunID, l.waits), Node: r.CurrentNode, Step: l.steps, Message: w.Prompt, Details: w.Details, CreatedAt: l.at}
	out.Kind = l.kind(w, out)
	l.emit(bide.KindWaitOpened, r.CurrentNode, out, nil)
	l.c.out.Waiting++
}

// kind fills in what a wait is for.
func (l *ledger) kind(w *waiting, out *bide.Wait) bide.WaitKind {
	other := func(format string, args ...any) bide.WaitKind {
		l.c.note(l.r.RunID, format+"; any JSON answers it", args...)
		out.Key = w.WaitKey
		if out.Message == "" {
			out.Message = fmt.Sprintf(format, args...)
		}
		return bide.WaitCustom
	}
	var details struct {
		Mode string `json:"mode"`
	}
	if len(w.Details) > 0 && w.Details[0] == '{' && json.Unmarshal(w.Details, &details) != nil {
		details.Mode = ""
	}
	switch w.Reason {
	case "user":
		if details.Mode == "approval_required" {
			return other("it waits for an approval of tool calls that are not of this program")
		}
		out.Choices, out.FreeText = w.Choices, w.AllowFreeText == nil || *w.AllowFreeText || len(w.Choices) == 0
		return bide.WaitQuestion
	case "event":
		out.Key = w.WaitKey
		if parts := strings.Split(w.WaitKey, ":"); len(parts) < 4 || parts[0] != "evt" {
			return other("it waits for an event with the key %q, which no event has here", w.WaitKey)
		}
		return bide.WaitForEvent
	case "until":
		if out.Until = parseTime(w.Until); out.Until.IsZero() {
			return other("it waits until %q, which is no time", w.Until)
		}
		return bide.WaitTimer
	case "job":
		out.Key = w.WaitKey
		return bide.WaitJob
	case "subworkflow":
		return other("it waits for the end of a child run (%s), which does not reach it by itself", w.WaitKey)
	}
	return other("it waits for %q, which is not known here", w.Reason)
}

// paused reports whether a run was paused by a person.
func paused(r *run) bool {
	if r.Waiting != nil && r.Waiting.WaitKey == "pause:"+r.RunID {
		return true
	}
	var own struct {
		Control struct {
			Paused bool `json:"paused"`
		} `json:"control"`
	}
	return json.Unmarshal(orNull(r.Vars["_runtime"]), &own) == nil && own.Control.Paused
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}
