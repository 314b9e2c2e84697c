package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
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
			if r, err := a.remote(cmd); err != nil {
				return err
			} else if r != nil {
				if len(args) != 1 || key != "" || artifacts != "" || len(recipients) > 0 {
					return usage("bide export --help", "through a server it is one RUN, as it is: neither signed, encrypted nor with artifacts")
				}
				id, err := resolve(cmd.Context(), r, args[0])
				if err != nil {
					return err
				}
				return r.export(cmd, a, id, file)
			}
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			o := &transfer.ExportOptions{Documents: documents}
			if o.Signers, err = privateKeys(key); err != nil {
				return err
			}
			for _, r := range recipients {
				to, err := age.ParseX25519Recipient(r)
				if err != nil {
					return usage("bide export --help", "--recipient %q: %v", r, err)
				}
				o.Recipients = append(o.Recipients, to)
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
			if file == "-" {
				_, err := transfer.Export(cmd.Context(), l.store, a.stdout, o)
				return err
			}
			written, err := exportTo(cmd, l.store, file, o)
			if err != nil {
				return err
			}
			return out.value(written, func(io.Writer) error {
				a.say("%s written to %s, with %s.", plural(written.Runs, "run"), file, plural(written.Records, "record"))
				return nil
			})
		},
		ValidArgsFunction: a.completeRun,
	}
	f := cmd.Flags()
	f.StringVar(&file, "to", "", "new file; - is standard output")
	f.StringVar(&key, "key", "", "file with the private keys that sign the file as a whole (default: none)")
	f.StringVar(&artifacts, "artifacts", "", "folder or bucket (s3://…) of the artifacts that go along (default: none)")
	f.StringArrayVar(&recipients, "recipient", nil, "encrypt for this age public key; may be given more than once (default: not encrypted)")
	f.StringArrayVar(&documents, "documents", []string{flow.KindFlow}, "also the documents of this kind, such as bookmark; may be given more than once")
	return cmd
}

// exportTo writes a new file, and leaves none when that fails.
func exportTo(cmd *cobra.Command, store bide.Store, file string, o *transfer.ExportOptions) (*transfer.Written, error) {
	f, err := createFile(file)
	if errors.Is(err, fs.ErrExist) {
		return nil, &problem{code: exitConflict, what: "there is a file at " + file + " already", why: "an export never takes the place of a file",
			next: "name another one with --to", err: err}
	}
	if err != nil {
		return nil, err
	}
	written, err := transfer.Export(cmd.Context(), store, f, o)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	return written, nil
}
