package bide

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Handler carries out one type of effect. It may be called again for the same
// effect after a failure or a crash, always with the same Invocation.Key: pass
// that on to whatever it calls, so that doing it twice has the effect of once.
// It should return when ctx ends; context.Cause then says why.
//
// An error, or a panic, is a failed attempt. Wrap it with Permanent or RetryAfter, or
// return a *Failure, to say more about it. What Completed holds beside an error is kept
// on record with the failed attempt (EffectFailed.Result) and goes nowhere else.
type Handler func(ctx context.Context, call *Invocation) (Outcome, error)

// Invocation is one attempt of an effect, as its handler sees it.
type Invocation struct {
	Run, Workflow, Node string
	Step                int64
	Effect              int // index in the step's plan
	Type                string
	Payload             JSON
	Key                 string // idempotency key: the same on every attempt
	Attempt             int    // from 1
	// Deadline is when ctx ends because of a timeout; zero when there is none.
	Deadline time.Time
	Session  string
	Labels   map[string]string
	// Answered are the waits that earlier attempts opened to be called again, with their answers, oldest first.
	Answered []Answered
	// Grants are those of the run (Run.Grants).
	Grants []Grant
	// Vars are the run's vars as of this attempt. Effects of the same step may
	// have written to them since the plan; what a step before wrote is there.
	Vars Vars
	// Last is why the attempt before this one failed; nil when none did.
	Last *Failure
}

// Outcome is what a handler returns: Completed, Waiting or Decided.
type Outcome struct {
	value   any
	writes  []Write
	wait    *Wait
	decided any // with wait: its answer
}

// Completed is the end of an effect with a result and, if it should change vars
// beyond the result's own place, writes.
func Completed(result any, writes ...Write) Outcome { return Outcome{value: result, writes: writes} }

// Waiting leaves the effect open on a wait; the answer becomes its result, or, with
// Wait.Again, comes back to the handler in another attempt. Kind (WaitQuestion, WaitForm, WaitForEvent, WaitJob,
// WaitToolApproval, WaitBudget or WaitCustom, the default), Key, Message, Choices, FreeText, Schema, Details, Items,
// Assignees, Priority, Again, Repeatable, State, ExpiresAt, OnExpire and Default count; the rest is set by the kernel.
func Waiting(w Wait) Outcome { return Outcome{wait: &w} }

// Decided puts on record a wait that needs no person, with the answer that
// resolves it at once: leave that a rule gives, for one.
func Decided(w Wait, answer any) Outcome { return Outcome{wait: &w, decided: answer} }

// Typed makes a Handler of a function with Go types; JSON goes in between.
// The function finds its Invocation with InvocationFrom.
func Typed[In, Out any](fn func(ctx context.Context, in In) (Out, error)) Handler {
	return func(ctx context.Context, call *Invocation) (Outcome, error) {
		var in In
		if err := decode(call.Payload, &in); err != nil {
			return Outcome{}, Permanent(fmt.Errorf("payload of effect %q: %w", call.Type, err))
		}
		out, err := fn(ctx, in)
		return Completed(out), err
	}
}

type invocationKey struct{}

// InvocationFrom returns the attempt that ctx belongs to, or nil outside a handler.
func InvocationFrom(ctx context.Context) *Invocation {
	call, _ := ctx.Value(invocationKey{}).(*Invocation)
	return call
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error as one that another attempt cannot mend.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

type retryAfterError struct {
	error
	after time.Duration
}

func (e retryAfterError) Unwrap() error { return e.error }

// RetryAfter asks that the next attempt be made no sooner than after d.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return retryAfterError{err, d}
}

// Causes of the end of a handler's context, besides the end of Tick's own.
var (
	// ErrRunPaused means that the run was paused. What the handler does then
	// still counts if it returns a result.
	ErrRunPaused = errors.New("the run was paused")
	// ErrRunEnded means that the run was cancelled or failed meanwhile.
	ErrRunEnded = errors.New("the run has ended")
	// ErrAttemptTimeout means that the time of the attempt or effect is over.
	ErrAttemptTimeout = errors.New("the attempt ran out of time")
)

