package cli

import (
	"errors"
	"io"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/ledger/abstractruntime"
	"github.com/bide-dev/bide/ledger/transfer"
)

func newImport(a *app) *cobra.Command {
	var o transfer.ImportOptions
	var public, identity, artifacts, from, version string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put the runs of an export into the store",
		Long: `Check a whole export, and then put its runs into the store, every record as it is. Runs
that have not ended become history, which no worker touches, or go on with --live: make sure that they do not go on where they
come from. What is there already stays. An import that was cut off is finished by doing it again.

With --from abstractruntime FILE is what AbstractRuntime keeps: its directory, or its SQLite file. What could not be
carried is reported.`,
		Example: "  bide import run.bide\n  bide import old/data --from abstractruntime --live",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			r, out, _, err := a.served(cmd, "")
			if err == nil && r == nil {
				out, err = a.output(cmd)
			}
			if err != nil {
				return err
			}
			if r != nil && artifacts != "" && artifacts != servedArtifacts {
				return usage("bide import --help", "a server keeps its own artifacts: say --artifacts artifacts or nothing")
			}
			if o.Keys, err = publicKeys(public); err != nil {
				return err
			}
			if o.Identities, err = identities(identity); err != nil {
				return err
			}
			f, err := a.importFile(args[0], from, version)
			if err != nil {
				return err
			}
			defer f.Close()
			if o.From == "" {
				o.From = args[0]
			}
			var done *transfer.Imported
			if r != nil {
				done, err = r.bring(cmd.Context(), f, &o, public, artifacts != "")
			} else {
				done, err = a.bring(cmd, f, &o, artifacts)
			}
			if err != nil {
				p := explain(err)
				if r != nil && bide.CodeOf(err) == "" { // it was cut off on the way
					p.next = "the same command again: what has come stays, and the rest follows"
				}
				return &problem{code: p.code, what: "cannot import " + args[0], why: p.Error(), next: p.next, err: err}
			}
			return out.value(done, func(io.Writer) error {
				a.say("%s imported, %d there already; %d to go on, %d as history.", plural(done.Runs, "run"), done.Known, done.Live, done.History)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Live, "live", false, "let runs that have not ended go on here")
	f.StringVar(&public, "public", "", "file with the public keys that must have signed what is signed (default: signatures are not looked at)")
	f.StringVar(&identity, "identity", "", "file with the age identities that decrypt (default: none)")
	f.StringVar(&artifacts, "artifacts", "", "folder or bucket (s3://…) for the artifacts; through a server: artifacts (default: they are left out)")
	f.StringArrayVar(&o.Documents, "documents", []string{flow.KindFlow}, "the documents of this kind as well; may be given more than once")
	f.StringVar(&from, "from", "", "what FILE is: bide or abstractruntime (default: bide)")
	f.StringVar(&version, "version", "1", "with --from abstractruntime: the version of the workflows under which runs go on")
	return cmd
}

// bring puts a file into the store.
func (a *app) bring(cmd *cobra.Command, f io.ReadSeeker, o *transfer.ImportOptions, artifacts string) (*transfer.Imported, error) {
	if _, err := a.create(cmd); err != nil {
		return nil, err
	}
	if artifacts != "" {
		dir, err := artifactsOf(cmd.Context(), a.local.store, artifacts)
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		o.Artifacts = dir
	}
	return transfer.Import(cmd.Context(), a.local.store, f, o)
}

// importFile opens what is to be imported; data of AbstractRuntime is converted into a file that is gone with its end.
func (a *app) importFile(path, from, version string) (io.ReadSeekCloser, error) {
	switch from {
	case "", "bide":
		return os.Open(path)
	case "abstractruntime":
	default:
		return nil, usage("bide import --help", "--from %q is not known; it is bide or abstractruntime", from)
	}
	tmp, err := os.CreateTemp("", "bide-import-")
	if err != nil {
		return nil, err
	}
	f := &temporary{tmp}
	rep, err := abstractruntime.Convert(path, tmp, &abstractruntime.Options{Version: version})
	if err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for _, n := range rep.Notes {
		a.say("%s: %s", oneLine(n.RunID), oneLine(n.Message))
	}
	a.say("%s with %s read, %d that wait for an answer; ledgers with a chain that holds: %d, without a chain: %d.",
		plural(rep.Runs, "run"), plural(rep.Records, "record"), rep.Waiting, rep.ChainsOK, rep.ChainsNone)
	return f, nil
}

// temporary is a file that is gone when it is closed.
type temporary struct{ *os.File }

func (t *temporary) Close() error { return errors.Join(t.File.Close(), os.Remove(t.Name())) }

// identities reads the age identities in a file; none when no file is named.
func identities(file string) ([]age.Identity, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return age.ParseIdentities(f)
}
