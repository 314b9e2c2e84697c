package cli

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger/transfer"
)

func newInspect(a *app) *cobra.Command {
	var public, identity string
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "List the runs of an export, without a store",
		Long:  "Read a whole export, check all of it, and list its runs. When something is wrong, the exit code is 8.",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			var runs []bide.RunInfo
			content, err := inspectFile(args[0], public, identity, func(info bide.RunInfo, _ *bide.Run) { runs = append(runs, info) })
			if err != nil {
				return err
			}
			err = list(out, runs, []string{"RUN", "FLOW", "STATUS", "RECORDS"}, func(r bide.RunInfo) []string {
				return []string{r.ID, r.Workflow, string(r.Status), itoa(r.Seq)}
			})
			if err != nil {
				return err
			}
			return a.content(args[0], content)
		},
	}
	cmd.Flags().StringVar(&public, "public", "", "file with the public keys that count (default: signatures are not looked at)")
	cmd.Flags().StringVar(&identity, "identity", "", "file with the age identities that decrypt (default: none)")
	return cmd
}

func inspectFile(path, public, identity string, each func(bide.RunInfo, *bide.Run)) (*transfer.Content, error) {
	var o transfer.ReadOptions
	var err error
	if o.Keys, err = publicKeys(public); err != nil {
		return nil, err
	}
	if o.Identities, err = identities(identity); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return transfer.Inspect(io.Reader(f), &o, each)
}

// content says what is in a file, and fails when something is wrong with it.
func (a *app) content(file string, c *transfer.Content) error {
	a.say("%s with %s, %s, %s; %d of the runs signed.", plural(c.Runs, "run"), plural(c.Records, "record"), plural(c.Artifacts, "artifact"),
		plural(c.Documents, "document"), c.SignedRuns)
	if c.Sealed > 0 {
		a.say("%s encrypted: chains were checked, and not what they hold.", plural(c.Sealed, "run"))
	}
	for _, k := range c.Keys {
		a.say("The file is signed by %s.", k)
	}
	for _, u := range c.Unsigned {
		a.say("Not signed: run %s, records %d to %d.", u.RunID, u.From, u.To)
	}
	for _, f := range c.Faults {
		a.say("%s", oneLine(f.String()))
	}
	if c.OK() {
		return nil
	}
	p := &problem{code: exitIntegrity, what: file + " is not as it was written", err: c.Broken}
	if c.Broken != nil {
		p.why = c.Broken.Error()
	}
	return p
}
