package remote

import (
	"context"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
)

// PollRequest asks for work.
type PollRequest struct {
	Worker string        `json:"worker" minLength:"1" maxLength:"100" doc:"names the worker in logs and waits"`
	Types  []string      `json:"types" minItems:"1" maxItems:"100" nullable:"false" doc:"effect types that it can carry out"`
	Wait   bide.Duration `json:"wait,omitempty" doc:"how long to wait for work; defaults to 20s, which also is the most"`
}

// Call is work to be done.
type Call struct {
	ID       string        `json:"call_id"`
	Token    int64         `json:"token" doc:"goes along with everything that is said of the call"`
	Type     string        `json:"type"`
	Payload  bide.JSON     `json:"payload,omitempty"`
	Key      string        `json:"idempotency_key" doc:"the same whenever this effect is made again"`
	RunID    string        `json:"run_id"`
	Workflow string        `json:"workflow"`
	Node     string        `json:"node"`
	Step     int64         `json:"step"`
	Attempt  int           `json:"attempt"`
	Session  string        `json:"session,omitempty"`
	Deadline time.Time     `json:"deadline,omitzero" doc:"when nobody waits for it any more; absent when there is none"`
	Lease    bide.Duration `json:"lease" doc:"how long the worker has without a heartbeat"`
}

// Heartbeat says that the worker is at work.
type Heartbeat struct {
	Token int64 `json:"token"`
}

// Lease is how long the worker has until the next heartbeat.
type Lease struct {
	Lease bide.Duration `json:"lease"`
}

// Completion is the end of a call.
type Completion struct {
	Token  int64     `json:"token"`
	Result bide.JSON `json:"result,omitempty" doc:"any JSON value; defaults to null"`
}

// Failure is a failed attempt.
type Failure struct {
	Token      int64         `json:"token"`
	Message    string        `json:"message" maxLength:"10000"`
	Code       string        `json:"code,omitempty" maxLength:"100" doc:"the worker's own; defaults to handler_error"`
	Permanent  bool          `json:"permanent,omitempty" doc:"trying again cannot help; else the effect's retry policy counts"`
	RetryAfter bide.Duration `json:"retry_after,omitempty" doc:"when the next attempt is made at the earliest"`
}

// Poll waits for a call that a principal may see, and gives it to its worker. It returns nil when none came in time, or closing
// was closed. The same key (of a request that is made again) gives a call that it gave before, as long as that is held. It
// fails with ErrInvalidInput, listing every fault.
func (p *Pool) Poll(ctx context.Context, as *auth.Principal, in *PollRequest, key string, closing <-chan struct{}) (*Call, error) {
	if err := p.check(in); err != nil {
		return nil, err
	}
	wait := p.opts.Poll
	if in.Wait > 0 {
		wait = min(wait, time.Duration(in.Wait))
	}
	over := make(chan struct{})
	defer p.opts.Clock.AfterFunc(wait, func() { close(over) })()
	for {
		c, token, again := p.take(as, in, key)
		if c != nil {
			return p.shown(as, c, token), nil
		}
		select {
		case <-again:
		case <-over:
			return nil, nil
		case <-closing:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Heartbeat lets a worker have its call for another while. It, Complete and Fail fail with the problem stale when the call is
// not the caller's any more.
func (p *Pool) Heartbeat(as *auth.Principal, id string, in *Heartbeat) (*Lease, error) {
	if !p.held(as, id, in.Token, p.lease) {
		return nil, stale()
	}
	return &Lease{bide.Duration(p.opts.Lease)}, nil
}

// Complete ends a call with its result; said again, it has ended already. That it was taken means that the server has
// it, not yet that it is on record: if the server dies in between, the effect is in doubt as always.
func (p *Pool) Complete(as *auth.Principal, id string, in *Completion) error {
	result := in.Result
	if result == nil {
		result = bide.JSON("null")
	}
	return p.end(as, id, in.Token, ending{outcome: bide.Completed(result)})
}

// Fail ends a call as a failed attempt; said again, it has ended already.
func (p *Pool) Fail(as *auth.Principal, id string, in *Failure) error {
	return p.end(as, id, in.Token, ending{err: in.err()})
}

func (f *Failure) err() error {
	out := &bide.Failure{Code: f.Code, Message: f.Message, Permanent: f.Permanent}
	if out.Code == "" {
		out.Code = bide.FailureHandler
	}
	if f.RetryAfter > 0 {
		return bide.RetryAfter(out, time.Duration(f.RetryAfter))
	}
	return out
}

func (p *Pool) check(in *PollRequest) error {
	var faults []bide.Fault
	if in.Worker == "" || len(in.Worker) > 100 {
		faults = append(faults, bide.Fault{Path: "/worker", Message: "has 1 to 100 bytes"})
	}
	if len(in.Types) == 0 {
		faults = append(faults, bide.Fault{Path: "/types", Message: "there are none"})
	}
	for _, typ := range in.Types {
		if !slices.Contains(p.types, typ) {
			faults = append(faults, bide.Fault{Path: "/types", Message: "this server has no remote effect type \"" + typ + "\""})
		}
	}
	if in.Wait < 0 {
		faults = append(faults, bide.Fault{Path: "/wait", Message: "is negative"})
	}
	if len(faults) > 0 {
		return &bide.Error{Code: bide.CodeInvalidInput, Message: "no work can be given", Faults: faults}
	}
	return nil
}

func (p *Pool) shown(as *auth.Principal, c *call, token int64) *Call {
	i := c.inv
	session, _ := as.Local(i.Session)
	return &Call{ID: c.id, Token: token, Type: i.Type, Payload: i.Payload, Key: i.Key, RunID: i.Run, Workflow: i.Workflow, Node: i.Node, Step: i.Step,
		Attempt: i.Attempt, Session: session, Deadline: i.Deadline, Lease: bide.Duration(p.opts.Lease)}
}

func stale() error {
	return problem.New(problem.Stale, "the call is no longer this worker's: it was lost, has ended, or the server was started anew; leave it")
}
