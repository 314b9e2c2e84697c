package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/ledger"
)

func newProof(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "proof RUN [SEQ]",
		Short: "Write what proves a run, or one of its records, to others",
		Long: `Write the proof that the records of a run were signed, as JSON: verify checks it with the
public key alone. With a record's number it proves that record, and carries it and those that lead from it to the next
checkpoint.`,
		Example: "  bide proof @last 7 > proof.json && bide verify proof.json --public ops.pub",
		Args:    args(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r, _, id, err := a.served(cmd, args[0]); err != nil {
				return err
			} else if r != nil {
				return r.proof(cmd.Context(), a.stdout, id, strings.Join(args[1:], ""))
			}
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := resolve(ctx, l, args[0])
			if err != nil {
				return err
			}
			e, _, err := ledger.ReadLog(ctx, l.store, nil)
			if err != nil {
				return err
			}
			var proof any
			if len(args) == 1 {
				proof, err = e.Prove(id)
			} else {
				seq, perr := strconv.ParseInt(args[1], 10, 64)
				if perr != nil || seq < 1 {
					return usage("bide proof --help", "%q is not the number of a record", args[1])
				}
				proof, err = e.ProveRecord(id, seq, l.rt.Ledger(ctx, id, seq))
			}
			if err != nil {
				return err
			}
			raw, err := plainJSON(proof)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, string(raw))
			return err
		},
		ValidArgsFunction: a.completeRun,
	}
}
