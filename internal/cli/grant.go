package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

func newGrant(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "What people allowed for longer than one call of a tool: list it, end it",
		Long: `A grant lets later calls of a tool be made without asking; bide approve --remember gives one. It is void when
the tool's definition changes.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGrantLs(a), newGrantRevoke(a))
	return cmd
}

func newGrantLs(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ls [RUN]", Aliases: []string{"list"}, Short: "List the grants of sessions and workflows, or those that a run was given", Args: args(0, 1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			var grants []api.SharedGrant
			if len(refs) == 0 {
				grants, err = b.Grants(cmd.Context())
			} else {
				grants, err = grantsOfRun(cmd.Context(), b, refs[0])
			}
			if err != nil {
				return err
			}
			return list(out, grants, []string{"GRANT", "TOOL", "ARGUMENTS", "FOR", "BY", "AT"}, func(g api.SharedGrant) []string {
				arguments := "any"
				if g.Match == bide.GrantToolArgs {
					arguments = fmt.Sprintf("%.12s", g.ArgsSHA256)
				}
				return []string{g.ID, g.Tool, arguments, string(g.Scope) + " " + g.Of, g.By, zoned(g.At)}
			})
		},
		ValidArgsFunction: a.completeRun,
	}
}

func grantsOfRun(ctx context.Context, b backend, ref string) (grants []api.SharedGrant, err error) {
	id, err := resolve(ctx, b, ref)
	if err != nil {
		return nil, err
	}
	run, err := b.Run(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	for _, g := range run.Grants {
		of := run.ID
		if shared := auth.GrantOf(run, &g); shared != "" {
			of = shared
		}
		grants = append(grants, api.SharedGrant{Grant: g, Of: of})
	}
	return grants, nil
}

func newGrantRevoke(a *app) *cobra.Command {
	var command commandFlags
	cmd := &cobra.Command{
		Use: "revoke GRANT", Aliases: []string{"rm"}, Short: "End a grant, by the id that ls shows: calls that it would have let pass ask again", Args: exactly(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			id := refs[0]
			if err := revoke(cmd.Context(), b, id, command.command(a)); err != nil {
				return err
			}
			return out.value(map[string]string{"grant_id": id}, func(io.Writer) error {
				a.say("Grant %s is ended.", id)
				return nil
			})
		},
	}
	command.add(cmd)
	return cmd
}

// revoke ends a grant: in its run, as long as that has it, or else by what it is for.
func revoke(ctx context.Context, b backend, id string, cmd bide.Command) error {
	has := func(g bide.Grant) bool { return g.ID == id }
	if runID, ok := bide.WaitRun(id); ok {
		if run, err := b.Run(ctx, runID, 0); err == nil && slices.ContainsFunc(run.Grants, has) {
			return b.RevokeGrant(ctx, runID, id, cmd)
		}
	}
	grants, err := b.Grants(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(grants, func(g api.SharedGrant) bool { return has(g.Grant) })
	if i < 0 {
		return &problem{code: exitNotFound, what: fmt.Sprintf("there is no grant %q", id), next: "bide grant ls"}
	}
	return b.RevokeShared(ctx, &grants[i], cmd)
}

// Grants implements backend.
func (l *local) Grants(ctx context.Context) (all []api.SharedGrant, err error) {
	for after := ""; ; {
		page, next, err := l.grants().List(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, g := range page {
			all = append(all, api.SharedGrant{Grant: g.Grant, Of: g.Of})
		}
		if after = next; after == "" {
			return all, nil
		}
	}
}

// RevokeGrant implements backend.
func (l *local) RevokeGrant(ctx context.Context, runID, grantID string, cmd bide.Command) error {
	run, err := l.rt.Get(ctx, runID)
	if err != nil {
		return err
	}
	for _, g := range run.Grants {
		if of := auth.GrantOf(run, &g); g.ID == grantID && of != "" {
			if err := l.grants().End(ctx, g, of, cmd.Actor); err != nil {
				return err
			}
		}
	}
	_, err = l.rt.RevokeGrant(ctx, runID, grantID, cmd)
	return err
}

// RevokeShared implements backend.
func (l *local) RevokeShared(ctx context.Context, g *api.SharedGrant, cmd bide.Command) error {
	return l.grants().RevokeGrant(ctx, g.Scope, g.Of, g.ID, cmd.Actor)
}

// Grants implements backend.
func (r *remote) Grants(ctx context.Context) (all []api.SharedGrant, err error) {
	for cursor := ""; ; {
		page, err := r.c.Grants(ctx, 1000, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Grants...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// RevokeGrant implements backend.
func (r *remote) RevokeGrant(ctx context.Context, runID, grantID string, cmd bide.Command) error {
	_, err := r.c.RevokeGrant(ctx, runID, grantID, cmd.ID)
	return err
}

// RevokeShared implements backend.
func (r *remote) RevokeShared(ctx context.Context, g *api.SharedGrant, cmd bide.Command) error {
	return r.c.RevokeSharedGrant(ctx, g, cmd.ID)
}