// callHandler makes an attempt and sums up what came of it.
func callHandler(ctx context.Context, h Handler, call *Invocation) (res *result) {
	res = &result{id: attemptID{call.Step, call.Effect, call.Attempt}}
	if h == nil {
		res.fail = noHandler(call.Type)
		return res
	}
	defer func() {
		if v := recover(); v != nil {
			res.fail = &Failure{Code: FailurePanic, Message: fmt.Sprint(v), Stack: panicStack()}
		}
	}()
	out, err := h(context.WithValue(ctx, invocationKey{}, call), call)
	if err != nil {
		res.failed(ctx, err)
		res.keep(out.value)
		return res
	}
	if out.wait != nil {
		res.waits(out.wait)
		if res.wait != nil && out.decided != nil {
			res.decides(out.decided)
		}
		return res
	}
	if res.value, err = encode(out.value); err != nil {
		res.fail = &Failure{Code: FailureNotJSON, Message: "the result is " + err.Error()}
		return res
	}
	for _, w := range out.writes {
		if w.Value != nil {
			w.Value, err = compact(w.Value)
		}
		if err != nil {
			res.value, res.fail = nil, &Failure{Code: FailureNotJSON, Message: fmt.Sprintf("write %q is %v", w.Path, err)}
			return res
		}
		res.writes = append(res.writes, w)
	}
	return res
}

// keep adds to a failed attempt the result that came with it, if it is JSON.
func (res *result) keep(value any) {
	if value == nil {
		return
	}
	if raw, err := encode(value); err == nil {
		res.value = raw
	}
}

func (res *result) failed(ctx context.Context, err error) {
	var f *Failure
	if errors.As(err, &f) {
		c := *f
		res.fail = &c
	} else {
		res.fail = &Failure{Code: FailureHandler, Message: err.Error()}
	}
	var permanent permanentError
	var after retryAfterError
	if errors.As(err, &permanent) {
		res.fail.Permanent = true
	}
	if errors.As(err, &after) {
		res.retryAfter = after.after
	}
	cause := context.Cause(ctx)
	stopped := cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, cause))
	switch {
	case !stopped:
	case errors.Is(cause, ErrAttemptTimeout):
		res.fail.Code = FailureTimeout
	case !errors.Is(cause, ErrRunEnded):
		res.interrupted = true
	}
}

func (res *result) waits(w *Wait) {
	c := *w
	if c.Kind == "" {
		c.Kind = WaitCustom
	}
	c.Until, c.ExpiresAt = time.Time{}, truncate(c.ExpiresAt)
	bad := ""
	for _, raw := range []*JSON{&c.Schema, &c.Details, &c.Default, &c.State} {
		if *raw == nil {
			continue
		}
		var err error
		if *raw, err = compact(*raw); err != nil {
			bad = err.Error()
		}
	}
	switch {
	case bad != "":
	case c.Kind == WaitTimer || c.Kind == WaitRetry || c.Kind == WaitAttention:
		bad = fmt.Sprintf("a handler cannot open a wait of kind %s", c.Kind)
	case c.Kind == WaitForm, c.Kind == WaitBudget && c.Schema != nil:
		if _, err := CompileSchema(c.Schema); err != nil {
			bad = err.Error()
		}
	}
	if bad == "" {
		if err := c.prepareItems(); err != nil {
			bad = err.Error()
		}
	}
	if bad == "" && c.Default != nil {
		if faults := c.check(c.Default); len(faults) > 0 {
			bad = "the default answer: " + faults[0].String()
		}
	}
	if bad != "" {
		res.fail = &Failure{Code: FailureHandler, Permanent: true, Message: "the wait cannot be opened: " + bad}
		return
	}
	res.wait = &c
}

// decides resolves the attempt's wait at once.
func (res *result) decides(answer any) {
	raw, err := encode(answer)
	if err == nil {
		if faults := res.wait.check(raw); len(faults) > 0 {
			err = errors.New(faults[0].String())
		}
	}
	if err != nil {
		res.fail = &Failure{Code: FailureHandler, Permanent: true, Message: "the wait cannot be resolved: " + err.Error()}
		res.wait = nil
		return
	}
	res.decided = raw
}
