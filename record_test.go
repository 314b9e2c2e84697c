package bide_test

import (
	"encoding/json"
	"errors"
	"fmt"
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

func TestParseRecordsGivesEachTextInOrderAndStopsWithItsCaller(t *testing.T) {
	const n = 1000
	gone := errors.New("the disk is gone")
	read := 0
	texts := func(yield func([]byte, error) bool) {
		for read < n {
			read++
			text := fmt.Appendf(nil, `{"seq":%d,"prev":"%064d","at":"2026-02-03T04:05:06Z","kind":"run.paused"}`, read, 0)
			if read%100 == 0 {
				text = []byte("no record")
			}
			if !yield(text, nil) {
				return
			}
		}
		yield(nil, gone)
	}
	at := int64(0)
	for rec, err := range bide.ParseRecords(texts) {
		at++
		switch {
		case at == n+1:
			if !errors.Is(err, gone) || rec.Raw != nil {
				t.Fatalf("after the last: %q, %v; want what reading failed with", rec.Raw, err)
			}
		case at%100 == 0:
			if !errors.Is(err, bide.ErrCorrupt) || string(rec.Raw) != "no record" {
				t.Fatalf("text %d: %q, %v; want ErrCorrupt", at, rec.Raw, err)
			}
		case err != nil || rec.Seq != at:
			t.Fatalf("text %d: record %d, %v", at, rec.Seq, err)
		}
	}
	if at != n+1 {
		t.Errorf("%d texts came, want %d and an error", at, n)
	}
	read = 0
	for rec := range bide.ParseRecords(texts) {
		if rec.Seq == 1 {
			break
		}
	}
	if read > n/2 { // and the race detector sees whoever still reads
		t.Errorf("%d texts were read for one", read)
	}
}
