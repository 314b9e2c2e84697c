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
			ctx := cmd.Context()
			if r, _, id, err := a.served(cmd, args[1]); r != nil || err != nil {
				if err != nil {
					return err
				}
				b.Name, b.RunID = args[0], id
				mark, err := r.mark(ctx, b)
				if err == nil {
					a.say("%s is record %d of run %s.", mark.Name, mark.Seq, mark.RunID)
				}
				return err
			}
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
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
			var found []trace.Bookmark
			r, out, _, err := a.served(cmd, "")
			if r != nil && err == nil {
				found, err = r.bookmarks(cmd.Context(), tag, strings.Join(args, ""))
			} else if err == nil {
				var l *local
				if out, l, err = a.evidence(cmd); err == nil {
					found, err = trace.Find(cmd.Context(), l.store, tag, strings.Join(args, ""))
				}
			}
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
			if r, _, _, err := a.served(cmd, ""); err != nil {
				return err
			} else if r != nil {
				return elsewhere(r.c.DeleteBookmark(cmd.Context(), args[0], ""), "bide bookmark ls")
			}
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			if _, err := trace.Lookup(cmd.Context(), l.store, args[0]); err != nil {
				return elsewhere(err, "bide bookmark ls")
			}
			return trace.Unmark(cmd.Context(), l.store, args[0])
		},
	}
}
