package cli

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/ledger"
)

// wholeStore is all that a store offers.
type wholeStore interface {
	engine.Store
	bide.Documents
}

// evidence opens the store itself, for the commands that read or write whole ledgers or what was signed. A server gives out
// neither: what it shows is what its token may see.
func (a *app) evidence(cmd *cobra.Command) (*output, *local, error) {
	if err := a.onStore(cmd); err != nil {
		return nil, nil, err
	}
	out, _, err := a.look(cmd)
	if err == nil && a.local.store == nil {
		err = &problem{code: exitError, what: "this store keeps no documents, and so no checkpoints"}
	}
	return out, a.local, err
}

// publicKeys reads the public keys in a file; none when no file is named.
func publicKeys(file string) ([]note.Verifier, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ledger.Verifiers(string(text))
}

// privateKeys reads the private keys in a file; none when no file is named.
func privateKeys(file string) ([]note.Signer, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ledger.Signers(string(text))
}

// createFile makes a file that only its owner can read; it fails when there is one.
func createFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
