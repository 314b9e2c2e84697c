package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/ledger/trace"
)

func newBookmark(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "bookmark", Short: "Mark points of runs, to come back to", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newBookmarkAdd(a), newBookmarkLs(a), newBookmarkRm(a))
	return cmd
}

func newBookmarkAdd(a *app) *cobra.Command {
	var b trace.Bookmark
	cmd := &cobra.Command{
		Use: "add NAME RUN", Short: "Mark a record of a run", Args: args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			b.Name, b.Actor = args[0], a.cfg.get("actor")
			if b.RunID, err = resolve(ctx, l, args[1]); err != nil {
				return err
			}
			if b.Seq == 0 {
				run, err := l.rt.Get(ctx, b.RunID)
				if err != nil {
					return err
				}
				b.Seq = run.Seq
			}
			mark, err := trace.Mark(ctx, l.rt, l.store, b, l.now())
			if err != nil {
				return err
			}
			a.say("%s is record %d of run %s.", mark.Name, mark.Seq, mark.RunID)
			return nil
		},
	}
	cmd.Flags().Int64Var(&b.Seq, "at", 0, "number of the record (default: the last)")
	cmd.Flags().StringArrayVar(&b.Tags, "tag", nil, "tag to find it by; may be given more than once")
	cmd.Flags().StringVar(&b.Note, "note", "", "what to remember about it")
	return cmd
}

func newBookmarkLs(a *app) *cobra.Command {
	var tag string
	cmd := &cobra.Command{
		Use: "ls [TEXT]", Short: "List bookmarks, or those with a text in name, note or run", Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			found, err := trace.Find(cmd.Context(), l.store, tag, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return list(out, found, []string{"NAME", "RUN", "RECORD", "TAGS", "NOTE"}, func(b trace.Bookmark) []string {
				return []string{b.Name, b.RunID, itoa(b.Seq), strings.Join(b.Tags, " "), b.Note}
			})
		},
	}
	cmd.Flags().StringVar(&tag, "tag", "", "only those with this tag")
	return cmd
}

func newBookmarkRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME", Short: "Remove a bookmark; the run stays", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			return trace.Unmark(cmd.Context(), l.store, args[0])
		},
	}
}
