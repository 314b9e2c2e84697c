package cli

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/flow/bundle"
)

func newFlowBundle(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Put flows and what belongs to them into one file, and install such files",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleMake(a), newBundleShow(a), newBundleInstall(a))
	return cmd
}

func newBundleMake(a *app) *cobra.Command {
	var opts bundle.Options
	var keyFile, target string
	cmd := &cobra.Command{
		Use:   "make FOLDER",
		Short: "Make a bundle of a folder",
		Long: `Make a bundle of a folder: the flows at its top and under flows/, and all other files as assets. Files
and folders whose names begin with a dot are left out. The same content gives the same bytes. --key signs it with an Ed25519 key
in PEM, as of openssl genpkey -algorithm ed25519.`,
		Example: "  bide flow bundle make . --name refunds --version 3 --to refunds-3.bundle",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			if opts.Name == "" || opts.Version == "" {
				return usage("bide flow bundle make --help", "a bundle needs --name and --version")
			}
			if target == "" {
				target = opts.Name + "-" + opts.Version + ".bundle"
			}
			files, err := gather(args[0], target)
			if err != nil {
				return err
			}
			if keyFile != "" {
				if opts.Key, err = privateKey(keyFile); err != nil {
					return err
				}
			}
			b, err := bundle.Build(files, opts)
			if err != nil {
				return faulty(args[0], err)
			}
			if err := writeBundle(target, b); err != nil {
				return err
			}
			return a.showBundle(out, target, b)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Name, "name", "", "name of the bundle")
	f.StringVar(&opts.Version, "version", "", "version of the bundle")
	f.StringArrayVar(&opts.Entries, "entry", nil, "flow to start with (again for more; default: all)")
	f.StringVar(&keyFile, "key", "", "file of the private key to sign with")
	f.StringVar(&target, "to", "", "file to write (default: NAME-VERSION.bundle)")
	return cmd
}

// gather reads the files of a folder, without those that begin with a dot and the bundle itself.
func gather(folder, target string) (map[string][]byte, error) {
	files := map[string][]byte{}
	root := os.DirFS(folder)
	own, err := filepath.Abs(target)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != "." && strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir() || strings.HasPrefix(entry.Name(), "."):
			return nil
		case len(files) == bundle.MaxFiles:
			return fmt.Errorf("the folder %s has more than %d files", folder, bundle.MaxFiles)
		}
		if full, err := filepath.Abs(filepath.Join(folder, path)); err != nil || full == own {
			return err
		}
		files[path], err = fs.ReadFile(root, path)
		return err
	})
	return files, err
}

func writeBundle(target string, b *bundle.Bundle) error {
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &problem{code: exitConflict, what: fmt.Sprintf("the file %s is there already", target), next: "bide flow bundle show " + shellWord(target), err: err}
	}
	if err != nil {
		return err
	}
	if err := errors.Join(b.Write(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(target))
	}
	return nil
}

func newBundleShow(a *app) *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Check a bundle and show what it holds",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			b, err := openBundle(args[0], keyFile)
			if err != nil {
				return err
			}
			return a.showBundle(out, args[0], b)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "file of the public key that must have signed it")
	return cmd
}

func newBundleInstall(a *app) *cobra.Command {
	var keyFile, into string
	cmd := &cobra.Command{
		Use:   "install FILE",
		Short: "Check a bundle and put its files into a folder of their own",
		Long: `Check every path, size and digest of a bundle, and put its files into a folder of their own. With --key,
the bundle must be signed by that key. To start its flows by name, add the folder to the setting flows.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			b, err := openBundle(args[0], keyFile)
			if err != nil {
				return err
			}
			folder, err := b.Install(into)
			if err != nil {
				return &problem{code: exitConflict, what: "the bundle cannot be installed", why: err.Error(), err: err}
			}
			return out.value(installed{b.Manifest.Name, b.Manifest.Version, folder}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, folder)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&into, "into", "bundles", "folder that gets a folder for the bundle")
	cmd.Flags().StringVar(&keyFile, "key", "", "file of the public key that must have signed it")
	return cmd
}

// installed is a bundle that was installed.
type installed struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Folder  string `json:"folder"`
}

// openBundle reads and checks a bundle, and its signature when a key is given.
func openBundle(path, keyFile string) (*bundle.Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Open(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, &problem{code: exitIntegrity, what: fmt.Sprintf("%s is no whole bundle", path), why: err.Error(), err: err}
	}
	if keyFile == "" {
		return b, nil
	}
	key, err := publicKey(keyFile)
	if err != nil {
		return nil, err
	}
	if err := b.Verify(key); err != nil {
		return nil, &problem{code: exitIntegrity, what: fmt.Sprintf("%s is not signed by %s", path, keyFile), why: err.Error(), err: err}
	}
	return b, nil
}

// showBundle writes what a bundle holds.
func (a *app) showBundle(out *output, path string, b *bundle.Bundle) error {
	return out.value(b.Manifest, func(w io.Writer) error {
		m := &b.Manifest
		err := fields(w, [2]string{"bundle", m.Name + " version " + m.Version}, [2]string{"file", path},
			[2]string{"signed", map[bool]string{true: "yes", false: "no"}[b.Signed()]},
			[2]string{"tools", strings.Join(m.Tools, ", ")}, [2]string{"models", strings.Join(m.Models, ", ")},
			[2]string{"calls", strings.Join(m.Calls, ", ")}, [2]string{"secrets", strings.Join(m.Secrets, ", ")}, [2]string{"files", fmt.Sprint(len(m.Files))})
		if err != nil {
			return err
		}
		var rows [][]string
		for _, f := range m.Flows {
			rows = append(rows, []string{f.Name, f.Version, f.Path, map[bool]string{true: "entry"}[slices.Contains(m.Entries, f.Name)]})
		}
		_, err = fmt.Fprintln(w)
		return errors.Join(err, table(w, []string{"FLOW", "VERSION", "PATH", "ENTRY"}, rows))
	})
}

// pemBlock reads the first block of a file in PEM.
func pemBlock(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, usage("", "%s is no key in PEM", path)
	}
	return block.Bytes, nil
}

func privateKey(path string) (ed25519.PrivateKey, error) {
	der, err := pemBlock(path)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if own, ok := key.(ed25519.PrivateKey); ok && err == nil {
		return own, nil
	}
	return nil, usage("openssl genpkey -algorithm ed25519", "%s is no private Ed25519 key in PKCS #8", path)
}

func publicKey(path string) (ed25519.PublicKey, error) {
	der, err := pemBlock(path)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if own, ok := key.(ed25519.PublicKey); ok && err == nil {
		return own, nil
	}
	return nil, usage("openssl pkey -in KEY -pubout", "%s is no public Ed25519 key", path)
}
