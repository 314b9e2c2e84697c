package bide

import (
	"maps"
	"slices"
	"time"
)

// Status is what a run is doing.
type Status string

// The statuses of a run. The last three are final, except that Retry starts a
// failed run again.
const (
	StatusRunning   Status = "running"   // there is something to do now: Tick it
	StatusWaiting   Status = "waiting"   // nothing to do until a wait is resolved or WakeAt comes
	StatusPaused    Status = "paused"    // frozen until Unpause
	StatusCompleted Status = "completed" // ended with an output
	StatusFailed    Status = "failed"    // ended with an error
	StatusCancelled Status = "cancelled" // ended by Cancel
)

// Final reports whether a run with this status has ended.
func (s Status) Final() bool {
	return s == StatusCompleted || s == StatusFailed || s == StatusCancelled
}

// RunInfo is what a listing shows of a run.
type RunInfo struct {
	ID         string            `json:"run_id"`
	Workflow   string            `json:"workflow"`
	Version    string            `json:"version"`
	Definition string            `json:"definition"` // SHA-256 of the definition it began with
	Status     Status            `json:"status"`
	Node       string            `json:"node,omitempty"` // the current or last node
	Step       int64             `json:"step"`           // the number of the current step, from 1
	Key        string            `json:"key,omitempty"`
	Session    string            `json:"session,omitempty"`
	Actor      string            `json:"actor,omitempty"`
	Parent     string            `json:"parent,omitempty"`
	Root       string            `json:"root"`             // the first run of its tree; itself, without parent
	Origin     string            `json:"origin,omitempty"` // the run it was forked from, or in whose place it goes on
	Labels     map[string]string `json:"labels,omitempty"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	EndedAt    time.Time         `json:"ended_at,omitzero"`
	// WakeAt is when the next timer, retry or deadline is due; zero when none is.
	WakeAt time.Time `json:"wake_at,omitzero"`
	// SetAside is why no worker takes the run; a store sets it in listings.
	SetAside string `json:"set_aside,omitempty"`
	Seq      int64  `json:"seq"`  // number of ledger records
	Head     Hash   `json:"head"` // hash of the last one
}

// Position is the run's place in its ledger.
func (r *RunInfo) Position() Position { return Position{Seq: r.Seq, Head: r.Head} }

// Run is the state of one execution: what the fold of its ledger gives (K3).
// What the runtime hands out is a snapshot that does not change.
type Run struct {
	RunInfo
	Vars Vars `json:"vars"`
	// Waits are the open waits, oldest first.
	Waits []Wait `json:"waits,omitempty"`
	// Effects are the effects of the current step, in the order of its plan.
	Effects []EffectState `json:"effects,omitempty"`
	Output  JSON          `json:"output,omitempty"`
	// Error is why the run failed.
	Error *Failure `json:"error,omitempty"`
	// Caught is the failure that led to the current node, when that is an error
	// or timeout node.
	Caught   *Failure  `json:"caught,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`  // of the whole run
	MaxSteps int64     `json:"max_steps"`          // limit on Step
	Detached bool      `json:"detached,omitempty"` // its parent does not wait for its end
	Depth    int       `json:"depth,omitempty"`    // levels below the first run
	// Exit is where the run goes next once the current step has ended; nil while it is open.
	Exit *Exit `json:"exit,omitempty"`
	// Plan holds the exits of the open step.
	Plan *StepPlan `json:"plan,omitempty"`
	// WaitCount is the number of waits ever opened; wait ids derive from it.
	WaitCount int64 `json:"wait_count,omitempty"`
	// Grants are the approvals given in this run that count for later calls of
	// tools, oldest first.
	Grants []Grant `json:"grants,omitempty"`
	// Continues is the run in whose place this one goes on, and ContinuedAs the one that goes on in place of this
	// one; empty when there is none.
	Continues   string `json:"continues,omitempty"`
	ContinuedAs string `json:"continued_as,omitempty"`
	// Paused says who paused the run, when and why; nil when it is not paused.
	Paused *Cause `json:"paused,omitempty"`
	// Shredded says who destroyed the run's content, when and why (Shred); nil when it is there.
	Shredded *Cause `json:"shredded,omitempty"`

	now    time.Time // the time of the step, for Now
	opened []Wait    // waits opened and ids closed since the last commit
	closed []string
	locked error // records were passed over that are sealed: the state is not known
}

// Now is the recorded time of the current step: what a node uses for the clock.
func (r *Run) Now() time.Time { return r.now }

// Input reads the run's input, which is at "input" in its vars.
func Input[T any](r *Run) (T, error) { return Get[T](r.Vars, "input") }

