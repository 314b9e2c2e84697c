package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/seal"
)

func newCopy(a *app) *cobra.Command {
	var to string
	var o transfer.CopyOptions
	cmd := &cobra.Command{
		Use:   "copy --to STORE",
		Short: "Copy all runs into another store, where they go on",
		Long: `Copy all runs of the store into another one, verifying each. Stop the workers first, and start them
on the other store afterwards. Cut off, it goes on where it was by doing it again.

With encryption.keys, encrypted artifacts are copied as well, under keys of the other store, beside those of this one: bide
retention gc with the other store removes what is left when this one is gone. With --encrypt, runs that are plain are
encrypted: their records keep numbers, times and content and get other hashes, so checkpoints and proofs of this
store do not speak for them; keep them with a backup of it.`,
		Example: "  bide copy --to postgres://localhost/bide\n  BIDE_ENCRYPTION_KEYS=file:.bide/keyring bide copy --encrypt --to sqlite:.bide/encrypted.db",
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
			if _, ok := other.(*seal.Store); ok {
				from, err := artifactsOf(cmd.Context(), l.store, a.cfg.get("artifacts"))
				if err != nil {
					return err
				}
				defer from.Close()
				to, err := artifactsOf(cmd.Context(), other, a.cfg.get("artifacts"))
				if err != nil {
					return err
				}
				defer to.Close()
				o.FromArtifacts, o.ToArtifacts = from, to
			} else if o.Encrypt {
				return usage("bide help config", "encryption.keys names no keyring")
			}
			done, err := transfer.Copy(cmd.Context(), l.store, other, &o)
			if err != nil {
				return err
			}
			return out.value(done, func(io.Writer) error {
				a.say("%s with %s copied, %d there already.", plural(done.Runs, "run"), plural(done.Records, "record"), done.Known)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the other store: sqlite:PATH, postgres://… or file:FOLDER")
	cmd.Flags().StringArrayVar(&o.Documents, "documents", []string{flow.KindFlow}, "the documents of this kind as well; may be given more than once")
	cmd.Flags().BoolVar(&o.Encrypt, "encrypt", false, "encrypt the runs that are plain")
	return cmd
}
