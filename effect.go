package bide

import (
	"fmt"
	"strconv"
	"time"
)

// Effect is a request for something outside the node: work for a handler, or
// one of the built-in effects. Make one with Call, Ask, Form, Tell, SleepUntil,
// SleepFor, WaitEvent, Job or Query, and refine it with its methods, each of
// which returns a changed copy.
type Effect struct {
	Type string `json:"type"`
	// Payload is what the handler receives.
	Payload JSON `json:"payload,omitempty"`
	// Result is the path in vars where the result goes; empty drops it.
	Result string `json:"result,omitempty"`
	// Append adds the result to the list at Result instead of replacing it.
	Append bool `json:"append,omitempty"`
	// Delivery says what happens when the outcome of an attempt is unknown. Defaults to AtLeastOnce.
	Delivery Delivery `json:"delivery,omitempty"`
	// Retry says when a failed attempt is made again. Nil means one attempt.
	Retry *RetryPolicy `json:"retry,omitempty"`
	// AttemptTimeout bounds one attempt, and Timeout all of them with the pauses
	// between. Zero means no bound.
	AttemptTimeout Duration `json:"attempt_timeout,omitempty"`
	Timeout        Duration `json:"timeout,omitempty"`
	// ErrorResult makes a failure for good the effect's result, {"error": Failure},
	// instead of failing the step.
	ErrorResult bool `json:"error_result,omitempty"`
	// Failed is the path of a list in vars that takes the results which failed attempts came with (EffectFailed.Result);
	// empty drops them.
	Failed string `json:"failed,omitempty"`

	err error // a fault met while building it; reported when the plan is checked
}

// Delivery is what to do with an effect whose outcome is unknown after a crash (K8).
type Delivery string

// The delivery policies.
const (
	// AtLeastOnce runs the effect again with the same idempotency key.
	AtLeastOnce Delivery = ""
	// AtMostOnce never runs it again by itself: it opens an attention wait, and a
	// person says what happened.
	AtMostOnce Delivery = "at_most_once"
	// AtMostOnceDecided is AtMostOnce from the time that a wait of the effect's
	// handler, other than a Wait.Repeatable, led to another attempt; what the handler does before may be repeated.
	// It is for handlers that ask for leave before they do anything (Waiting, Decided).
	AtMostOnceDecided Delivery = "at_most_once_decided"
)

// once reports whether an effect that may have happened is not to be made again by itself.
func (d Delivery) once() bool { return d != AtLeastOnce }

// RetryPolicy says how often and when a failed attempt is made again (K11). The
// delay before attempt n+1 is Backoff x Factor^(n-1), at most Max, less a random
// share of up to Jitter; it is chosen once and recorded.
type RetryPolicy struct {
	Attempts int      `json:"attempts"`          // all attempts, the first included. Defaults to 3.
	Backoff  Duration `json:"backoff,omitempty"` // before the second attempt. Defaults to 1s.
	Max      Duration `json:"max,omitempty"`     // the longest delay. Defaults to 1m.
	Factor   float64  `json:"factor,omitempty"`  // growth. Defaults to 2.
	Jitter   float64  `json:"jitter,omitempty"`  // share of the delay that is random, 0 to 1. Defaults to 0.2; below 0 means none.
}

// The types of the built-in effects, which the kernel carries out itself.
const (
	TypeAsk       = "ask"
	TypeTell      = "tell"
	TypeWaitUntil = "wait_until"
	TypeWaitEvent = "wait_event"
	TypeJob       = "job"
	TypeQuery     = "query_vars"
	TypeStartRun  = "start_run"
	TypeFanOut    = "fan_out"
)

var builtin = map[string]bool{TypeAsk: true, TypeTell: true, TypeWaitUntil: true, TypeWaitEvent: true, TypeJob: true, TypeQuery: true, TypeStartRun: true, TypeFanOut: true}

// BuiltIn reports whether the kernel carries out the effect itself, without an attempt of a handler.
func (e *Effect) BuiltIn() bool { return builtin[e.Type] }

// Call asks the handler registered for typ to work on payload.
func Call(typ string, payload any) Effect {
	raw, err := encode(payload)
	if builtin[typ] && err == nil {
		err = fmt.Errorf("type %q is built in; use its constructor", typ)
	}
	return Effect{Type: typ, Payload: raw, err: err}
}

