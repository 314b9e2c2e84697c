package ledger_test

import (
	"context"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/ledger"
)

var ctx = context.Background()

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// newKey makes a key; both halves are ready for use.
func newKey(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	private, public, err := ledger.GenerateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.Signers("# the key\n\n" + private + "\n")
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.Verifiers(public)
	if err != nil {
		t.Fatal(err)
	}
	return s[0], v[0]
}

// sealed is a store with runs of every sort, all of them signed.
func sealed(t testing.TB, kind string) (*ledgertest.World, *ledger.Log, note.Verifier) {
	t.Helper()
	w := ledgertest.New(t, ledgertest.Open(t, kind))
	w.Fill()
	signer, key := newKey(t, "test")
	log, err := ledger.OpenLog(ctx, w.Store, &ledger.LogOptions{Signers: []note.Signer{signer}})
	if err != nil {
		t.Fatal(err)
	}
	seal(t, w, log)
	return w, log, key
}

func seal(t testing.TB, w *ledgertest.World, log *ledger.Log) {
	t.Helper()
	if err := ledger.NewNotary(w.RT, w.Store, log, nil).Seal(ctx); err != nil {
		t.Fatal(err)
	}
}

// verify verifies a whole store.
func verify(t testing.TB, s ledgertest.Store, opts *ledger.VerifyOptions) *ledger.Report {
	t.Helper()
	rep, err := ledger.VerifyStore(ctx, s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}
