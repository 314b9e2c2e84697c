package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newTail(a *app) *cobra.Command {
	var follow bool
	var from int64
	var lines int64
	cmd := &cobra.Command{
		Use:   "tail RUN",
		Short: "Write the ledger of a run, and what comes",
		Long: `Write the records of a run's ledger, the last 20 by default. With --follow, also
those that come, until the run ends; without a worker (bide work, bide run) none come.

In format jsonl each line is a record as it is stored, byte for byte: the SHA-256 of a line
is the "prev" of the next.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			if follow && (out.format == formatJSON || out.format == formatYAML) {
				return usage("bide tail "+args[0]+" --follow -o jsonl", "-o %s is one value, and --follow has no end", out.format)
			}
			if from < 0 {
				return usage("", "--from %d: records are numbered from 1", from)
			}
			if lines < 0 {
				return usage("", "--lines %d: give how many of the last records; 0 means all", lines)
			}
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := resolve(ctx, b, args[0])
			if err != nil {
				return err
			}
			if from == 0 && lines > 0 {
				run, err := b.Run(ctx, id, 0)
				if err != nil {
					return err
				}
				from = max(run.Seq-lines+1, 1)
			}
			var all []rawRecord
			for rec, err := range b.Records(ctx, id, from, follow) {
				switch {
				case err != nil:
					return err
				case out.format == formatTable:
					_, err = fmt.Fprintln(out.w, recordLine(&rec, out.styled))
				case out.format == formatJSONL:
					_, err = fmt.Fprintf(out.w, "%s\n", rec.Text())
				default:
					all = append(all, rawRecord(rec.Text()))
				}
				if err != nil {
					return err
				}
			}
			if out.format == formatJSON || out.format == formatYAML {
				return list(out, all, nil, nil)
			}
			return ctx.Err()
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	cmd.Flags().Int64Var(&from, "from", 0, "number of the first record")
	cmd.Flags().Int64VarP(&lines, "lines", "n", 20, "how many of the last records; 0 means all")
	return cmd
}

// rawRecord is the stored text of a record, which is JSON.
type rawRecord []byte

// MarshalJSON returns the text.
func (r rawRecord) MarshalJSON() ([]byte, error) { return r, nil }
