package gateway

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
)

const tagWebhooks = "webhooks"

func (s *Server) registerWebhooks() {
	const shownOnce = "The secret is shown this once; the same Idempotency-Key again is a conflict."
	register(s, operation{id: "list-webhooks", method: http.MethodGet, path: "/v1/webhooks", tag: tagWebhooks, right: auth.Admin,
		summary: "List who is told what happens to runs"}, s.listWebhooks)
	register(s, operation{id: "create-webhook", method: http.MethodPost, path: "/v1/webhooks", tag: tagWebhooks, right: auth.Admin, status: http.StatusCreated,
		summary: "Tell a URL what happens to runs", about: "Messages are signed as Standard Webhooks are. " + shownOnce}, s.createWebhook)
	register(s, operation{id: "delete-webhook", method: http.MethodDelete, path: "/v1/webhooks/{webhook}", tag: tagWebhooks, right: auth.Admin, status: http.StatusNoContent,
		summary: "Tell a URL no more"}, s.deleteWebhook)
	register(s, operation{id: "rotate-webhook", method: http.MethodPost, path: "/v1/webhooks/{webhook}/rotate", tag: tagWebhooks, right: auth.Admin,
		summary: "Give a webhook a new secret", about: "Messages are signed with the old one as well for 24 hours. A webhook that was stopped is sent to again. " + shownOnce}, s.rotateWebhook)
	register(s, operation{id: "redeliver-message", method: http.MethodPost, path: "/v1/messages/{run}/redeliver", tag: tagWebhooks, right: auth.Admin, status: http.StatusAccepted,
		summary: "Send a message again, under its id", about: "A message is a run of bide.webhook; the answer is the run that sends it now."}, s.redeliver)
	register(s, operation{id: "list-hooks", method: http.MethodGet, path: "/v1/hooks", tag: tagWebhooks, right: auth.Admin,
		summary: "List the hooks that others send signed requests to"}, s.listHooks)
	register(s, operation{id: "create-hook", method: http.MethodPost, path: "/v1/hooks", tag: tagWebhooks, right: auth.Admin, status: http.StatusCreated,
		summary: "Make a hook: signed requests to /hooks/{hook_id} become events", about: shownOnce}, s.createHook)
	register(s, operation{id: "delete-hook", method: http.MethodDelete, path: "/v1/hooks/{hook}", tag: tagWebhooks, right: auth.Admin, status: http.StatusNoContent,
		summary: "End a hook"}, s.deleteHook)
}

// webhooks returns those of the store, or fails when there are none.
func (s *Server) webhooks() (*webhook.Hooks, error) {
	if s.opts.Webhooks == nil {
		return nil, bide.Errorf(bide.CodeNotFound, "this server has no webhooks")
	}
	return s.opts.Webhooks, nil
}

func (s *Server) listWebhooks(ctx context.Context, _ *none) (*result[api.WebhookList], error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	all, err := hooks.Subscriptions(ctx, auth.From(ctx))
	return ok(&api.WebhookList{Webhooks: append([]api.Subscription{}, all...)}), err
}

type createWebhook struct {
	Keyed
	Body api.SubscriptionSpec
}

func (s *Server) createWebhook(ctx context.Context, in *createWebhook) (*result[api.MadeWebhook], error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	var made api.MadeWebhook
	err = s.makeOnce(ctx, in.command(ctx, ""), "webhook", func() (err error) {
		made.Secret, made.Subscription, err = hooks.Subscribe(ctx, auth.From(ctx), in.Body)
		return err
	})
	return ok(&made), err
}

type oneWebhook struct {
	Keyed
	Webhook string `path:"webhook" maxLength:"100" doc:"id of the subscription"`
}

func (s *Server) deleteWebhook(ctx context.Context, in *oneWebhook) (*struct{}, error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	return nil, s.removeOnce(ctx, in.command(ctx, ""), "webhook "+in.Webhook, func() error {
		return hooks.Unsubscribe(ctx, auth.From(ctx), in.Webhook)
	})
}

func (s *Server) rotateWebhook(ctx context.Context, in *oneWebhook) (*result[api.NewSecret], error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	var made api.NewSecret
	err = s.makeOnce(ctx, in.command(ctx, ""), "secret of webhook "+in.Webhook, func() (err error) {
		made.Secret, err = hooks.Rotate(ctx, auth.From(ctx), in.Webhook)
		return err
	})
	return ok(&made), err
}

type redeliver struct {
	Keyed
	OneRun
}

func (s *Server) redeliver(ctx context.Context, in *redeliver) (*started, error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	run, err := hooks.Redeliver(ctx, auth.From(ctx), in.Run, in.command(ctx, ""))
	if err != nil {
		return nil, err
	}
	return newStarted(run), nil
}

func (s *Server) listHooks(ctx context.Context, _ *none) (*result[api.HookList], error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	all, err := hooks.ListHooks(ctx, auth.From(ctx))
	return ok(&api.HookList{Hooks: append([]api.Hook{}, all...)}), err
}

type createHook struct {
	Keyed
	Body api.HookSpec
}

func (s *Server) createHook(ctx context.Context, in *createHook) (*result[api.Hook], error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	var made api.Hook
	err = s.makeOnce(ctx, in.command(ctx, ""), "hook", func() error {
		secret, hook, err := hooks.CreateHook(ctx, auth.From(ctx), in.Body)
		made = hook
		made.Secret = secret
		return err
	})
	return ok(&made), err
}

type deleteHook struct {
	Keyed
	Hook string `path:"hook" maxLength:"100" doc:"id of the hook"`
}

func (s *Server) deleteHook(ctx context.Context, in *deleteHook) (*struct{}, error) {
	hooks, err := s.webhooks()
	if err != nil {
		return nil, err
	}
	return nil, s.removeOnce(ctx, in.command(ctx, ""), "hook "+in.Hook, func() error {
		return hooks.DeleteHook(ctx, auth.From(ctx), in.Hook)
	})
}
