package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/ledger/transfer"
)

func newExport(a *app) *cobra.Command {
	var file, key, artifacts string
	var recipients, documents []string
	cmd := &cobra.Command{
		Use:   "export [RUN…] --to FILE",
		Short: "Write runs with all that belongs to them into one file",
		Long: `Write runs, each with those below it and its flow, into one file: to inspect, verify
and import elsewhere. Without a RUN it is the whole store. The file holds every record as it is stored, and what was signed of it.`,
		Example: "  bide export @last --to run.bide\n  bide export --to all.bide --recipient age1…",
		Args:    args(0, many),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if file == "" {
				return usage("bide export --help", "--to names the file; - is standard output")
			}
			o := &transfer.ExportOptions{Documents: documents}
			for _, r := range recipients {
				to, err := age.ParseX25519Recipient(r)
				if err != nil {
					return usage("bide export --help", "--recipient %q: %v", r, err)
				}
				o.Recipients = append(o.Recipients, to)
			}
			if r, out, _, err := a.served(cmd, ""); err != nil {
				return err
			} else if r != nil {
				if key != "" || artifacts != "" && artifacts != servedArtifacts {
					return usage("bide export --help", "a server has no private keys but its own, and keeps its own artifacts: leave out --key, and say --artifacts artifacts or nothing")
				}
				return r.export(cmd, a, out, args, file, o, artifacts != "")
			}
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			if o.Signers, err = privateKeys(key); err != nil {
				return err
			}
			for _, ref := range args {
				id, err := resolve(cmd.Context(), l, ref)
				if err != nil {
					return err
				}
				o.Runs = append(o.Runs, id)
			}
			if artifacts != "" {
				dir, err := artifactsOf(cmd.Context(), l.store, artifacts)
				if err != nil {
					return err
				}
				defer dir.Close()
				o.Artifacts = dir
			}
			return a.exported(out, file, func(w io.Writer) (*transfer.Written, error) {
				return transfer.Export(cmd.Context(), l.store, w, o)
			})
		},
		ValidArgsFunction: a.completeRun,
	}
	f := cmd.Flags()
	f.StringVar(&file, "to", "", "new file; - is standard output")
	f.StringVar(&key, "key", "", "file with the private keys that sign the file as a whole (default: none)")
	f.StringVar(&artifacts, "artifacts", "", "folder or bucket (s3://…) of the artifacts that go along; through a server: artifacts (default: none)")
	f.StringArrayVar(&recipients, "recipient", nil, "encrypt for this age public key; may be given more than once (default: not encrypted)")
	f.StringArrayVar(&documents, "documents", []string{flow.KindFlow}, "also the documents of this kind, such as bookmark; may be given more than once")
	return cmd
}

// exported writes an export into a new file, or to standard output for "-", and says what it holds.
func (a *app) exported(out *output, file string, write func(w io.Writer) (*transfer.Written, error)) error {
	if file == "-" {
		_, err := write(a.stdout)
		return err
	}
	written, err := exportTo(file, write)
	if err != nil {
		return err
	}
	return out.value(written, func(io.Writer) error {
		a.say("%s written to %s, with %s.", plural(written.Runs, "run"), file, plural(written.Records, "record"))
		return nil
	})
}

// exportTo writes a new file, and leaves none when that fails.
func exportTo(file string, write func(w io.Writer) (*transfer.Written, error)) (*transfer.Written, error) {
	f, err := createFile(file)
	if errors.Is(err, fs.ErrExist) {
		return nil, &problem{code: exitConflict, what: "there is a file at " + file + " already", why: "an export never takes the place of a file",
			next: "name another one with --to", err: err}
	}
	if err != nil {
		return nil, err
	}
	written, err := write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	return written, nil
}
