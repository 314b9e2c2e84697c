// Package tally adds up what the ledger of a run says: what its time went into, what
// became of its nodes, and what its calls of models took. It must not know where ledgers are kept, nor
// who asks.
package tally

import (
	"iter"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// Tally is what the ledger of one run says.
type Tally struct {
	Nodes map[string]*Node
	Spent llm.Spending
	// Records is how many there are.
	Records int

	time  Time
	doing share // what time goes into after the last record; nil when the run has ended
	last  time.Time
}

// Time is what the time of a run went into, from its beginning to its end or to a moment. At any moment it
// is one of these; what comes first here counts when several hold.
type Time struct {
	Paused    time.Duration // frozen by somebody
	Computing time.Duration // an attempt of an effect was under way
	People    time.Duration // a wait for a person was open
	Waiting   time.Duration // another wait was open: a timer, an event, a job, a child, the time of the next attempt
	Idle      time.Duration // none of these: it could have gone on, and nobody drove it
}

// ByModel is what the calls of each model took; under the empty name, what is not known to be of one: attempts that
// failed, and answers that a person gave.
func (t *Tally) ByModel() map[string]*llm.Spending {
	out := map[string]*llm.Spending{}
	rest := llm.Spending{Calls: t.Spent.Calls, Failed: t.Spent.Failed, Uncounted: t.Spent.Uncounted, Unpriced: t.Spent.Unpriced}
	for model, spent := range t.Spent.ByModel {
		out[model] = spent
		rest.Calls -= spent.Calls
		rest.Uncounted -= spent.Uncounted
		rest.Unpriced -= spent.Unpriced
	}
	if rest.Calls > 0 || rest.Failed > 0 {
		out[""] = &rest
	}
	return out
}

// share is a part of a Time.
type share func(*Time) *time.Duration

// Add adds another run's time.
func (t *Time) Add(o Time) {
	t.Paused += o.Paused
	t.Computing += o.Computing
	t.People += o.People
	t.Waiting += o.Waiting
	t.Idle += o.Idle
}

// Node is what became of a node of a run.
type Node struct {
	Visits   int64         // how often it was decided or failed to be
	Failures int64         // visits that failed: the node itself, or an effect of it for good
	Retries  int64         // failed attempts of effects that were tried again
	Took     time.Duration // from each visit to the next one, or to the end
}

// person are the kinds of waits that a person ends.
var person = []bide.WaitKind{bide.WaitQuestion, bide.WaitForm, bide.WaitToolApproval, bide.WaitBudget, bide.WaitAttention}

// Of adds up the records of a run, from the first on.
func Of(records iter.Seq2[bide.Record, error]) (*Tally, error) {
	w := walk{Tally: Tally{Nodes: map[string]*Node{}}}
	w.close()
	var all []bide.Record
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		data, err := rec.Decode()
		if err != nil {
			return nil, err
		}
		w.record(&rec, data)
		all = append(all, rec)
	}
	w.Records = len(all)
	if w.calls { // it reads the records a second time
		var err error
		if w.Spent, err = llm.Spent(each(all)); err != nil {
			return nil, err
		}
	}
	return &w.Tally, nil
}

func each(all []bide.Record) iter.Seq2[bide.Record, error] {
	return func(yield func(bide.Record, error) bool) {
		for _, rec := range all {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// Time is what the run's time went into up to its end, or up to now when it has not ended.
func (t *Tally) Time(now time.Time) Time {
	sum := t.time
	if t.doing != nil && now.After(t.last) {
		*t.doing(&sum) += now.Sub(t.last)
	}
	return sum
}

// walk goes through a ledger.
type walk struct {
	Tally
	paused  bool
	working map[int]bool    // effects with an attempt under way
	people  map[string]bool // open waits for people
	others  map[string]bool // other open waits
	retries map[int]bool    // effects that wait for their next attempt
	failed  bool            // the visit has been counted as failed
	node    *Node
	calls   bool // it calls models
	since   time.Time
}

// close ends the step.
func (w *walk) close() {
	w.working, w.people, w.others, w.retries, w.failed = map[int]bool{}, map[string]bool{}, map[string]bool{}, map[int]bool{}, false
}

// record counts the time up to a record, and looks what follows from it.
func (w *walk) record(rec *bide.Record, data any) {
	if w.doing != nil && rec.At.After(w.last) {
		*w.doing(&w.time) += rec.At.Sub(w.last)
	}
	w.last = rec.At
	ended := false
	switch d := data.(type) {
	case *bide.StepPlanned:
		w.visit(rec)
		announced := d.Announced
		for i, e := range d.Plan.Effects {
			w.calls = w.calls || e.Type == llm.Type
			if announced > 0 && !e.BuiltIn() {
				w.working[i] = true
				announced--
			}
		}
	case *bide.StepFailed:
		w.visit(rec)
		w.fail()
	case *bide.EffectStarted:
		w.working[d.Effect] = true
		delete(w.retries, d.Effect)
	case *bide.EffectCompleted:
		w.stopped(d.Effect)
	case *bide.EffectInterrupted:
		w.stopped(d.Effect)
	case *bide.EffectFailed:
		w.stopped(d.Effect)
		if d.RetryAt.IsZero() {
			w.fail()
		} else {
			w.retries[d.Effect] = true
			if w.node != nil {
				w.node.Retries++
			}
		}
	case *bide.Wait:
		w.stopped(d.Effect)
		if slices.Contains(person, d.Kind) {
			w.people[d.ID] = true
		} else {
			w.others[d.ID] = true
		}
	case *bide.WaitResolved:
		delete(w.people, d.WaitID)
		delete(w.others, d.WaitID)
	case *bide.RunCompleted, *bide.RunFailed:
		ended = true
	}
	switch rec.Kind {
	case bide.KindRunCancelled:
		ended = true
	case bide.KindRunPaused:
		w.paused = true
	case bide.KindRunUnpaused:
		w.paused = false
	}
	w.doing = w.now()
	if ended {
		w.leave(rec.At)
		w.close()
		w.doing, w.paused = nil, false
	}
}

// visit begins a step.
func (w *walk) visit(rec *bide.Record) {
	w.leave(rec.At)
	w.close()
	if w.Nodes[rec.Node] == nil {
		w.Nodes[rec.Node] = &Node{}
	}
	w.node, w.since = w.Nodes[rec.Node], rec.At
	w.node.Visits++
}

// leave counts the time of the step that ends.
func (w *walk) leave(at time.Time) {
	if w.node != nil && at.After(w.since) {
		w.node.Took += at.Sub(w.since)
	}
	w.node = nil
}

// fail counts the visit as failed, once.
func (w *walk) fail() {
	if w.node != nil && !w.failed {
		w.node.Failures++
		w.failed = true
	}
}

func (w *walk) stopped(effect int) {
	delete(w.working, effect)
	delete(w.retries, effect)
}

// now is what the time goes into.
func (w *walk) now() share {
	switch {
	case w.paused:
		return func(t *Time) *time.Duration { return &t.Paused }
	case len(w.working) > 0:
		return func(t *Time) *time.Duration { return &t.Computing }
	case len(w.people) > 0:
		return func(t *Time) *time.Duration { return &t.People }
	case len(w.others) > 0 || len(w.retries) > 0:
		return func(t *Time) *time.Duration { return &t.Waiting }
	}
	return func(t *Time) *time.Duration { return &t.Idle }
}
