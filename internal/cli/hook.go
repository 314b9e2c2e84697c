package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

func newHook(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hook",
		Short: "Turn signed requests of other services into events",
		Long: `Turn signed requests of other services into events: a hook is an address of bide serve or bide dev, /hooks/ and its id. Its
requests need no token, as their signature is checked. Hooks are kept in the store.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHookAdd(a), newHookLs(a), newHookRm(a))
	return cmd
}

func newHookAdd(a *app) *cobra.Command {
	var spec api.HookSpec
	var style, to, secret string
	cmd := &cobra.Command{
		Use:   "add EVENT",
		Short: "Make a hook, and write the secret that signs its requests, this once",
		Long: `Make a hook that sends an event with the body of each request as its payload. The secret is written to standard output and
cannot be shown again. Styles: standard (Standard Webhooks), github, stripe.`,
		Example: "  bide hook add paid --style stripe --to workflow:refund --secret - < stripe-secret",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			if secret == "-" {
				raw, err := io.ReadAll(io.LimitReader(a.stdin, 1000))
				if err != nil {
					return err
				}
				secret = strings.TrimSpace(string(raw))
			}
			spec.Name, spec.Style, spec.Secret = args[0], api.Style(style), secret
			scope, id, _ := strings.Cut(to, ":")
			spec.Scope, spec.ScopeID = bide.Scope(scope), id
			b, err := a.create(cmd)
			if err != nil {
				return err
			}
			h, err := b.CreateHook(cmd.Context(), spec)
			if err != nil {
				return err
			}
			return out.value(h, func(w io.Writer) error {
				a.say("Requests to /hooks/%s of a server send the event %s. Keep their secret well, it is not shown again:", h.ID, h.Name)
				_, err := fmt.Fprintln(w, h.Secret)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&style, "style", string(api.StyleStandard), "how requests are signed: standard, github or stripe")
	f.StringVar(&to, "to", string(bide.ScopeGlobal), "whom the event is for: global, workflow:FLOW, session:NAME or run:RUN")
	f.StringVar(&secret, "secret", "", "the sender's secret, where it chooses it, of at least 16 bytes; - reads it (default: a new one)")
	return cmd
}

func newHookLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List hooks, without what is secret", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			all, err := b.Hooks(cmd.Context())
			if err != nil {
				return err
			}
			return list(out, all, []string{"HOOK", "EVENT", "FOR", "STYLE"}, func(h api.Hook) []string {
				return []string{h.ID, h.Name, strings.TrimSuffix(string(h.Scope)+":"+h.ScopeID, ":"), string(h.Style)}
			})
		},
	}
}

func newHookRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rm HOOK", Short: "End a hook, by the id that ls shows", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			if err := b.DeleteHook(cmd.Context(), args[0]); err != nil {
				return noWebhook("hook", args[0], err)
			}
			a.say("Hook %s has ended.", args[0])
			return nil
		},
	}
}
