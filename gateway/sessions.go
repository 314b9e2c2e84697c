package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

func (s *Server) registerSessions() {
	register(s, operation{id: "list-sessions", method: http.MethodGet, path: "/v1/sessions", tag: tagTokens, right: auth.Admin,
		summary: "Who is signed in with a browser", about: "Those who may do no more than the caller, of the caller's namespace; in the default one, of all."}, s.listSessions)
	register(s, operation{id: "end-session", method: http.MethodDelete, path: "/v1/sessions/{session}", tag: tagTokens, right: auth.Admin, status: http.StatusNoContent,
		summary: "Sign a browser out at once"}, s.endSession)
}

type listSessions struct{ current string }

// Resolve implements huma.Resolver.
func (in *listSessions) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.current = auth.SessionID(r)
	return nil
}

func (s *Server) listSessions(ctx context.Context, in *listSessions) (*result[api.SessionList], error) {
	all, err := s.sessionsOf(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Current = all[i].ID == in.current
	}
	return ok(&api.SessionList{Sessions: all}), nil
}

// sessionsOf are the sessions that a principal sees to: those of principals that it could make tokens for.
func (s *Server) sessionsOf(ctx context.Context) ([]api.Session, error) {
	p := auth.From(ctx)
	all, err := s.sessions.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Session{}
	for i := range all {
		as := &auth.TokenSpec{Roles: all[i].Roles, Namespace: all[i].Namespace, Workflows: all[i].Workflows, Labels: all[i].Labels}
		if p.MayGive(as) == nil {
			out = append(out, all[i])
		}
	}
	return out, nil
}

type endSession struct {
	Keyed
	Session string `path:"session" maxLength:"100" doc:"id of the session"`
}

func (s *Server) endSession(ctx context.Context, in *endSession) (*struct{}, error) {
	return nil, s.removeOnce(ctx, in.command(ctx, ""), "session "+in.Session, func() error {
		all, err := s.sessionsOf(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].ID == in.Session {
				return s.sessions.End(ctx, in.Session)
			}
		}
		return bide.Errorf(bide.CodeNotFound, "there is no session %q", in.Session)
	})
}
