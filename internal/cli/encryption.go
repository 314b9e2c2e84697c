package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/redact"
	"github.com/bide-dev/bide/seal"
)

func checkKeys(value string) error {
	scheme, rest, _ := strings.Cut(value, ":")
	if value == "" || rest != "" && slices.Contains([]string{"file", "env", "command"}, scheme) {
		return nil
	}
	return fmt.Errorf("%q names no keyring; use file:PATH, env:NAME or command:PROGRAM", value)
}

// relativeKeys reads the path of a keyring in a file as one from the project's folder.
func relativeKeys(source, root string) string {
	path, ok := strings.CutPrefix(source, "file:")
	if !ok || path == "" || filepath.IsAbs(path) {
		return source
	}
	return "file:" + filepath.Join(root, path)
}

func checkRedact(value string) error {
	if value == "" {
		return nil
	}
	_, err := redact.Parse([]byte(value))
	return err
}

// redactor is that of the configuration; nil without rules.
func (c *config) redactor() (bide.Redactor, error) {
	if c.get("redact") == "" {
		return nil, nil
	}
	return redact.Parse([]byte(c.get("redact")))
}

// keys are those of the configuration; nil when nothing is to be encrypted.
func (c *config) keys(ctx context.Context) (seal.Keys, error) {
	source := c.get("encryption.keys")
	if source == "" {
		return nil, nil
	}
	return seal.OpenKeyring(ctx, source)
}

// sealed encrypts a store with the keys of the configuration, if there are any.
func sealed(ctx context.Context, store engine.Store, cfg *config) (engine.Store, error) {
	keys, err := cfg.keys(ctx)
	if err != nil || keys == nil {
		return store, err
	}
	out, err := seal.New(ctx, store, keys, nil)
	if err != nil {
		return store, err
	}
	return out, nil
}

func newKeyring(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "keyring NAME --file FILE",
		Short: "Make a wrapping key that encrypts what is kept",
		Long: `Make a wrapping key and put it first into a keyring: a new file that only you can read, or one that is
there. It encrypts what begins from now on, once encryption.keys names the keyring; the keys that were there
stay for what they encrypted. To rotate: bide keyring with a new name, start the servers anew, bide rewrap,
and take the old line out when no backup needs it. Who loses the keyring loses what it encrypted.

These keys keep secrets; those of bide key sign checkpoints.`,
		Example: "  bide keyring 2026-01 --file .bide/keyring\n  BIDE_ENCRYPTION_KEYS=file:.bide/keyring bide run examples/refund.yaml",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usage("bide keyring --help", "--file names the keyring")
			}
			line, err := seal.NewKey(args[0])
			if err != nil {
				return err
			}
			before, err := os.ReadFile(file)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			text := append([]byte(line+"\n"), before...)
			ring, err := seal.ParseKeyring(text)
			if err != nil {
				return err
			}
			if err := writeKeyring(file, text); err != nil {
				return err
			}
			cfg, err := a.config(cmd)
			if err != nil {
				return err
			}
			if cfg.get("encryption.keys") == "" {
				a.say("The keyring %s has %s. It encrypts what is new once it is named: encryption.keys: file:%s, or BIDE_ENCRYPTION_KEYS.", file, plural(len(ring.IDs()), "key"), file)
				return nil
			}
			a.say("%s encrypts what is new; the keyring %s has %s.", args[0], file, plural(len(ring.IDs()), "key"))
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "the keyring; it is made when it is not there")
	return cmd
}

