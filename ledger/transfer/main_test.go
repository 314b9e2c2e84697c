package transfer_test

import (
	"bytes"
	"context"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
)

var ctx = context.Background()

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// newKey makes a key; both halves are ready for use.
func newKey(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	private, public, err := ledger.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.Signers(private)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.Verifiers(public)
	if err != nil {
		t.Fatal(err)
	}
	return s[0], v[0]
}

// filled is a store with runs of every sort, signed.
func filled(t testing.TB, kind string) (*ledgertest.World, note.Signer, note.Verifier) {
	t.Helper()
	w := ledgertest.New(t, ledgertest.Open(t, kind))
	w.Fill()
	signer, key := newKey(t)
	log, err := ledger.OpenLog(ctx, w.Store, &ledger.LogOptions{Signers: []note.Signer{signer}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.NewNotary(w.RT, w.Store, log, nil).Seal(ctx); err != nil {
		t.Fatal(err)
	}
	return w, signer, key
}

func export(t testing.TB, s bide.Store, opts *transfer.ExportOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := transfer.Export(ctx, s, &out, opts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// verified checks that a store is whole.
func verified(t testing.TB, s bide.Store) {
	t.Helper()
	rep, err := ledger.VerifyStore(ctx, s, nil)
	if err != nil || !rep.OK() {
		t.Errorf("VerifyStore = %+v, %v", rep, err)
	}
}

// same checks that two stores have the same runs with the same records.
func same(t testing.TB, got, want bide.Store) {
	t.Helper()
	list := func(s bide.Store) map[string]bide.RunInfo {
		page, err := s.Runs(ctx, bide.RunQuery{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bide.RunInfo{}
		for _, r := range page.Runs {
			out[r.ID] = r
		}
		return out
	}
	a, b := list(got), list(want)
	if len(a) != len(b) {
		t.Errorf("there are %d runs, want %d", len(a), len(b))
	}
	for id, row := range b {
		if !ledger.SameInfo(a[id], row) {
			t.Errorf("run %s is %+v, want %+v", id, a[id], row)
		}
	}
}
