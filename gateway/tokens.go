package gateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

const tagTokens = "tokens"

func (s *Server) registerTokens() {
	register(s, operation{id: "list-tokens", method: http.MethodGet, path: "/v1/tokens", tag: tagTokens, right: auth.Admin,
		summary: "List the tokens that the caller could make, without what is secret"}, s.listTokens)
	register(s, operation{id: "create-token", method: http.MethodPost, path: "/v1/tokens", tag: tagTokens, right: auth.Admin, status: http.StatusCreated,
		summary: "Make a token", about: "It can do no more than whoever makes it. It is shown this once; the same Idempotency-Key again is a conflict."}, s.createToken)
	register(s, operation{id: "revoke-token", method: http.MethodDelete, path: "/v1/tokens/{token}", tag: tagTokens, right: auth.Admin,
		summary: "End a token at once", about: "It stays on the list."}, s.revokeToken)
}

func (s *Server) listTokens(ctx context.Context, _ *none) (*result[api.TokenList], error) {
	p := auth.From(ctx)
	all, err := s.tokens.List(ctx, p.Namespace)
	if err != nil {
		return nil, err
	}
	out := &api.TokenList{Tokens: []api.Token{}}
	for i := range all {
		if p.MayGive(&all[i].TokenSpec) == nil {
			out.Tokens = append(out.Tokens, all[i])
		}
	}
	return ok(out), nil
}

type createToken struct {
	Keyed
	Body api.TokenSpec
}

func (s *Server) createToken(ctx context.Context, in *createToken) (*result[api.MadeToken], error) {
	p := auth.From(ctx)
	if err := p.MayGive(&in.Body); err != nil {
		return nil, err
	}
	var made api.MadeToken
	err := s.makeOnce(ctx, in.command(ctx, ""), "token", func() (err error) {
		made.Text, made.Token, err = s.tokens.Create(ctx, in.Body, p.Actor)
		return err
	})
	return ok(&made), err
}

type revokeToken struct {
	Keyed
	Token string `path:"token" maxLength:"100" doc:"id of the token"`
}

func (s *Server) revokeToken(ctx context.Context, in *revokeToken) (*result[api.Token], error) {
	p := auth.From(ctx)
	all, err := s.tokens.List(ctx, p.Namespace)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(t api.Token) bool { return t.ID == in.Token && p.MayGive(&t.TokenSpec) == nil }) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no token %q", in.Token)
	}
	revoked, err := s.tokens.Revoke(ctx, p.Namespace, in.Token, p.Actor)
	return ok(&revoked), err
}
