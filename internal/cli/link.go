package cli

import (
	"context"
	"errors"
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

Whoever has the link may answer, until it expires, is revoked, or the wait is closed: send it as you would
send a password. The ledger names link: and --for as the one who answered.`,
		Example: `  bide link @last --for bob@example.com --expires 48h
  bide link 0192f0c1-7c3e-7d5a-9d52-4be3f1f5c0aa.1 --url https://bide.example.com
  bide link list @last`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, w, err := a.lookAtWait(cmd, args[0])
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
				a.say("%s may answer with it until %s; bide link revoke %s takes it back.", link.Actor, link.ExpiresAt.Format(time.RFC3339), link.ID)
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
	cmd.AddCommand(newLinkList(a), newLinkRevoke(a))
	return cmd
}

// lookAtWait opens what keeps runs, and finds a wait there.
func (a *app) lookAtWait(cmd *cobra.Command, ref string) (out *output, b backend, w *bide.Wait, err error) {
	if out, b, err = a.look(cmd); err == nil {
		w, err = resolveWait(cmd.Context(), b, ref)
	}
	return out, b, w, err
}

func newLinkList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list WAIT", Aliases: []string{"ls"}, Short: "List the links to a wait, without what opens them", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, w, err := a.lookAtWait(cmd, args[0])
			if err != nil {
				return err
			}
			links, err := b.Links(cmd.Context(), w.ID)
			if err != nil {
				return err
			}
			now := time.Now()
			return list(out, links, []string{"LINK", "ACTOR", "BY", "MADE", "EXPIRES", "STATUS"}, func(l api.KeptLink) []string {
				return []string{l.ID, l.Actor, l.By, ago(l.CreatedAt, now), zoned(l.ExpiresAt), linkStatus(&l, now)}
			})
		},
		ValidArgsFunction: a.completeWait,
	}
}

func linkStatus(l *api.KeptLink, now time.Time) string {
	switch {
	case !l.RevokedAt.IsZero():
		return "revoked"
	case !l.ExpiresAt.After(now):
		return "expired"
	}
	return "valid"
}

func newLinkRevoke(a *app) *cobra.Command {
	var command commandFlags
	cmd := &cobra.Command{
		Use: "revoke LINK", Aliases: []string{"rm"}, Short: "End a link, by the id that list shows: it opens nothing any more", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			link, err := b.RevokeLink(cmd.Context(), args[0], command.command(a))
			if errors.Is(err, bide.ErrNotFound) {
				return &problem{code: exitNotFound, what: fmt.Sprintf("there is no link %q", args[0]), next: "bide link list WAIT", err: err}
			}
			if err != nil {
				return err
			}
			return out.value(link, func(io.Writer) error {
				a.say("The link for %s opens nothing any more.", link.Actor)
				return nil
			})
		},
	}
	command.add(cmd)
	return cmd
}

// Link implements backend.
func (l *local) Link(ctx context.Context, waitID string, spec api.NewLink, cmd bide.Command) (*api.Link, error) {
	link, text, err := auth.NewLinks(l.docs, l.now).Make(ctx, waitID, &auth.Principal{Actor: cmd.Actor}, spec.For, time.Duration(spec.ExpiresIn))
	if err != nil {
		return nil, err
	}
	return &api.Link{ID: link.ID, Path: auth.LinkPath + text, Actor: link.Actor, ExpiresAt: link.ExpiresAt}, nil
}

// Link implements backend.
func (r *remote) Link(ctx context.Context, waitID string, spec api.NewLink, _ bide.Command) (*api.Link, error) {
	return r.c.Link(ctx, waitID, spec)
}

// Links implements backend.
func (l *local) Links(ctx context.Context, waitID string) ([]api.KeptLink, error) {
	return auth.NewLinks(l.docs, l.now).List(ctx, waitID)
}

// Links implements backend.
func (r *remote) Links(ctx context.Context, waitID string) ([]api.KeptLink, error) {
	all, err := r.c.Links(ctx, waitID)
	if err != nil {
		return nil, err
	}
	return all.Links, nil
}

// RevokeLink implements backend.
func (l *local) RevokeLink(ctx context.Context, id string, cmd bide.Command) (*api.KeptLink, error) {
	return auth.NewLinks(l.docs, l.now).Revoke(ctx, id, cmd.Actor)
}

// RevokeLink implements backend.
func (r *remote) RevokeLink(ctx context.Context, id string, cmd bide.Command) (*api.KeptLink, error) {
	return r.c.RevokeLink(ctx, id, cmd.ID)
}
