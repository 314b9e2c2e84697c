package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/store/mem"
)

// A server with a key signs, proves, exports, and leaves tombstones; all of it is checked with the public key alone.
func TestWhatAServerSignsIsCheckedWithThePublicKeyAlone(t *testing.T) {
	private, public, err := ledger.GenerateKey("ops")
	if err != nil {
		t.Fatal(err)
	}
	store, keys := mem.New(), bide.Must(ledger.Verifiers(public))
	log := bide.Must(ledger.OpenLog(t.Context(), store, &ledger.LogOptions{Signers: bide.Must(ledger.Signers(private))}))
	s := serverOver(t, store, &gateway.Options{Log: log, Workflows: []bide.Workflow{broken()}})
	names := s.fixtures()
	run := "/v1/runs/" + names["done"]
	wrote := s.ask("admin", http.MethodPost, "/v1/checkpoint", "")
	if wrote.Status != http.StatusOK {
		t.Fatalf("write-checkpoint = %d %s", wrote.Status, wrote.Body)
	}
	note := s.ask("viewer", http.MethodGet, "/v1/checkpoint", "").field(t, "note")
	if _, err := ledger.OpenCheckpoint(note, keys); err != nil || note != wrote.field(t, "note") {
		t.Errorf("the checkpoint does not count: %v", err)
	}
	var proof struct {
		Proof json.RawMessage `json:"proof"`
	}
	if err := json.Unmarshal(s.ask("viewer", http.MethodGet, run+"/proof?seq=2", "").Body, &proof); err != nil {
		t.Fatal(err)
	}
	record, err := ledger.ParseProof(proof.Proof)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := record.Check(keys); err != nil {
		t.Errorf("the proof of a record does not count: %v", err)
	}
	file := s.ask("viewer", http.MethodGet, "/v1/export?run="+names["done"], "")
	content, err := transfer.Inspect(bytes.NewReader(file.Body), &transfer.ReadOptions{Keys: keys}, nil)
	if err != nil || !content.OK() || content.Runs != 1 || content.SignedRuns != 1 {
		t.Errorf("the export is %+v, %v; want one signed run", content, err)
	}
	if page := s.ask("viewer", http.MethodGet, run+"/report?format=html", ""); !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.Body), "zoe") {
		t.Errorf("the report is %s: %.200s", page.Header.Get("Content-Type"), page.Body)
	}
	if got := s.ask("operator", http.MethodDelete, run, ""); got.Status != http.StatusNoContent {
		t.Fatalf("delete-run = %d %s", got.Status, got.Body)
	}
	if got := s.ask("operator", http.MethodDelete, "/v1/runs/"+names["failed"], ""); got.Status != http.StatusForbidden {
		t.Errorf("delete-run under a hold = %d %s, want 403", got.Status, got.Body)
	}
	rep, err := ledger.VerifyStore(t.Context(), store, &ledger.VerifyOptions{Keys: keys, Seen: note})
	if err != nil || !rep.OK() || rep.Deleted != 1 || !rep.Signed {
		t.Errorf("VerifyStore = %+v, %v; want one run deleted on record", rep, err)
	}
}

// Verifying a run says what the newest checkpoint says of it, and that something is wrong when the two do not agree.
func TestVerifyingSaysWhatIsSigned(t *testing.T) {
	private, public, err := ledger.GenerateKey("ops")
	if err != nil {
		t.Fatal(err)
	}
	store := mem.New()
	log := bide.Must(ledger.OpenLog(t.Context(), store, &ledger.LogOptions{Signers: bide.Must(ledger.Signers(private))}))
	s := serverOver(t, store, &gateway.Options{Log: log, Workflows: []bide.Workflow{broken()}})
	other := serverOver(t, store, nil) // without the key
	names := s.fixtures()
	verify := func(s *server, run string) *reply {
		t.Helper()
		return s.ask("viewer", http.MethodGet, "/v1/runs/"+names[run]+"/verification", "")
	}
	if got := verify(s, "done"); got.Status != http.StatusOK || got.field(t, "signed") != "null" {
		t.Errorf("before a checkpoint = %d %s, want nothing signed", got.Status, got.Body)
	}
	s.ask("admin", http.MethodPost, "/v1/checkpoint", "")
	got, name := verify(s, "waiting"), ledger.KeyName(bide.Must(ledger.Verifiers(public))[0])
	if got.field(t, "signed.seq") != got.field(t, "records") || got.field(t, "signed.head") != got.field(t, "head") || got.field(t, "signed.keys.0") != name || got.field(t, "signed.unknown") != "[]" {
		t.Errorf("the verification is %s, want all records signed by %s", got.Body, name)
	}
	if got := verify(other, "waiting"); got.field(t, "signed.unknown.0") != name || got.field(t, "signed.keys") != "[]" {
		t.Errorf("without the key the verification is %s, want %s unknown", got.Body, name)
	}
	if _, err := s.rt.Resume(t.Context(), names["waiting"], names["wait"], "reject"); err != nil {
		t.Fatal(err)
	}
	before := got.field(t, "records")
	if got := verify(s, "waiting"); got.field(t, "signed.seq") != before || got.field(t, "records") == before {
		t.Errorf("after an answer the verification is %s, want %s records signed of more", got.Body, before)
	}
	if _, err := log.Append(t.Context(), ledger.Leaf{RunID: names["done"], Seq: 2, Head: bide.Hash{1}}); err != nil {
		t.Fatal(err)
	}
	if got := verify(s, "done"); got.field(t, "code") != "corrupt" {
		t.Errorf("with another record signed = %d %s, want corrupt", got.Status, got.Body)
	}
	docs, err := store.Documents(t.Context(), bide.DocumentQuery{Kind: ledger.CheckpointKind})
	if err != nil || len(docs.Documents) < 2 {
		t.Fatalf("checkpoints = %v, %v", docs, err)
	}
	newest := docs.Documents[len(docs.Documents)-1]
	if err := store.DeleteDocument(t.Context(), newest.Kind, newest.ID, newest.Rev); err != nil {
		t.Fatal(err)
	}
	if got := verify(serverOver(t, store, nil), "waiting"); !strings.Contains(got.field(t, "log_faults.0"), "removed from the end") {
		t.Errorf("with a checkpoint removed the verification is %s", got.Body)
	}
}
