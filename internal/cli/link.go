package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

func newLink(a *app) *cobra.Command {
	var command commandFlags
	var recipient, url string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "link WAIT",
		Short: "Make a link that opens one wait in a browser, without credentials",
		Long: `Make a link that opens one wait as a page, for somebody who has no login. WAIT is the id of a wait, or
a RUN that waits for one answer. The page works without JavaScript; only its buttons answer, not looking at it.

Whoever has the link may answer, until it expires or the wait is closed: send it as you would send a
password. The ledger names link: and --for as the one who answered.`,
		Example: `  bide link @last --for bob@example.com --expires 48h
  bide link 0192f0c1-7c3e-7d5a-9d52-4be3f1f5c0aa.1 --url https://bide.example.com`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			w, err := resolveWait(cmd.Context(), b, args[0])
			if err != nil {
				return err
			}
			link, err := b.Link(cmd.Context(), w.ID, api.NewLink{For: recipient, ExpiresIn: bide.Duration(expires)}, command.command(a))
			if err != nil {
				return err
			}
			if server := a.cfg.get("server"); url == "" && server != "" {
				url = server
			} else if url == "" {
				url = "http://127.0.0.1:7878"
			}
			link.Path = strings.TrimSuffix(url, "/") + link.Path
			return out.value(link, func(to io.Writer) error {
				a.say("%s may answer with it until %s.", link.Actor, link.ExpiresAt.Format(time.RFC3339))
				_, err := fmt.Fprintln(to, link.Path)
				return err
			})
		},
		ValidArgsFunction: a.completeWait,
	}
	f := cmd.Flags()
	f.StringVar(&recipient, "for", "", "who is to get it, for the ledger (default: whoever makes it)")
	f.DurationVar(&expires, "expires", auth.LinkTime, "how long it lasts, at most 720h")
	f.StringVar(&url, "url", "", "address of the server that people reach (default: --server, or http://127.0.0.1:7878)")
	command.add(cmd)
	return cmd
}

// Link implements backend.
func (l *local) Link(ctx context.Context, waitID string, spec api.NewLink, cmd bide.Command) (*api.Link, error) {
	link, text, err := auth.NewLinks(l.docs, l.now).Make(ctx, waitID, &auth.Principal{Actor: cmd.Actor}, spec.For, time.Duration(spec.ExpiresIn))
	if err != nil {
		return nil, err
	}
	return &api.Link{Path: auth.LinkPath + text, Actor: link.Actor, ExpiresAt: link.ExpiresAt}, nil
}

// Link implements backend.
func (r *remote) Link(ctx context.Context, waitID string, spec api.NewLink, _ bide.Command) (*api.Link, error) {
	return r.c.Link(ctx, waitID, spec)
}
