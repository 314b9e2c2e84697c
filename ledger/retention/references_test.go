package retention_test

import (
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger/retention"
)

func TestWhatRecordsAndDocumentsNameIsKept(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			sum := func(c byte) string { return string(bytesOf(c, 64)) }
			s := ledgertest.Open(t, kind)
			w := ledgertest.New(t, s)
			w.Start("a", "see "+sum('1'))
			refs := retention.NewReferences(s, []string{"flow"})
			is := func(sum string, want bool) {
				t.Helper()
				if got, err := refs.Named(ctx, sum); got != want || err != nil {
					t.Errorf("Named(%.3s…) = %v, %v; want %v", sum, got, err, want)
				}
			}
			is(sum('1'), true)
			is(sum('2'), false)
			w.Start("b", sum('2')) // after the first look
			is(sum('2'), true)
			is(sum('3'), false)
			for _, kind := range []string{"flow", "other"} {
				d := bide.Document{Kind: kind, ID: "x", Body: bide.JSON(`"` + sum('3') + `"`), UpdatedAt: ledgertest.Start}
				if kind == "other" {
					d.Body = bide.JSON(`"` + sum('4') + `"`)
				}
				if _, err := s.PutDocument(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			is(sum('3'), true)
			is(sum('4'), false)
		})
	}
}

func bytesOf(c byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = c
	}
	return out
}
