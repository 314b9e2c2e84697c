package client

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// Webhooks lists who is told what happens to runs, without what is secret.
func (c *Client) Webhooks(ctx context.Context) (*api.WebhookList, error) {
	return get[api.WebhookList](ctx, c, nil, "webhooks")
}

// CreateWebhook tells a URL what happens to runs. The secret is in this answer alone: the same command again fails with bide.ErrConflict.
func (c *Client) CreateWebhook(ctx context.Context, spec api.SubscriptionSpec, commandID string) (*api.MadeWebhook, error) {
	return change[api.MadeWebhook](ctx, c, http.MethodPost, commandID, spec, "webhooks")
}

// RotateWebhook gives a webhook a new secret, which is in this answer alone; the old one signs as well for 24 hours.
func (c *Client) RotateWebhook(ctx context.Context, id, commandID string) (*api.NewSecret, error) {
	return change[api.NewSecret](ctx, c, http.MethodPost, commandID, nil, "webhooks", id, "rotate")
}

// DeleteWebhook tells a URL no more.
func (c *Client) DeleteWebhook(ctx context.Context, id, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("webhooks", id), key: commandID}, nil)
}

// Redeliver sends a message again, under its id. A message is a run of bide.webhook; it returns the run that sends it now.
func (c *Client) Redeliver(ctx context.Context, runID, commandID string) (*bide.Run, error) {
	return change[bide.Run](ctx, c, http.MethodPost, commandID, nil, "messages", runID, "redeliver")
}

// Hooks lists the hooks that others send signed requests to, without what is secret.
func (c *Client) Hooks(ctx context.Context) (*api.HookList, error) {
	return get[api.HookList](ctx, c, nil, "hooks")
}

// CreateHook makes a hook: signed requests to /hooks/ and its id become events. The secret is in this answer alone: the same command
// again fails with bide.ErrConflict.
func (c *Client) CreateHook(ctx context.Context, spec api.HookSpec, commandID string) (*api.Hook, error) {
	return change[api.Hook](ctx, c, http.MethodPost, commandID, spec, "hooks")
}

// DeleteHook ends a hook.
func (c *Client) DeleteHook(ctx context.Context, id, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("hooks", id), key: commandID}, nil)
}
