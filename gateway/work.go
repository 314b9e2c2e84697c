package gateway

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/remote"
)

const tagWork = "work"

func (s *Server) registerWork() {
	const stale = "A problem of type stale (409) says that the call is not the caller's any more; leave it then."
	register(s, operation{id: "poll-work", method: http.MethodPost, path: "/v1/work", tag: tagWork, right: auth.Work,
		summary: "Wait for an effect to carry out", about: "Answers 204 when none came in time. The types are those that the server has as remote effects."}, s.pollWork)
	register(s, operation{id: "heartbeat-call", method: http.MethodPost, path: "/v1/work/{call}/heartbeat", tag: tagWork, right: auth.Work,
		summary: "Say that a worker is at work on a call", about: "A call whose worker is not heard of for its lease is offered again, or, if it may be made at most once, is for a person to decide. " + stale}, s.heartbeatCall)
	register(s, operation{id: "complete-call", method: http.MethodPost, path: "/v1/work/{call}/complete", tag: tagWork, right: auth.Work, status: http.StatusNoContent,
		summary: "End a call with its result", about: stale}, s.completeCall)
	register(s, operation{id: "fail-call", method: http.MethodPost, path: "/v1/work/{call}/fail", tag: tagWork, right: auth.Work, status: http.StatusNoContent,
		summary: "End a call as a failed attempt", about: stale}, s.failCall)
}

// remote returns the pool of calls, or fails when there is none.
func (s *Server) remote() (*remote.Pool, error) {
	if s.opts.Remote == nil {
		return nil, bide.Errorf(bide.CodeNotFound, "this server has no remote effects; name their types in its configuration (remote.types)")
	}
	return s.opts.Remote, nil
}

type pollWork struct {
	Keyed
	Body remote.PollRequest
}

type polled struct {
	Status int
	Body   *remote.Call
}

func (s *Server) pollWork(ctx context.Context, in *pollWork) (*polled, error) {
	pool, err := s.remote()
	if err != nil {
		return nil, err
	}
	c, err := pool.Poll(ctx, auth.From(ctx), &in.Body, in.Key, s.streams.done)
	if err != nil || c == nil {
		return &polled{Status: http.StatusNoContent}, err
	}
	return &polled{Status: http.StatusOK, Body: c}, nil
}

// OneCall is the input of what is about one call.
type OneCall struct {
	Keyed
	Call string `path:"call" maxLength:"100" doc:"id of the call"`
}

type heartbeatCall struct {
	OneCall
	Body remote.Heartbeat
}

func (s *Server) heartbeatCall(ctx context.Context, in *heartbeatCall) (*result[remote.Lease], error) {
	pool, err := s.remote()
	if err != nil {
		return nil, err
	}
	lease, err := pool.Heartbeat(auth.From(ctx), in.Call, &in.Body)
	return ok(lease), err
}

type completeCall struct {
	OneCall
	Body remote.Completion
}

func (s *Server) completeCall(ctx context.Context, in *completeCall) (*struct{}, error) {
	pool, err := s.remote()
	if err != nil {
		return nil, err
	}
	return nil, pool.Complete(auth.From(ctx), in.Call, &in.Body)
}

type failCall struct {
	OneCall
	Body remote.Failure
}

func (s *Server) failCall(ctx context.Context, in *failCall) (*struct{}, error) {
	pool, err := s.remote()
	if err != nil {
		return nil, err
	}
	return nil, pool.Fail(auth.From(ctx), in.Call, &in.Body)
}
