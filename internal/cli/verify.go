package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newVerify(a *app) *cobra.Command {
	var all bool
	var signed signatures
	cmd := &cobra.Command{
		Use:   "verify RUN… | FILE | --all",
		Short: "Check that the ledgers of runs are whole and unchanged",
		Long: `Read the whole ledger of each run and check that every record carries the hash of the
one before, that it ends where the run's row says, and that it gives the stored state. A run that does
not verify is named, and the exit code is 8.

With --public the signed checkpoints are held against the records too, and with --all what was removed is found. What no
checkpoint speaks for yet is listed. A FILE is an export or a proof: no store is needed for it.`,
		Example: "  bide verify --all --public ops.pub --seen seen.note\n  bide verify run.bide --public ops.pub",
		Args:    args(0, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usage("bide verify --help", "name runs, or give --all")
			}
			if len(args) == 1 && isFile(args[0]) {
				return a.verifyFile(cmd, args[0], &signed)
			}
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			if signed.public != "" {
				return a.verifySigned(cmd, out, args, &signed)
			}
			return a.verify(cmd, b, out, args)
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().BoolVar(&all, "all", false, "every run of the store")
	cmd.Flags().StringVar(&signed.public, "public", "", "file with the public keys that count (default: signatures are not looked at)")
	cmd.Flags().StringVar(&signed.seen, "seen", "", "file with a checkpoint that was kept elsewhere: the log must still begin with it")
	cmd.Flags().StringVar(&signed.identity, "identity", "", "file with the age identities that decrypt an export (default: none)")
	return cmd
}

// checked is the verdict on one ledger.
type checked struct {
	RunID string `json:"run_id"`
	OK    bool   `json:"ok"`
	*verification
	Error string `json:"error,omitempty"`
}

// verify checks the runs that are named, or all when none is.
func (a *app) verify(cmd *cobra.Command, b backend, out *output, refs []string) error {
	ctx := cmd.Context()
	var verdicts []checked
	var first error
	check := func(id string) error {
		v, err := b.Verify(ctx, id)
		c := checked{RunID: id, OK: err == nil, verification: v}
		if errors.Is(err, bide.ErrCorrupt) {
			c.Error = err.Error()
			if first == nil {
				first = &problem{code: exitIntegrity, what: fmt.Sprintf("the ledger of run %s does not verify", id), why: err.Error(), err: err}
			}
			err = nil
		}
		verdicts = append(verdicts, c)
		return err
	}
	for _, ref := range refs {
		id, err := resolve(ctx, b, ref)
		if err == nil {
			err = check(id)
		}
		if err != nil {
			return err
		}
	}
	for q := (runsQuery{Internal: true, Limit: 1000}); len(refs) == 0; {
		page, err := b.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page.Runs {
			if err := check(r.ID); err != nil && !errors.Is(err, bide.ErrNotFound) {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	err := list(out, verdicts, []string{"RUN", "OK", "RECORDS", "HEAD"}, func(c checked) []string {
		if c.verification == nil {
			return []string{c.RunID, "no", "", c.Error}
		}
		return []string{c.RunID, "yes", fmt.Sprint(c.Records), c.Head.String()}
	})
	a.say("%s checked.", plural(len(verdicts), "ledger"))
	closed := 0
	for _, c := range verdicts {
		closed += btoi(c.verification != nil && c.Sealed)
	}
	if closed > 0 {
		a.say("%s encrypted, with keys that are not at hand: chains were checked, and not what they hold.", plural(closed, "run"))
	}
	return errors.Join(err, first)
}
