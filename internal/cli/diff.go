package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger/trace"
)

func newDiff(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff RUN RUN",
		Short: "Compare two runs, or a run and its fork",
		Long:  "Name the first records in which two runs differ, and the variables that they have otherwise in the end. Ids and times do not count.",
		Args:  args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			var runs [2]*bide.Run
			for i, ref := range args {
				id, err := resolve(ctx, b, ref)
				if err != nil {
					return err
				}
				if runs[i], err = b.Run(ctx, id, 0); err != nil {
					return err
				}
			}
			d, err := trace.Compare(runs[0], runs[1], b.Records(ctx, runs[0].ID, 1, false), b.Records(ctx, runs[1].ID, 1, false))
			if err != nil {
				return err
			}
			return out.value(d, func(w io.Writer) error { return drawDiff(w, d) })
		},
		ValidArgsFunction: a.completeRun,
	}
}

func drawDiff(w io.Writer, d *trace.Diff) error {
	first := func(r *bide.Record) string {
		if r == nil {
			return "nothing more"
		}
		return fmt.Sprintf("record %d, %s at %s", r.Seq, r.Kind, r.Node)
	}
	forked := ""
	if d.Fork != nil {
		forked = fmt.Sprintf("from run %s at record %d", d.Fork.RunID, d.Fork.Seq)
	}
	err := fields(w, [2]string{"forked", forked}, [2]string{"the same", plural(d.Common, "record")},
		[2]string{"then", first(d.FirstA)}, [2]string{"and", first(d.FirstB)})
	if err != nil {
		return err
	}
	rows := make([][]string, len(d.Changes))
	for i, c := range d.Changes {
		rows[i] = []string{c.Path, string(c.A), string(c.B)}
	}
	return table(w, []string{"VARIABLE", d.A.ID, d.B.ID}, rows)
}
