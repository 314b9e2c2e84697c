package client

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide/gateway/api"
)

// Tokens lists the tokens of the caller's namespace, without what is secret; in the default one, those of all.
func (c *Client) Tokens(ctx context.Context) (*api.TokenList, error) {
	return get[api.TokenList](ctx, c, nil, "tokens")
}

// CreateToken makes a token, which can do no more than the caller. Its text is in this answer alone: the same command again fails
// with bide.ErrConflict.
func (c *Client) CreateToken(ctx context.Context, spec api.TokenSpec, commandID string) (*api.MadeToken, error) {
	return change[api.MadeToken](ctx, c, http.MethodPost, commandID, spec, "tokens")
}

// RevokeToken ends a token at once.
func (c *Client) RevokeToken(ctx context.Context, id, commandID string) (*api.Token, error) {
	return change[api.Token](ctx, c, http.MethodDelete, commandID, nil, "tokens", id)
}

// Sessions lists the browsers that are signed in: those of principals that can do no more than the caller.
func (c *Client) Sessions(ctx context.Context) (*api.SessionList, error) {
	return get[api.SessionList](ctx, c, nil, "sessions")
}

// EndSession signs a browser out at once.
func (c *Client) EndSession(ctx context.Context, id, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("sessions", id), key: commandID}, nil)
}
