package cli

import (
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newMigrate(a *app) *cobra.Command {
	var to, reason string
	cmd := &cobra.Command{
		Use:   "migrate RUN --to VERSION",
		Short: "Move a run to another version of its flow",
		Long: `Move a run to another version of its flow that is kept in the store, after deciding every
step of its ledger again with that version. When one is decided otherwise, nothing is changed, and the exit code is 8.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usage("bide migrate --help", "--to names the version: the content hash of the flow")
			}
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := resolve(ctx, b, args[0])
			if err != nil {
				return err
			}
			run, err := b.Migrate(ctx, id, to, bide.Command{Actor: a.cfg.get("actor"), Reason: reason})
			if err != nil {
				return err
			}
			a.say("Run %s goes on with version %s.", id, run.Version)
			if out.format == formatTable {
				return nil
			}
			return out.encode(run.RunInfo)
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().StringVar(&to, "to", "", "version to move to")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the ledger")
	return cmd
}