// AskOptions refines a question. Nil means free text without a deadline.
type AskOptions struct {
	Choices []string `json:"choices,omitempty"`
	// FreeText allows an answer that is not one of Choices. Without choices it is always allowed.
	FreeText bool `json:"allow_free_text,omitempty"`
	// Assignees are the actors and groups who may answer (Wait.Assignees). Without any, everybody may.
	Assignees []string `json:"assignees,omitempty"`
	// Timeout is how long the question stays open. Zero means forever.
	Timeout Duration `json:"timeout,omitempty"`
	// Default is the answer taken when the time is over; empty means that the
	// effect then fails with code timeout, which OnTimeout can catch.
	Default string `json:"default,omitempty"`
}

// FormOptions refines a form. Nil means no deadline.
type FormOptions struct {
	Assignees []string // as in AskOptions
	Timeout   Duration // as in AskOptions
	Default   any      // as in AskOptions; must fit the schema
}

// waitSpec is the payload of the effects that open a wait.
type waitSpec struct {
	Message   string   `json:"message,omitempty"`
	Choices   []string `json:"choices,omitempty"`
	FreeText  bool     `json:"allow_free_text,omitempty"`
	Schema    JSON     `json:"response_schema,omitempty"`
	Until     string   `json:"until,omitempty"`
	For       Duration `json:"for,omitempty"`
	Key       string   `json:"key,omitempty"`
	Scope     Scope    `json:"scope,omitempty"`
	Past      Duration `json:"past,omitempty"`
	Details   JSON     `json:"details,omitempty"`
	Assignees []string `json:"assignees,omitempty"`
	Timeout   Duration `json:"timeout,omitempty"`
	Default   JSON     `json:"default,omitempty"`
}

func (s waitSpec) effect(typ string, err error) Effect {
	raw, encErr := encodeOwn(s)
	if err == nil {
		err = encErr
	}
	return Effect{Type: typ, Payload: raw, err: err}
}

// Ask puts a question to a person. Its result is an Answer with Choice or Text.
func Ask(prompt string, opts *AskOptions) Effect {
	if opts == nil {
		opts = &AskOptions{}
	}
	spec := waitSpec{Message: prompt, Choices: opts.Choices, FreeText: opts.FreeText || len(opts.Choices) == 0, Assignees: opts.Assignees, Timeout: opts.Timeout}
	var err error
	if opts.Default != "" {
		spec.Default, err = encode(opts.Default)
	}
	return spec.effect(TypeAsk, err)
}

// Form asks a person for a value that fits a JSON Schema (a Go value, or JSON
// text as json.RawMessage). Its result is an Answer with Data.
func Form(prompt string, schema any, opts *FormOptions) Effect {
	if opts == nil {
		opts = &FormOptions{}
	}
	spec := waitSpec{Message: prompt, Assignees: opts.Assignees, Timeout: opts.Timeout}
	var err error
	if spec.Schema, err = encode(schema); err == nil && opts.Default != nil {
		spec.Default, err = encode(opts.Default)
	}
	return spec.effect(TypeAsk, err)
}

// Tell says something to the person who follows the run. It does not wait.
func Tell(message string) Effect { return waitSpec{Message: message}.effect(TypeTell, nil) }

// SleepUntil waits until t. A time already past gives the same result at once:
// {"until": t}.
func SleepUntil(t time.Time) Effect {
	var err error
	if t.IsZero() {
		err = fmt.Errorf("the time is zero")
	}
	return waitSpec{Until: formatTime(t)}.effect(TypeWaitUntil, err)
}

// SleepUntilText is SleepUntil for a time in RFC 3339 form with an explicit
// zone. Anything else fails the step when the plan is checked (K18).
func SleepUntilText(t string) Effect {
	_, err := parseTime(t)
	return waitSpec{Until: t}.effect(TypeWaitUntil, err)
}

// SleepFor waits for d, counted from the time of the step.
func SleepFor(d time.Duration) Effect {
	var err error
	if d < 0 {
		err = fmt.Errorf("the duration %s is negative", d)
	}
	return waitSpec{For: Duration(d)}.effect(TypeWaitUntil, err)
}

// Job waits for work that somebody else does and completes by the wait's id,
// with Resume and a JobResult. Details tell them what to do; key is theirs to find it by.
func Job(key string, details any) Effect {
	raw, err := encode(details)
	return waitSpec{Key: key, Details: raw}.effect(TypeJob, err)
}

// Query reads the vars at path as an effect, so that what was read is recorded.
func Query(path string) Effect {
	_, err := parsePath(path)
	return waitSpec{Key: path}.effect(TypeQuery, err)
}

