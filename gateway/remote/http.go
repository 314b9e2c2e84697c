package remote

import (
	"net/http"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
)

// PollRequest asks for work.
type PollRequest struct {
	Worker string   `json:"worker"` // names the worker in logs and waits
	Types  []string `json:"types"`  // effect types that it can carry out
	// Wait is how long to wait for work. Defaults to Options.Poll, which also is the most.
	Wait bide.Duration `json:"wait,omitempty"`
}

// Call is work to be done.
type Call struct {
	ID string `json:"call_id"`
	// Token goes along with everything that is said of the call.
	Token    int64     `json:"token"`
	Type     string    `json:"type"`
	Payload  bide.JSON `json:"payload,omitempty"`
	Key      string    `json:"idempotency_key"` // the same whenever this effect is made again
	RunID    string    `json:"run_id"`
	Workflow string    `json:"workflow"`
	Node     string    `json:"node"`
	Step     int64     `json:"step"`
	Attempt  int       `json:"attempt"`
	Session  string    `json:"session,omitempty"`
	// Deadline is when nobody waits for it any more; zero when there is none.
	Deadline time.Time `json:"deadline,omitzero"`
	// Lease is how long the worker has without a heartbeat.
	Lease bide.Duration `json:"lease"`
}

// Heartbeat says that the worker is at work. Its reply is a Lease.
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
	Result bide.JSON `json:"result,omitempty"` // defaults to null
}

// Failure is a failed attempt.
type Failure struct {
	Token   int64  `json:"token"`
	Message string `json:"message"`
	// Code is the worker's own. Defaults to bide.FailureHandler.
	Code string `json:"code,omitempty"`
	// Permanent means that trying again cannot help; else the effect's retry policy counts, after RetryAfter at the earliest.
	Permanent  bool          `json:"permanent,omitempty"`
	RetryAfter bide.Duration `json:"retry_after,omitempty"`
}

// Handler serves, to principals with the right auth.Work:
//
//	POST /remote/poll                  PollRequest → 200 Call, or 204 when there was none
//	POST /remote/calls/{id}/heartbeat  Heartbeat → 200 Lease
//	POST /remote/calls/{id}/complete   Completion → 204
//	POST /remote/calls/{id}/fail       Failure → 204
//
// The last three answer 409 with the code stale when the call is not the caller's any more. That a result was taken means that
// the server has it, not yet that it is on record: if the server dies in between, the effect is in doubt as always.
func (p *Pool) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /remote/poll", p.poll)
	mux.HandleFunc("POST /remote/calls/{id}/heartbeat", func(w http.ResponseWriter, r *http.Request) {
		var in Heartbeat
		p.about(w, r, &in, func(as *auth.Principal, id string) bool { return p.held(as, id, in.Token, p.lease) }, Lease{bide.Duration(p.opts.Lease)})
	})
	mux.HandleFunc("POST /remote/calls/{id}/complete", func(w http.ResponseWriter, r *http.Request) {
		var in Completion
		p.about(w, r, &in, func(as *auth.Principal, id string) bool {
			if in.Result == nil {
				in.Result = bide.JSON("null")
			}
			return p.end(as, id, in.Token, ending{outcome: bide.Completed(in.Result)})
		}, nil)
	})
	mux.HandleFunc("POST /remote/calls/{id}/fail", func(w http.ResponseWriter, r *http.Request) {
		var in Failure
		p.about(w, r, &in, func(as *auth.Principal, id string) bool { return p.end(as, id, in.Token, ending{err: in.err()}) }, nil)
	})
	return auth.Need(auth.Work, mux)
}

// about reads what is said of a call, does it, and answers.
func (p *Pool) about(w http.ResponseWriter, r *http.Request, in any, do func(as *auth.Principal, id string) bool, reply any) {
	if err := problem.Read(w, r, p.opts.MaxBody, in); err != nil {
		problem.Write(w, err)
		return
	}
	switch {
	case !do(auth.From(r.Context()), r.PathValue("id")):
		problem.Write(w, problem.New(problem.Stale, errStale.Error()))
	case reply == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		problem.Reply(w, http.StatusOK, reply)
	}
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

func (p *Pool) poll(w http.ResponseWriter, r *http.Request) {
	var in PollRequest
	err := problem.Read(w, r, p.opts.MaxBody, &in)
	if err == nil {
		err = p.check(&in)
	}
	if err != nil {
		problem.Write(w, err)
		return
	}
	wait := p.opts.Poll
	if in.Wait > 0 {
		wait = min(wait, time.Duration(in.Wait))
	}
	over := make(chan struct{})
	defer p.opts.Clock.AfterFunc(wait, func() { close(over) })()
	as := auth.From(r.Context())
	for r.Context().Err() == nil {
		c, token, again := p.take(as, in.Worker, in.Types)
		if c != nil {
			problem.Reply(w, http.StatusOK, p.shown(as, c, token))
			return
		}
		select {
		case <-again:
		case <-over:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-r.Context().Done():
		}
	}
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

func (p *Pool) shown(as *auth.Principal, c *call, token int64) Call {
	i := c.inv
	session, _ := as.Local(i.Session)
	return Call{ID: c.id, Token: token, Type: i.Type, Payload: i.Payload, Key: i.Key, RunID: i.Run, Workflow: i.Workflow, Node: i.Node, Step: i.Step,
		Attempt: i.Attempt, Session: session, Deadline: i.Deadline, Lease: bide.Duration(p.opts.Lease)}
}
