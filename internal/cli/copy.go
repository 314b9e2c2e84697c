package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/ledger/transfer"
)

func newCopy(a *app) *cobra.Command {
	var to string
	var o transfer.CopyOptions
	cmd := &cobra.Command{
		Use:   "copy --to STORE",
		Short: "Copy all runs into another store, where they go on",
		Long: `Copy all runs of the store into another one, verifying each. Stop the workers first, and start them
on the other store afterwards. Cut off, it goes on where it was by doing it again.`,
		Example: "  bide copy --to postgres://localhost/bide",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if to == "" {
				return usage("bide copy --help", "--to names the other store")
			}
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			other, err := engine.OpenStore(cmd.Context(), to)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, other.Close()) }()
			if other, err = sealed(cmd.Context(), other, a.cfg); err != nil {
				return err
			}
			done, err := transfer.Copy(cmd.Context(), l.store, other, &o)
			if err != nil {
				return err
			}
			return out.value(done, func(io.Writer) error {
				a.say("%d runs with %d records were copied, %d were there.", done.Runs, done.Records, done.Known)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the other store: sqlite:PATH, postgres://… or file:FOLDER")
	cmd.Flags().StringArrayVar(&o.Documents, "documents", []string{flow.KindFlow}, "the documents of this kind as well; may be given more than once")
	return cmd
}
