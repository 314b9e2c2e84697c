package ledger_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

func TestOneRecordIsProvedByASmallFile(t *testing.T) {
	w, log, key := sealed(t, "mem")
	w.Answer("asking", "yes")
	seal(t, w, log)
	keys := []note.Verifier{key}
	_, other := newKey(t, "other")
	e, _, err := ledger.ReadLog(ctx, w.Store, keys)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range w.RT.Ledger(ctx, "asking", 1) {
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.ProveRecord("asking", rec.Seq, w.RT.Ledger(ctx, "asking", rec.Seq))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ledger.ParseProof(text)
		if err != nil {
			t.Fatal(err)
		}
		got, leaf, c, err := read.Check(keys)
		if err != nil || string(got.Raw) != string(rec.Raw) || leaf.RunID != "asking" || c.Size != e.Leaves {
			t.Fatalf("Check of record %d = %s, %v, %v, %v", rec.Seq, got.Raw, leaf, c, err)
		}
		if _, _, _, err := read.Check([]note.Verifier{other}); !errors.Is(err, bide.ErrCorrupt) {
			t.Errorf("Check with another key = %v, want ErrCorrupt", err)
		}
		for name, forge := range map[string]func(p *ledger.RecordProof){
			"the record":     func(p *ledger.RecordProof) { p.Records[0] = strings.Replace(p.Records[0], "2026", "2027", 1) },
			"no record":      func(p *ledger.RecordProof) { p.Records = nil },
			"one too many":   func(p *ledger.RecordProof) { p.Records = append(p.Records, p.Records[0]) },
			"the leaf":       func(p *ledger.RecordProof) { p.Leaf = strings.Replace(p.Leaf, "asking", "another", 1) },
			"the index":      func(p *ledger.RecordProof) { p.Index++ },
			"the way":        func(p *ledger.RecordProof) { p.Path[0][3]++ },
			"the checkpoint": func(p *ledger.RecordProof) { p.Checkpoint = strings.Replace(p.Checkpoint, "time 2", "time 3", 1) },
		} {
			forged, err := ledger.ParseProof(text)
			if err != nil {
				t.Fatal(err)
			}
			forge(forged)
			if _, _, _, err := forged.Check(keys); !errors.Is(err, bide.ErrCorrupt) {
				t.Errorf("record %d, %s forged: Check = %v, want ErrCorrupt", rec.Seq, name, err)
			}
		}
	}
	if _, err := e.Prove("nobody"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Prove of no run = %v, want ErrNotFound", err)
	}
	if p, err := e.Prove("done"); err != nil {
		t.Error(err)
	} else if leaf, _, err := p.Check(keys); err != nil || leaf.RunID != "done" {
		t.Errorf("Check = %v, %v", leaf, err)
	}
}

func TestKeysThatAreNoneAreRefused(t *testing.T) {
	private, public, err := ledger.GenerateKey("k")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", public, private + "x"} {
		if _, err := ledger.Signers(text); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Signers(%q) = %v, want ErrInvalidInput", text, err)
		}
	}
	for _, text := range []string{"", "x", public + "x"} {
		if _, err := ledger.Verifiers(text); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Verifiers(%q) = %v, want ErrInvalidInput", text, err)
		}
	}
	if _, err := ledger.Verifiers(private); err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("Verifiers of a private key = %v, want an error that says so", err)
	}
	if _, _, err := ledger.GenerateKey("two words"); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("GenerateKey = %v, want ErrInvalidInput", err)
	}
}
