package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

func newToken(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the tokens with which bide serve lets people and programs in",
		Long:  "Make, list and revoke the tokens with which bide serve lets people and programs in. They are kept in the store, and only a hash of each. With --server, nobody makes a token that can do more than theirs.",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(a), newTokenList(a), newTokenRevoke(a))
	return cmd
}

func newTokenCreate(a *app) *cobra.Command {
	var spec api.TokenSpec
	var roles, labels []string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a token and write it, this once",
		Long: `Make a token and write it to standard output. It cannot be shown again: only a hash of it is kept.

Roles: viewer looks; operator also starts, cancels and sends; approver also answers waits; author also
uploads flows and changes schedules; admin may do all of it; worker carries out effects and nothing else. An actor that
begins with agent: can ask, but never decide.`,
		Example: `  bide token create ann --role approver --actor ann --group group:ops
  bide token create shop --role operator --flow refund --expires 720h`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			spec.Name = args[0]
			for _, r := range roles {
				spec.Roles = append(spec.Roles, api.Role(r))
			}
			if spec.Labels, err = pairs("label", labels); err != nil {
				return err
			}
			if expires > 0 {
				spec.ExpiresAt = time.Now().Add(expires).UTC()
			}
			b, err := a.create(cmd)
			if err != nil {
				return err
			}
			tok, err := b.CreateToken(cmd.Context(), spec)
			if err != nil {
				return err
			}
			return out.value(tok, func(w io.Writer) error {
				a.say("Token %s, for %s as %s. Keep it well, it is not shown again:", tok.ID, tok.Actor, strings.Join(roles, ", "))
				_, err := fmt.Fprintln(w, tok.Text)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&roles, "role", nil, "viewer, operator, approver, author, admin or worker (again for more)")
	f.StringVar(&spec.Actor, "actor", "", "who acts with it, as it stands in the ledger (default: token:NAME)")
	f.StringArrayVar(&spec.Groups, "group", nil, "group of the actor, for waits that only some may answer: group:NAME (again for more)")
	f.StringVar(&spec.Namespace, "namespace", "", "the namespace whose runs it sees (default: the default one)")
	f.StringArrayVar(&spec.Workflows, "flow", nil, "limit it to the runs of a flow (again for more)")
	f.StringArrayVarP(&labels, "label", "l", nil, "limit it to runs with a label: NAME=VALUE (again for more)")
	f.DurationVar(&expires, "expires", 0, "after how long it ends to count (default: never)")
	return cmd
}

func newTokenList(a *app) *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List tokens, without what is secret", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			all, err := b.Tokens(cmd.Context(), namespace)
			if err != nil {
				return err
			}
			now := time.Now()
			return list(out, all, []string{"TOKEN", "NAME", "ACTOR", "ROLES", "MADE", "USED", "STATUS"}, func(t api.Token) []string {
				return []string{t.ID, t.Name, t.Actor, fmt.Sprint(t.Roles), ago(t.CreatedAt, now), ago(t.LastUsedAt, now), tokenStatus(&t, now)}
			})
		},
	}
	cmd.Flags().StringVar(&namespace, "namespace", "", "those of a namespace (default: all)")
	return cmd
}

func tokenStatus(t *api.Token, now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(now):
		return "expired"
	}
	return "valid"
}

func newTokenRevoke(a *app) *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use: "revoke TOKEN", Short: "End a token, by the id that list shows", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			tok, err := b.RevokeToken(cmd.Context(), namespace, args[0])
			if errors.Is(err, bide.ErrNotFound) {
				return &problem{code: exitNotFound, what: fmt.Sprintf("there is no token %q", args[0]), next: "bide token list", err: err}
			}
			if err == nil {
				a.say("Token %s (%s) does not count any more.", tok.ID, tok.Name)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&namespace, "namespace", "", "of a namespace (default: any)")
	return cmd
}