// As stores the result at path in vars.
func (e Effect) As(path string) Effect { e.Result, e.Append = path, false; return e }

// AppendTo adds the result to the list at path in vars; the list is created when missing.
func (e Effect) AppendTo(path string) Effect { e.Result, e.Append = path, true; return e }

// WithRetry sets the retry policy; zero fields mean the documented defaults.
func (e Effect) WithRetry(p RetryPolicy) Effect { e.Retry = &p; return e }

// WithTimeout bounds all attempts together.
func (e Effect) WithTimeout(d time.Duration) Effect { e.Timeout = Duration(d); return e }

// WithAttemptTimeout bounds each attempt.
func (e Effect) WithAttemptTimeout(d time.Duration) Effect { e.AttemptTimeout = Duration(d); return e }

// Once sets delivery to AtMostOnce.
func (e Effect) Once() Effect { e.Delivery = AtMostOnce; return e }

// OnceDecided sets delivery to AtMostOnceDecided.
func (e Effect) OnceDecided() Effect { e.Delivery = AtMostOnceDecided; return e }

// WithErrorResult makes a failure for good the effect's result, an ErrorResult.
func (e Effect) WithErrorResult() Effect { e.ErrorResult = true; return e }

// KeepFailed adds the results that failed attempts came with to the list at path in vars; the list is created when missing.
func (e Effect) KeepFailed(path string) Effect { e.Failed = path; return e }

// ErrorResult is the result of an effect that failed, with Effect.ErrorResult.
type ErrorResult struct {
	Error *Failure `json:"error"`
}

// attempts is how many attempts the policy allows.
func (e *Effect) attempts() int {
	switch {
	case e.Retry == nil:
		return 1
	case e.Retry.Attempts == 0:
		return 3
	}
	return e.Retry.Attempts
}

// delay is the pause after failed attempt n, for a random share r in [0,1).
func (p *RetryPolicy) delay(n int, r float64) time.Duration {
	base, limit, factor, jitter := time.Duration(p.Backoff), time.Duration(p.Max), p.Factor, p.Jitter
	if base == 0 {
		base = time.Second
	}
	if limit == 0 {
		limit = time.Minute
	}
	if factor == 0 {
		factor = 2
	}
	if jitter == 0 {
		jitter = 0.2
	}
	d := float64(base)
	for i := 1; i < n && d < float64(limit); i++ {
		d *= factor
	}
	d = min(d, float64(limit))
	return time.Duration(d * (1 - max(jitter, 0)*r))
}

// faults lists what is wrong with the effect, each with a path under at.
func (e *Effect) faults(at string, lim *Limits) (out []Fault) {
	add := func(field, format string, args ...any) {
		out = append(out, Fault{at + field, fmt.Sprintf(format, args...)})
	}
	if e.err != nil {
		add("", "%v", e.err)
		e.err = nil
	}
	if e.Type == "" {
		add(".type", "is empty")
	}
	if len(e.Payload) > lim.ValueBytes {
		add(".payload", "has %d bytes, more than the limit of %d", len(e.Payload), lim.ValueBytes)
	}
	if e.Result != "" {
		if _, err := parsePath(e.Result); err != nil {
			add(".result", "%v", err)
		}
	}
	if e.Failed != "" {
		if _, err := parsePath(e.Failed); err != nil {
			add(".failed", "%v", err)
		}
	}
	if e.Delivery != AtLeastOnce && e.Delivery != AtMostOnce && e.Delivery != AtMostOnceDecided {
		add(".delivery", "%q is not empty, %q or %q", e.Delivery, AtMostOnce, AtMostOnceDecided)
	}
	if e.ErrorResult && e.Type == TypeFanOut {
		add(".error_result", "does not go with a fan-out; use FanOutOptions.AllowFailures")
	}
	if e.Timeout < 0 || e.AttemptTimeout < 0 {
		add(".timeout", "is negative")
	}
	if p := e.Retry; p != nil && (p.Attempts < 0 || p.Backoff < 0 || p.Max < 0 || p.Factor < 0 || p.Jitter > 1) {
		add(".retry", "has a negative field, or a jitter above 1")
	}
	return out
}

// key is the idempotency key of an effect (K7).
func effectKey(run string, step int64, index int) string {
	return run + "/" + strconv.FormatInt(step, 10) + "/" + strconv.Itoa(index)
}

// formatTime and parseTime hold the one form of an instant: RFC 3339, an
// explicit zone on reading and UTC on writing.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time in RFC 3339 form with a zone, such as 2026-11-22T10:00:00Z", s)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}
