package gateway

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

func (s *Server) registerEvents() {
	register(s, operation{id: "send-event", method: http.MethodPost, path: "/v1/events", tag: "events", right: auth.Operate, status: http.StatusAccepted,
		summary: "Send an event to whoever waits for it",
		about:   "An event for a run or a session is kept until a wait takes it; one for a workflow or for all reaches the waits that are open, and as long as it is kept, later ones that ask for it."}, s.sendEvent)
}

type sendEvent struct {
	Keyed
	Body api.Event
}

func (s *Server) sendEvent(ctx context.Context, in *sendEvent) (*result[api.Event], error) {
	b := in.Body
	b.ID = cmp.Or(b.ID, in.Key)
	if b.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		b.ID = id.String()
	}
	b.Scope = cmp.Or(b.Scope, bide.ScopeRun)
	to, err := s.mayReach(ctx, &b)
	if err != nil {
		return nil, err
	}
	err = s.rt.Send(ctx, bide.Event{ID: auth.From(ctx).Scoped(b.ID), Scope: b.Scope, ScopeID: to, Name: b.Name, Payload: b.Payload, Keep: time.Duration(b.Keep)})
	if err != nil {
		return nil, err
	}
	return ok(&b), nil
}

// mayReach returns the scope id of an event, and refuses one that would reach what the sender does not see.
func (s *Server) mayReach(ctx context.Context, e *api.Event) (scopeID string, err error) {
	v := s.sight(ctx, auth.Operate)
	switch e.Scope {
	case bide.ScopeRun:
		if e.ScopeID == "" {
			return "", &bide.Error{Code: bide.CodeInvalidInput, Message: "the event cannot be sent", Faults: []bide.Fault{{Path: "scope_id", Message: "is missing; it is the run"}}}
		}
		_, err := v.run(ctx, e.ScopeID)
		return e.ScopeID, err
	case bide.ScopeSession:
		if !v.p.Limited() {
			return v.p.Scoped(e.ScopeID), nil
		}
	case bide.ScopeWorkflow:
		if v.p.Broadcast() && len(v.p.Labels) == 0 && mayStart(v.p, e.ScopeID) {
			return e.ScopeID, nil
		}
	case bide.ScopeGlobal:
		if v.p.Broadcast() && !v.p.Limited() {
			return e.ScopeID, nil
		}
	}
	return "", bide.Errorf(bide.CodeForbidden, "an event of scope %s would reach runs that these credentials do not; send it to a run", e.Scope)
}
