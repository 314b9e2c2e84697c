package cli

import (
	"context"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
)

type tokenKeeper interface {
	// CreateToken makes a token, whose text is in the result alone.
	CreateToken(ctx context.Context, spec api.TokenSpec) (*api.MadeToken, error)
	// Tokens lists the tokens of a namespace; with an empty one, of all that are seen.
	Tokens(ctx context.Context, namespace string) ([]api.Token, error)
	// RevokeToken ends a token of a namespace; with an empty one, of any that is seen.
	RevokeToken(ctx context.Context, namespace, id string) (*api.Token, error)
}

type webhookKeeper interface {
	// CreateWebhook makes a webhook, whose secret is in the result alone.
	CreateWebhook(ctx context.Context, spec api.SubscriptionSpec) (*api.MadeWebhook, error)
	Webhooks(ctx context.Context) ([]api.Subscription, error)
	// RotateWebhook returns a new secret.
	RotateWebhook(ctx context.Context, id string) (string, error)
	DeleteWebhook(ctx context.Context, id string) error
	// Redeliver returns the run that sends a message again.
	Redeliver(ctx context.Context, runID string) (*bide.Run, error)
}

type hookKeeper interface {
	// CreateHook makes a hook; its secret is in the result alone.
	CreateHook(ctx context.Context, spec api.HookSpec) (*api.Hook, error)
	Hooks(ctx context.Context) ([]api.Hook, error)
	DeleteHook(ctx context.Context, id string) error
}

// principal is who acts on a store: whoever can open it may do everything in the default namespace.
func (l *local) principal() *auth.Principal {
	return &auth.Principal{Actor: l.cfg.get("actor"), Roles: []auth.Role{auth.Administrator}}
}

// hooks returns the webhooks of the store.
func (l *local) hooks() (*webhook.Hooks, error) {
	if l.webhooks == nil {
		h, err := webhook.New(l.rt, l.docs, &webhook.Options{AllowPrivate: l.cfg.get("webhooks.private") == "true", Logger: l.log})
		if err != nil {
			return nil, err
		}
		l.webhooks = h
	}
	return l.webhooks, nil
}

func (l *local) CreateToken(ctx context.Context, spec api.TokenSpec) (*api.MadeToken, error) {
	text, tok, err := auth.NewTokens(l.docs, l.now).Create(ctx, spec, l.cfg.get("actor"))
	return &api.MadeToken{Token: tok, Text: text}, err
}

func (l *local) Tokens(ctx context.Context, namespace string) ([]api.Token, error) {
	return auth.NewTokens(l.docs, l.now).List(ctx, namespace)
}

func (l *local) RevokeToken(ctx context.Context, namespace, id string) (*api.Token, error) {
	tok, err := auth.NewTokens(l.docs, l.now).Revoke(ctx, namespace, id, l.cfg.get("actor"))
	return &tok, err
}

func (l *local) CreateWebhook(ctx context.Context, spec api.SubscriptionSpec) (*api.MadeWebhook, error) {
	h, err := l.hooks()
	if err != nil {
		return nil, err
	}
	secret, s, err := h.Subscribe(ctx, l.principal(), spec)
	return &api.MadeWebhook{Subscription: s, Secret: secret}, err
}

func (l *local) Webhooks(ctx context.Context) ([]api.Subscription, error) {
	h, err := l.hooks()
	if err != nil {
		return nil, err
	}
	return h.Subscriptions(ctx, l.principal())
}

func (l *local) RotateWebhook(ctx context.Context, id string) (string, error) {
	h, err := l.hooks()
	if err != nil {
		return "", err
	}
	return h.Rotate(ctx, l.principal(), id)
}

func (l *local) DeleteWebhook(ctx context.Context, id string) error {
	h, err := l.hooks()
	if err != nil {
		return err
	}
	return h.Unsubscribe(ctx, l.principal(), id)
}

func (l *local) Redeliver(ctx context.Context, runID string) (*bide.Run, error) {
	h, err := l.hooks()
	if err != nil {
		return nil, err
	}
	return h.Redeliver(ctx, l.principal(), runID, bide.Command{Actor: l.cfg.get("actor")})
}

func (l *local) CreateHook(ctx context.Context, spec api.HookSpec) (*api.Hook, error) {
	h, err := l.hooks()
	if err != nil {
		return nil, err
	}
	secret, hook, err := h.CreateHook(ctx, l.principal(), spec)
	hook.Secret = secret
	return &hook, err
}

func (l *local) Hooks(ctx context.Context) ([]api.Hook, error) {
	h, err := l.hooks()
	if err != nil {
		return nil, err
	}
	return h.ListHooks(ctx, l.principal())
}

func (l *local) DeleteHook(ctx context.Context, id string) error {
	h, err := l.hooks()
	if err != nil {
		return err
	}
	return h.DeleteHook(ctx, l.principal(), id)
}

func (r *remote) CreateToken(ctx context.Context, spec api.TokenSpec) (*api.MadeToken, error) {
	return r.c.CreateToken(ctx, spec, "")
}

func (r *remote) Tokens(ctx context.Context, namespace string) ([]api.Token, error) {
	all, err := r.c.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Tokens, func(t api.Token) bool { return namespace != "" && t.Namespace != namespace }), nil
}

func (r *remote) RevokeToken(ctx context.Context, namespace, id string) (*api.Token, error) {
	all, err := r.Tokens(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(t api.Token) bool { return t.ID == id }) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no token %q", id)
	}
	return r.c.RevokeToken(ctx, id, "")
}

func (r *remote) CreateWebhook(ctx context.Context, spec api.SubscriptionSpec) (*api.MadeWebhook, error) {
	return r.c.CreateWebhook(ctx, spec, "")
}

func (r *remote) Webhooks(ctx context.Context) ([]api.Subscription, error) {
	all, err := r.c.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	return all.Webhooks, nil
}

func (r *remote) RotateWebhook(ctx context.Context, id string) (string, error) {
	made, err := r.c.RotateWebhook(ctx, id, "")
	if err != nil {
		return "", err
	}
	return made.Secret, nil
}

func (r *remote) DeleteWebhook(ctx context.Context, id string) error {
	return r.c.DeleteWebhook(ctx, id, "")
}

func (r *remote) Redeliver(ctx context.Context, runID string) (*bide.Run, error) {
	return r.c.Redeliver(ctx, runID, "")
}

func (r *remote) CreateHook(ctx context.Context, spec api.HookSpec) (*api.Hook, error) {
	return r.c.CreateHook(ctx, spec, "")
}

func (r *remote) Hooks(ctx context.Context) ([]api.Hook, error) {
	all, err := r.c.Hooks(ctx)
	if err != nil {
		return nil, err
	}
	return all.Hooks, nil
}

func (r *remote) DeleteHook(ctx context.Context, id string) error { return r.c.DeleteHook(ctx, id, "") }
