package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/ledger"
)

func newCheckpoint(a *app) *cobra.Command {
	var key string
	var follow bool
	cmd := &cobra.Command{
		Use:   "checkpoint --key FILE",
		Short: "Sign what the ledgers say now, or as they grow",
		Long: `Write signed checkpoints for all records that have none, and the newest one, as signed
note, to standard output. Kept elsewhere, it shows later whether the store was put back (verify --seen). With
--follow go on: checkpoints are written a second after a run ends and every minute, until Ctrl-C.`,
		Example: "  bide checkpoint --key ops.key > seen.note",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, out, _, err := a.served(cmd, "")
			if err != nil {
				return err
			}
			if r != nil {
				if key != "" || follow {
					return usage("bide checkpoint --help", "a server signs with its own key, and by itself: leave out --key and --follow")
				}
				c, err := r.c.WriteCheckpoint(cmd.Context(), "")
				if err != nil {
					return err
				}
				return out.value(c, func(w io.Writer) error {
					_, err := fmt.Fprint(w, c.Note)
					return err
				})
			}
			if key == "" {
				return usage("bide key NAME --private FILE", "--key names the file with the private keys")
			}
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			signers, err := privateKeys(key)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			log, err := ledger.OpenLog(ctx, l.store, &ledger.LogOptions{Signers: signers})
			if err != nil {
				return err
			}
			n := ledger.NewNotary(l.rt, l.store, log, nil)
			if follow {
				return n.Run(ctx)
			}
			if err := n.Seal(ctx); err != nil {
				return err
			}
			e, _, err := ledger.ReadLog(ctx, l.store, nil)
			if err != nil {
				return err
			}
			if e.Newest == nil {
				a.say("There are no records to sign.")
				return nil
			}
			return out.value(e.Newest, func(w io.Writer) error {
				_, err := fmt.Fprint(w, e.Note)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "file with the private keys that sign, one a line")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on until Ctrl-C")
	return cmd
}