// Wait returns the open wait with the given id, or nil.
func (r *Run) Wait(id string) *Wait {
	for i := range r.Waits {
		if r.Waits[i].ID == id {
			return &r.Waits[i]
		}
	}
	return nil
}

// listens reports whether the run waits and a message could end that.
func (r *Run) listens() bool {
	return r.Status == StatusWaiting && slices.ContainsFunc(r.Waits, func(w Wait) bool {
		return w.Kind == WaitForEvent || w.Kind == WaitChild
	})
}

// busy reports whether an attempt has been announced whose outcome is not known.
func (r *Run) busy() bool {
	return slices.ContainsFunc(r.Effects, func(e EffectState) bool { return e.Status == StateRunning })
}

// EffectState is where one effect of the current step stands.
type EffectState struct {
	Effect
	Key     string       `json:"idempotency_key"`
	Status  EffectStatus `json:"status"`
	Attempt int          `json:"attempt"`           // the current or last one, from 1; 0 before the first
	Spent   int          `json:"spent,omitempty"`   // attempts that count against the retry policy
	Lost    int          `json:"lost,omitempty"`    // attempts whose outcome a crash left unknown
	Wait    string       `json:"wait_id,omitempty"` // the open wait, when Status is waiting
	// StartedAt is the time of the first attempt; Timeout counts from it.
	StartedAt time.Time `json:"started_at,omitzero"`
	// Error is the last failed attempt's.
	Error *Failure `json:"error,omitempty"`
	// Answered are the waits that the effect's handler opened to be called again, oldest first.
	Answered []Answered `json:"answered,omitempty"`
	// FanOut is how far a FanOut is; nil for other effects.
	FanOut *FanOutState `json:"fan_out,omitempty"`
}

// EffectStatus is where an effect stands.
type EffectStatus string

// The statuses of an effect.
const (
	StatePending     EffectStatus = "pending"     // to be announced and started
	StateRunning     EffectStatus = "running"     // announced; without a live handler it is in doubt
	StateInterrupted EffectStatus = "interrupted" // stopped by pause or shutdown; in doubt
	StateWaiting     EffectStatus = "waiting"     // on its wait
	StateCompleted   EffectStatus = "completed"
	StateFailed      EffectStatus = "failed"
)

func (s EffectStatus) ended() bool { return s == StateCompleted || s == StateFailed }

// Failure is why an attempt, a step or a run failed.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Permanent means that trying again cannot help.
	Permanent bool   `json:"permanent,omitempty"`
	Stack     string `json:"stack,omitempty"`
	Node      string `json:"node,omitempty"`
	Step      int64  `json:"step,omitempty"`
	Run       string `json:"run_id,omitempty"` // the child that failed or was cancelled
	Effect    string `json:"effect,omitempty"` // the type of the effect that failed
	Attempts  int    `json:"attempts,omitempty"`
}

// Codes of failures. Handlers may use their own with Failed.
const (
	FailurePlanned        = "planned"         // the plan said so
	FailureHandler        = "handler_error"   // a handler returned an error
	FailurePanic          = "panic"           // a node or handler panicked
	FailureNode           = "node_error"      // a node returned an error or a plan that cannot be carried out
	FailureNotJSON        = "not_json"        // a result cannot be written as JSON
	FailureWrite          = "invalid_write"   // a result does not fit its place in vars
	FailureTooLarge       = "too_large"       // a result is above the limit
	FailureNoHandler      = "no_handler"      // no handler is registered for the effect's type
	FailureTimeout        = "timeout"         // an attempt, effect, wait or run ran out of time
	FailureLimit          = "limit_exceeded"  // a limit on the run was reached
	FailureDecided        = "decided"         // a person said that the effect failed
	FailureJob            = "job_failed"      // an external job reported failure
	FailureNoWorkflow     = "no_workflow"     // the workflow of a child is not registered
	FailureChild          = "child_failed"    // a child run failed
	FailureChildCancelled = "child_cancelled" // a child run was cancelled
	FailureOutput         = "output_missing"  // there is no value at the path of the output
)

// Error makes a Failure an error.
func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// Cause is who asked for a change, when, by which command and why.
type Cause struct {
	Command string    `json:"command,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Groups  []string  `json:"-"` // of the actor; not recorded
}

// view returns a copy that later transitions do not touch.
func (r *Run) view() *Run {
	c := *r
	c.Vars = r.Vars.view()
	c.Waits = slices.Clone(r.Waits)
	c.Effects = slices.Clone(r.Effects)
	for i := range c.Effects {
		if f := c.Effects[i].FanOut; f != nil {
			fan := *f
			c.Effects[i].FanOut = &fan
		}
	}
	c.Labels = maps.Clone(r.Labels)
	c.opened, c.closed = nil, nil
	return &c
}
