package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newState(a *app) *cobra.Command {
	var at int64
	cmd := &cobra.Command{
		Use:   "state RUN",
		Short: "Write the variables of a run, now or after any record",
		Long: `Write the variables of a run as JSON: as they are, or, with --at, as they were
after a record of the ledger. In the formats json, jsonl and yaml it is the whole state.`,
		Example: "  bide state @last --at 5",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("at") && at < 1 {
				return usage("", "--at %d: records are numbered from 1", at)
			}
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			id, err := resolve(cmd.Context(), b, args[0])
			if err != nil {
				return err
			}
			run, err := b.Run(cmd.Context(), id, at)
			if err != nil {
				return elsewhere(err, "bide tail "+id)
			}
			return out.value(run, func(w io.Writer) error {
				raw, err := plainJSON(run.Vars)
				if err != nil {
					return err
				}
				a.say("Run %s after record %d: %s, at %s.", run.ID, run.Seq, run.Status, run.Node)
				_, err = fmt.Fprintln(w, pretty(raw))
				return err
			})
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().Int64Var(&at, "at", 0, "number of the record after which to look (default: the last)")
	return cmd
}
