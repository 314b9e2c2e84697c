package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

func newWebhook(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Say whom servers tell what happens to runs",
		Long: `Say whom servers and workers (bide serve, bide dev, bide work) tell what happens to runs: each message is a signed
request to a URL, and a run of bide.webhook, which is tried again for about a day. Subscriptions are kept in the store.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWebhookAdd(a), newWebhookLs(a), newWebhookRotate(a), newWebhookRm(a), newWebhookRedeliver(a))
	return cmd
}

func newWebhookAdd(a *app) *cobra.Command {
	var spec api.SubscriptionSpec
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
			b, err := a.create(cmd)
			if err != nil {
				return err
			}
			s, err := b.CreateWebhook(cmd.Context(), spec)
			if err != nil {
				return err
			}
			return out.value(s, func(w io.Writer) error {
				a.say("Webhook %s tells %s of %s. Keep its secret well, it is not shown again:", s.ID, s.URL, strings.Join(s.Types, ", "))
				_, err := fmt.Fprintln(w, s.Secret)
				return err
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
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			all, err := b.Webhooks(cmd.Context())
			if err != nil {
				return err
			}
			return list(out, all, []string{"WEBHOOK", "URL", "TYPES", "STOPPED"}, func(s api.Subscription) []string {
				return []string{s.ID, s.URL, strings.Join(s.Types, " "), s.Disabled}
			})
		},
	}
}

func newWebhookRotate(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rotate WEBHOOK", Short: "Give a webhook a new secret, and write it, this once",
		Long: `Give a webhook a new secret and write it to standard output; it cannot be shown again. Messages are signed with the
old one as well for 24 hours. A webhook that was stopped, because its receiver was gone, is sent to again.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			secret, err := b.RotateWebhook(cmd.Context(), args[0])
			if err != nil {
				return noWebhook("webhook", args[0], err)
			}
			return out.value(api.NewSecret{Secret: secret}, func(w io.Writer) error {
				a.say("The new secret of webhook %s. Keep it well, it is not shown again; the old one signs as well for 24 hours:", args[0])
				_, err := fmt.Fprintln(w, secret)
				return err
			})
		},
	}
}

func newWebhookRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rm WEBHOOK", Short: "End a webhook, by the id that ls shows; what was not sent is not sent any more", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			if err := b.DeleteWebhook(cmd.Context(), args[0]); err != nil {
				return noWebhook("webhook", args[0], err)
			}
			a.say("Webhook %s has ended.", args[0])
			return nil
		},
	}
}

// noWebhook says where to look for the id of a webhook or hook that is not there; other errors are themselves.
func noWebhook(what, id string, err error) error {
	if !errors.Is(err, bide.ErrNotFound) {
		return err
	}
	return &problem{code: exitNotFound, what: fmt.Sprintf("there is no %s %q", what, id), next: "bide " + what + " ls", err: err}
}

func newWebhookRedeliver(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver RUN",
		Short: "Send a message again, under its id",
		Long:  "Send a message again, under its id. A message is a run of bide.webhook: bide ls flow:bide.webhook lists them. A server or worker sends it.",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			run, err := b.Redeliver(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.value(run, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, run.ID)
				return err
			})
		},
	}
}
