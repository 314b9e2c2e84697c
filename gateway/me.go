package gateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

func (s *Server) registerMe() {
	register(s, operation{id: "get-me", method: http.MethodGet, path: "/v1/me", tag: tagServer, right: auth.View,
		summary: "Who these credentials are, and what they may do", about: "For clients that show what is possible. What an operation needs is checked when it is asked for."}, s.getMe)
}

type getMe struct{ session bool }

// Resolve implements huma.Resolver.
func (in *getMe) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.session = auth.InSession(r)
	return nil
}

func (s *Server) getMe(ctx context.Context, in *getMe) (*result[api.Me], error) {
	p := auth.From(ctx)
	me := &api.Me{Session: in.session, Actor: p.Actor, Groups: p.Groups, Namespace: p.Namespace, Rights: []string{}}
	for _, role := range p.Roles {
		me.Roles = append(me.Roles, string(role))
		for _, right := range auth.Rights(role) {
			if p.May(right, nil) && !slices.Contains(me.Rights, string(right)) {
				me.Rights = append(me.Rights, string(right))
			}
		}
	}
	return ok(me), nil
}
