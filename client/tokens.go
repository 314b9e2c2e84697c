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
