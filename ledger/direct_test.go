package ledger_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/store/sqlite"
)

// signAll fills a store, signs all of it and closes it.
func signAll(t *testing.T, s ledgertest.Store) []note.Verifier {
	t.Helper()
	w := ledgertest.New(t, s)
	w.Fill()
	signer, key := newKey(t, "k")
	log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: []note.Signer{signer}})
	if err != nil {
		t.Fatal(err)
	}
	seal(t, w, log)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return []note.Verifier{key}
}

// Somebody changes the tables of a SQLite file while nobody has it open.
func TestChangesInsideASQLiteFileAreFound(t *testing.T) {
	of := "run_no = (SELECT run_no FROM runs WHERE run_id = 'done')"
	for name, sql := range map[string]string{
		"nothing":          "",
		"a record changed": "UPDATE ledger SET body = replace(body, 'bob', 'eve') WHERE " + of,
		"a record removed": "DELETE FROM ledger WHERE seq = 5 AND " + of,
		"the end removed":  "DELETE FROM ledger WHERE seq > 12 AND " + of,
		"the end cut":      "DELETE FROM ledger WHERE seq > 12 AND " + of + "; UPDATE runs SET seq = 12 WHERE run_id = 'done'",
		"a record moved":   "UPDATE ledger SET seq = 999 WHERE seq = (SELECT min(seq) FROM ledger WHERE " + of + ") AND " + of,
		"a record added":   "INSERT INTO ledger (run_no, seq, body) SELECT run_no, seq + 1, body FROM ledger WHERE seq = (SELECT max(seq) FROM ledger WHERE " + of + ") AND " + of + "; UPDATE runs SET seq = seq + 1 WHERE run_id = 'done'",
		"a status changed": "UPDATE runs SET status = 'failed' WHERE run_id = 'done'",
		"a head changed":   "UPDATE runs SET head = zeroblob(32) WHERE run_id = 'done'",
		"a wait removed":   "DELETE FROM waits WHERE wait_id LIKE 'asking.%'",
		"a run removed":    "DELETE FROM ledger WHERE " + of + "; DELETE FROM runs WHERE run_id = 'done'",
	} {
		path := filepath.Join(t.TempDir(), "runs.db")
		s, err := sqlite.Open(ctx, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys := signAll(t, s)
		conn, err := sqlite3.Open("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Exec(sql); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name != "nothing" && conn.TotalChanges() == 0 {
			t.Errorf("%s changed nothing", name)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = sqlite.Open(ctx, path, nil); err != nil {
			t.Fatal(err)
		}
		rep := verify(t, s, &ledger.VerifyOptions{Keys: keys})
		if rep.OK() != (name == "nothing") {
			t.Errorf("%s: found %v", name, rep.Faults)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What stands behind the last record that the run's row names is not a part of its ledger: a store never hands it out.
func TestWhatStandsBehindTheEndOfALedgerIsNotHandedOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	s, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := signAll(t, s)
	conn, err := sqlite3.Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Exec("INSERT INTO ledger (run_no, seq, body) SELECT r.run_no, r.seq + 1, l.body FROM runs r JOIN ledger l ON l.run_no = r.run_no AND l.seq = r.seq WHERE r.run_id = 'done'")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = sqlite.Open(ctx, path, nil); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, err := bide.Must(bide.New(s, nil)).Get(ctx, "done")
	if err != nil {
		t.Fatal(err)
	}
	raws, err := s.Records(ctx, "done", 1, 1000)
	if err != nil || int64(len(raws)) != run.Seq {
		t.Errorf("Records gives %d, %v; want the %d of the run", len(raws), err, run.Seq)
	}
	if rep := verify(t, s, &ledger.VerifyOptions{Keys: keys}); !rep.OK() {
		t.Errorf("found %v", rep.Faults)
	}
}

// Somebody changes the text of a ledger in the folder of a file store: it is found on opening, or by verifying.
func TestChangesInsideAFileStoreAreFound(t *testing.T) {
	for name, change := range map[string]func(text []byte) []byte{
		"nothing":          func(text []byte) []byte { return text },
		"a name changed":   func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("bob"), []byte("eve")) },
		"the last line":    func(text []byte) []byte { return text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1] },
		"the first line":   func(text []byte) []byte { return text[bytes.IndexByte(text, '\n')+1:] },
		"everything":       func([]byte) []byte { return nil },
		"half of the file": func(text []byte) []byte { return text[:len(text)/2] },
	} {
		dir := filepath.Join(t.TempDir(), "runs")
		s, err := file.Open(ctx, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys := signAll(t, s)
		found, err := filepath.Glob(filepath.Join(dir, "runs", "*", "done", "ledger.jsonl"))
		if len(found) == 0 {
			found, err = filepath.Glob(filepath.Join(dir, "runs", "done", "ledger.jsonl"))
		}
		if err != nil || len(found) != 1 {
			t.Fatalf("the ledger is in %q, %v", found, err)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(found[0], change(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err = file.Open(ctx, dir, nil)
		if err != nil {
			if name == "nothing" {
				t.Fatal(err)
			}
			continue // it is found on opening
		}
		rep, err := ledger.VerifyStore(ctx, s, &ledger.VerifyOptions{Keys: keys})
		if ok := err == nil && rep.OK(); ok != (name == "nothing") {
			t.Errorf("%s: %+v, %v", name, rep, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
