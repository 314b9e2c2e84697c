package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
)

func newWebhook(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Say whom servers tell what happens to runs",
		Long: `Say whom servers (bide serve, bide dev) tell what happens to runs: each message is a signed request to a
URL, and a run of bide.webhook, which is tried again for about a day. Subscriptions are kept in the store.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWebhookAdd(a), newWebhookLs(a), newWebhookRm(a), newWebhookRedeliver(a))
	return cmd
}

// webhooks does something with the webhooks of the store, in the default namespace.
func (a *app) webhooks(cmd *cobra.Command, do func(ctx context.Context, h *webhook.Hooks, p *auth.Principal) error) error {
	if err := a.hosting(cmd); err != nil {
		return err
	}
	b, err := a.openWith(cmd, nil)
	if err != nil {
		return err
	}
	h, err := webhook.New(b.rt, b.claims, &webhook.Options{AllowPrivate: a.cfg.get("webhooks.private") == "true"})
	if err != nil {
		return err
	}
	return do(cmd.Context(), h, &auth.Principal{Actor: a.cfg.get("actor"), Roles: []auth.Role{auth.Administrator}})
}

// madeWebhook is a subscription with its secret, which is shown once.
type madeWebhook struct {
	webhook.Subscription
	Secret string `json:"secret"`
}

func newWebhookAdd(a *app) *cobra.Command {
	var spec webhook.SubscriptionSpec
	var labels []string
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Tell a URL what happens to runs, and write the secret that verifies it, this once",
		Long: `Tell a URL what happens to runs from now on. The secret is written to standard output and cannot be shown
again; messages are signed with it as Standard Webhooks are. Only https and public addresses, unless the
setting webhooks.private is true.`,
		Example: "  bide webhook add https://example.com/bide --type run.failed --flow refund",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			spec.URL = args[0]
			if spec.Labels, err = pairs("label", labels); err != nil {
				return err
			}
			return a.webhooks(cmd, func(ctx context.Context, h *webhook.Hooks, p *auth.Principal) error {
				secret, s, err := h.Subscribe(ctx, p, spec)
				if err != nil {
					return err
				}
				return out.value(madeWebhook{s, secret}, func(w io.Writer) error {
					a.say("Webhook %s tells %s of %s. Keep its secret well, it is not shown again:", s.ID, s.URL, strings.Join(s.Types, ", "))
					_, err := fmt.Fprintln(w, secret)
					return err
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&spec.Types, "type", nil, "kind of record to tell of (again for more; default: wait.opened, run.completed, run.failed, run.cancelled)")
	f.StringArrayVar(&spec.Workflows, "flow", nil, "only of the runs of a flow (again for more)")
	f.StringArrayVarP(&labels, "label", "l", nil, "only of runs with a label: NAME=VALUE (again for more)")
	return cmd
}

func newWebhookLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List webhooks, without what is secret", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			return a.webhooks(cmd, func(ctx context.Context, h *webhook.Hooks, p *auth.Principal) error {
				all, err := h.Subscriptions(ctx, p)
				if err != nil {
					return err
				}
				return list(out, all, []string{"WEBHOOK", "URL", "TYPES", "STOPPED"}, func(s webhook.Subscription) []string {
					return []string{s.ID, s.URL, strings.Join(s.Types, " "), s.Disabled}
				})
			})
		},
	}
}

func newWebhookRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rm WEBHOOK", Short: "End a webhook, by the id that ls shows; what was not sent is not sent any more", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.webhooks(cmd, func(ctx context.Context, h *webhook.Hooks, p *auth.Principal) error {
				err := h.Unsubscribe(ctx, p, args[0])
				if errors.Is(err, bide.ErrNotFound) {
					return &problem{code: exitNotFound, what: fmt.Sprintf("there is no webhook %q", args[0]), next: "bide webhook ls", err: err}
				}
				if err == nil {
					a.say("Webhook %s has ended.", args[0])
				}
				return err
			})
		},
	}
}

func newWebhookRedeliver(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver RUN",
		Short: "Send a message again, under its id",
		Long:  "Send a message again, under its id. A message is a run of bide.webhook: bide ls flow:bide.webhook lists them. A server sends it.",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			return a.webhooks(cmd, func(ctx context.Context, h *webhook.Hooks, p *auth.Principal) error {
				run, err := h.Redeliver(ctx, p, args[0], bide.Command{Actor: p.Actor})
				if err != nil {
					return err
				}
				return out.value(run, func(w io.Writer) error {
					_, err := fmt.Fprintln(w, run.ID)
					return err
				})
			})
		},
	}
}
