package bide

import (
	"fmt"
	"strconv"
	"time"
)

// ChildOptions refines StartRun. Nil means the defaults.
type ChildOptions struct {
	// Version of the workflow. Defaults to the one registered last.
	Version string `json:"version,omitempty"`
	// Detached starts a run that goes on by itself: nobody waits for it, and it
	// outlives its parent. The result is then a ChildResult as of the start.
	Detached bool `json:"detached,omitempty"`
	// Session and Labels of the child. Default to the parent's.
	Session string            `json:"session,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Timeout of the child's run. Zero means forever.
	Timeout Duration `json:"timeout,omitempty"`
}

// ChildResult is the result of StartRun.
type ChildResult struct {
	RunID  string   `json:"run_id"`
	Status Status   `json:"status"`
	Output JSON     `json:"output,omitempty"`
	Error  *Failure `json:"error,omitempty"`
	// ContinuedAs is the run that the child goes on as; the parent waits for that one then.
	ContinuedAs string `json:"continued_as,omitempty"`
}

// childSpec is the payload of StartRun.
type childSpec struct {
	Workflow string `json:"workflow"`
	Input    JSON   `json:"input"`
	ChildOptions
}

// StartRun starts a child run and waits for its end (K20). Its result is a
// ChildResult with the output; when the child fails or is cancelled, the effect fails
// with code child_failed or child_cancelled. When the parent ends first, the child is cancelled.
func StartRun(workflow string, input any, opts *ChildOptions) Effect {
	if opts == nil {
		opts = &ChildOptions{}
	}
	spec := childSpec{Workflow: workflow, ChildOptions: *opts}
	var err error
	if spec.Input, err = encode(input); err != nil {
		return Effect{Type: TypeStartRun, err: err}
	}
	raw, err := encodeOwn(spec)
	return Effect{Type: TypeStartRun, Payload: raw, err: err}
}

// beginChild starts the child of a StartRun.
func (m *machine) beginChild(i int) error {
	var spec childSpec
	if err := decodeOwn(m.run.Effects[i].Payload, &spec); err != nil {
		return err
	}
	return m.startChild(i, spec.Workflow, spec.Input, &spec.ChildOptions, 0)
}

// startChild starts a child of effect i: its first commit travels with the one
// that opens the wait for it. Its id follows from the parent's, so that it starts once.
func (m *machine) startChild(i int, workflow string, input JSON, opts *ChildOptions, item int) error {
	r, e := m.run, &m.run.Effects[i]
	wf := m.find(workflow, opts.Version)
	switch {
	case wf == nil:
		return m.failAttempt(i, noWorkflow(workflow, opts.Version), 0, nil)
	case r.Depth+1 > m.lim.Depth:
		return m.failAttempt(i, &Failure{Code: FailureLimit, Permanent: true,
			Message: fmt.Sprintf("a child would be %d levels below the first run, more than the limit of %d", r.Depth+1, m.lim.Depth)}, 0, nil)
	}
	start := RunStarted{
		RunID: derivedID("child", e.Key, strconv.FormatInt(r.WaitCount, 10)), Workflow: wf.ID, Version: wf.Version, Definition: wf.Definition(), Entry: wf.Entry,
		Input: input, Session: opts.Session, Labels: opts.Labels, Parent: r.ID, Root: r.Root, Detached: opts.Detached, Depth: r.Depth + 1, MaxSteps: m.lim.Steps,
	}
	if start.Session == "" {
		start.Session = r.Session
	}
	if start.Labels == nil {
		start.Labels = r.Labels
	}
	if opts.Timeout > 0 {
		start.Deadline = truncate(m.now.Add(time.Duration(opts.Timeout)))
	}
	child := newMachine(&Run{}, nil, m.lim, m.now, 0, Cause{Actor: r.Actor})
	child.newSealer, child.redactor = m.newSealer, m.redactor
	if err := child.emit(KindRunStarted, 0, "", &start); err != nil {
		return err
	}
	m.starts = append(m.starts, child.commit())
	if opts.Detached {
		raw, err := encodeOwn(ChildResult{RunID: start.RunID, Status: StatusRunning})
		if err != nil {
			return err
		}
		return m.completeEffect(i, 0, raw, nil)
	}
	return m.here(KindWaitOpened, &Wait{ID: r.nextWaitID(), Kind: WaitChild, Key: childKey(start.RunID), Node: r.Node, Step: r.Step, Effect: i, Item: item,
		Message: "run " + start.RunID + " of workflow " + wf.ID, CreatedAt: m.now, ExpiresAt: m.deadline(e, 0)})
}

func childKey(runID string) string { return "run:" + runID }

// childOutcome is what the end of a child means for its parent's effect.
func childOutcome(payload JSON) (outcome, error) {
	var c ChildResult
	if err := decodeOwn(payload, &c); err != nil {
		return outcome{}, err
	}
	switch c.Status {
	case StatusCompleted:
		return outcome{result: payload}, nil
	case StatusFailed:
		f := &Failure{Code: FailureChild, Permanent: true, Run: c.RunID, Message: "run " + c.RunID + " failed"}
		if c.Error != nil {
			f.Message += ": " + c.Error.Message
		}
		return outcome{fail: f}, nil
	}
	return outcome{fail: &Failure{Code: FailureChildCancelled, Permanent: true, Run: c.RunID, Message: "run " + c.RunID + " was " + string(c.Status)}}, nil
}

// cancelChild tells a child whose end nobody waits for any more to end.
func (m *machine) cancelChild(w *Wait) {
	if w.Kind != WaitChild {
		return
	}
	id := w.Key[len(childKey("")):]
	m.send = append(m.send, Message{ID: id + "/cancel", To: id, Key: "cancel:" + id, At: m.now})
}

// ended sends what the end of a run means to others: its parent hears of it,
// unless the run goes on as another one.
func (m *machine) ended() error {
	r := m.run
	if r.Parent == "" || r.Detached || r.ContinuedAs != "" {
		return nil
	}
	return m.tellParent("end", ChildResult{RunID: r.ID, Status: r.Status, Output: r.Output, Error: r.Error})
}

// tellParent sends news of this run to its parent.
func (m *machine) tellParent(what string, news ChildResult) error {
	r := m.run
	payload, err := encodeOwn(news)
	if err != nil {
		return err
	}
	m.send = append(m.send, Message{ID: fmt.Sprintf("%s/%s/%d", r.ID, what, r.Seq), To: r.Parent, Key: childKey(r.ID), Payload: payload, At: m.now})
	return nil
}
