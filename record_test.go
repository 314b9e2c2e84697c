package bide_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// FuzzParseRecord holds the fast reader of records to a JSON decoder: whatever it
// takes for a record with data, a decoder takes for the same one.
func FuzzParseRecord(f *testing.F) {
	wf := one(bide.Ask("Zwölf \"Äpfel\"?\n", nil))
	rt, err := bide.New(mem.New(), nil)
	if err != nil {
		f.Fatal(err)
	}
	run, err := rt.Run(ctx, wf, map[string]any{"a": 9007199254740993, "ü": "\u2028"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := rt.Cancel(ctx, run.ID, bide.Command{ID: "c\t1", Actor: "Jürgen", Reason: `no "reason"`}); err != nil {
		f.Fatal(err)
	}
	for rec, err := range rt.Ledger(ctx, run.ID, 1) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(rec.Raw)
		f.Add(append(rec.Raw[:len(rec.Raw)-1:len(rec.Raw)-1], `,"data":{}}`...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec, err := bide.ParseRecord(raw)
		if err != nil {
			return
		}
		if _, err := rec.Decode(); err != nil || rec.Data == nil {
			return
		}
		var want bide.Record
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("ParseRecord takes %q, which is no JSON: %v", raw, err)
		}
		want.Raw, want.Hash = rec.Raw, rec.Hash
		if diff := cmp.Diff(want, rec); diff != "" {
			t.Errorf("%q (-decoder +ParseRecord):\n%s", raw, diff)
		}
	})
}