// writeKeyring writes a keyring whole or not at all.
func writeKeyring(path string, text []byte) error {
	f, err := createFile(path)
	if errors.Is(err, fs.ErrExist) {
		return replaceFile(path, text)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// examineEncryption says whether what is encrypted can be read.
func (a *app) examineEncryption(ctx context.Context, l *local) (out []finding) {
	add := func(verdict, next, format string, args ...any) {
		out = append(out, finding{"encryption", verdict, fmt.Sprintf(format, args...), next})
	}
	s, ok := l.store.(*seal.Store)
	if !ok {
		switch err := seal.CheckPlain(ctx, l.docs); {
		case errors.Is(err, bide.ErrSealed):
			add(verdictBad, "bide help config", "runs of this store are encrypted, and encryption.keys names no keyring")
		case err != nil:
			add(verdictBad, "", "%s", explain(err).Error())
		default:
			add(verdictOK, "", "what is kept is plain")
		}
		return out
	}
	found, err := s.Rewrap(ctx, &seal.RewrapOptions{DryRun: true})
	if err != nil {
		add(verdictBad, "", "%s", explain(err).Error())
		return out
	}
	add(verdictOK, "", "key %s encrypts what is new", found.Current)
	for _, id := range slices.Sorted(maps.Keys(found.Before)) {
		if err := s.HasKey(ctx, id); err != nil {
			add(verdictBad, "bide help config", "%s of data keys: %s", plural(found.Before[id], "block"), err)
		} else if id != found.Current {
			add(verdictNote, "bide rewrap", "still wrapped with key %s: %s of data keys", id, plural(found.Before[id], "block"))
		}
	}
	for _, id := range found.Shredding {
		add(verdictBad, "bide shred "+id, "the shredding of run %s was cut off", id)
	}
	return out
}

func newRewrap(a *app) *cobra.Command {
	var o seal.RewrapOptions
	var artifacts bool
	cmd := &cobra.Command{
		Use:   "rewrap",
		Short: "Wrap the data keys of all runs with the first key of the keyring",
		Long: `Wrap the data keys of all runs, which lie in blocks, with the first key of the keyring. The runs
themselves are not touched, and go on meanwhile. Cut off, it goes on where it was by doing it again. Runs whose
shredding was cut off are named.

With --artifacts, artifacts that were put before there was encryption are encrypted as well; those of the last hour are left.
Runs that began before stay plain: bide copy --encrypt makes an encrypted store of them.`,
		Example: "  bide rewrap --dry-run\n  bide rewrap --artifacts",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			s, ok := l.store.(*seal.Store)
			if !ok {
				return usage("bide help config", "encryption.keys names no keyring")
			}
			if artifacts && o.DryRun {
				return usage("bide rewrap --help", "--dry-run does not go with --artifacts")
			}
			done, err := s.Rewrap(cmd.Context(), &o)
			if err != nil {
				return err
			}
			if artifacts {
				if err := a.encryptArtifacts(cmd.Context(), s); err != nil {
					return err
				}
			}
			return out.value(done, func(w io.Writer) error {
				rows := [][]string{}
				for _, id := range slices.Sorted(maps.Keys(done.Before)) {
					rows = append(rows, []string{id, fmt.Sprint(done.Before[id]), fmt.Sprint(done.After[id])})
				}
				if done.Before[done.Current] == 0 {
					rows = append(rows, []string{done.Current, "0", fmt.Sprint(done.After[done.Current])})
				}
				for _, id := range done.Shredding {
					a.say("The shredding of run %s was cut off; bide shred %s finishes it.", id, id)
				}
				return table(w, []string{"KEY", "BLOCKS BEFORE", "AFTER"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "count, and change nothing")
	cmd.Flags().BoolVar(&artifacts, "artifacts", false, "also encrypt the artifacts that are plain")
	return cmd
}

// encryptArtifacts encrypts the artifacts that were put before there was encryption.
func (a *app) encryptArtifacts(ctx context.Context, s *seal.Store) error {
	inner, err := openArtifacts(ctx, a.cfg.get("artifacts"))
	if err != nil {
		return err
	}
	blobs := s.Artifacts(inner)
	n, err := blobs.Encrypt(ctx)
	if err == nil {
		a.say("%s encrypted that had been plain.", plural(n, "artifact"))
	}
	return errors.Join(err, blobs.Close())
}
