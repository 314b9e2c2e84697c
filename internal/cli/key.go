package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/ledger"
)

func newKey(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "key NAME --private FILE",
		Short: "Make a key that signs checkpoints",
		Long: `Make an Ed25519 key. The private half goes into a new file that only you can read; the public
half is written to standard output: give it to those who verify. To rotate a key, make another one,
put both private halves into one file, a line each, and take the old one away when all have the new public half.`,
		Example: "  bide key ops-2026 --private ops.key > ops.pub",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if file == "" {
				return usage(cmd.CommandPath()+" --help", "--private says where the private half goes")
			}
			private, public, err := ledger.GenerateKey(args[0])
			if err != nil {
				return err
			}
			f, err := createFile(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f, private)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
			a.say("The private half is in %s.", file)
			_, err = fmt.Fprintln(a.stdout, public)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "private", "", "new file for the private half")
	return cmd
}
