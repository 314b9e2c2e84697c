package seal_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/trace"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/sqlite"
)

func TestShredDestroysATreeAndSaysSo(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			inner := ledgertest.Open(t, kind)
			store := ledgertest.Seal(t, inner)
			w := ledgertest.New(t, store)
			w.Fill()
			page, err := w.RT.Runs(ctx, bide.RunQuery{Parent: "done"})
			if err != nil || len(page.Runs) != 1 {
				t.Fatal(page, err)
			}
			child := page.Runs[0].ID
			_, err = w.RT.Shred(ctx, "parent")
			wantErr(t, "Shred of a run that has not ended", err, bide.ErrWrongStatus)
			if run, err := w.RT.Get(ctx, "parent"); err != nil || run.Shredded != nil || run.Vars.Has("input") == false {
				t.Errorf("what could not be shredded = %v, %v; want it whole", run, err)
			}

			run, err := w.RT.Shred(ctx, "done", bide.Command{Actor: "ann", Reason: "asked to"})
			if err != nil || run.Shredded == nil || run.Shredded.Actor != "ann" || run.Shredded.Reason != "asked to" || run.Output != nil {
				t.Fatalf("Shred = %+v, %v; want it to say who and why, without an output", run, err)
			}
			if again, err := w.RT.Shred(ctx, "done"); err != nil || again.Seq != run.Seq {
				t.Errorf("Shred again = %v, %v; want nothing more to happen", again, err)
			}
			// In a process that has just begun, with the key.
			rt := ledgertest.New(t, ledgertest.Seal(t, inner)).RT
			for _, id := range []string{"done", child} {
				run, err := rt.Get(ctx, id)
				if err != nil || run.Shredded == nil || run.Status != bide.StatusCompleted || run.Workflow == "" || run.Vars.Has("input") {
					t.Errorf("Get(%s) = %+v, %v; want a run that ended, without its content", id, run, err)
				}
				for rec, err := range rt.Ledger(ctx, id, 1) {
					if err != nil || rec.IsSealed() == (rec.Kind == bide.KindRunShredded) {
						t.Errorf("record %d (%s) of %s: sealed %v, %v", rec.Seq, rec.Kind, id, rec.IsSealed(), err)
					}
				}
				if _, err := rt.Verify(ctx, id); err != nil {
					t.Errorf("Verify(%s) = %v", id, err)
				}
			}
			for what, do := range map[string]func() error{
				"StateAt": func() error { _, err := rt.StateAt(ctx, "done", 2); return err },
				"Fork":    func() error { _, err := rt.Fork(ctx, "done", 2, nil); return err },
				"Retry":   func() error { _, err := rt.Retry(ctx, "done"); return err },
				"Resume":  func() error { _, err := rt.Resume(ctx, "done", "done.1", "yes"); return err },
				"Replay":  func() error { _, err := rt.Replay(ctx, "done"); return err },
				"Start": func() error {
					_, err := rt.Start(ctx, ledgertest.Order, "x", &bide.StartOptions{RunID: "done"})
					return err
				},
			} {
				wantErr(t, what+" of a run that was shredded", do(), bide.ErrShredded)
			}
			rep, err := ledger.VerifyStore(ctx, store, nil)
			if err != nil || !rep.OK() || rep.Sealed != 0 {
				t.Errorf("VerifyStore = %+v, %v; want no fault", rep, err)
			}
			told, err := trace.Tell(rt.Ledger(ctx, "done", 1))
			if err != nil || len(told.Lines) != int(run.Seq) || told.Lines[run.Seq-1].Who != "ann" {
				t.Errorf("Tell = %+v, %v; want a line for every record, the last by ann", told, err)
			}
			if _, err := llm.Spent(rt.Ledger(ctx, "done", 1)); err != nil {
				t.Errorf("Spent = %v", err)
			}
			// Other runs are as they were.
			if run, err := rt.Get(ctx, "asking"); err != nil || len(run.Waits) != 1 || run.Waits[0].Message != "Pay?" {
				t.Errorf("another run = %v, %v; want it whole", run, err)
			}
			if err := rt.Delete(ctx, "done"); err != nil {
				t.Errorf("Delete of a run that was shredded = %v", err)
			}
		})
	}
}

func TestAnotherProcessStopsReadingWhatWasShredded(t *testing.T) {
	inner := mem.New()
	keys := ring(t, line(t, "k"))
	now := time.Now()
	other, err := seal.New(ctx, inner, keys, &seal.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	here, err := seal.New(ctx, inner, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, runtime(t, here, nil), "r", "seven")
	reader := runtime(t, other, nil)
	readable := func() bool {
		for rec, err := range reader.Ledger(ctx, "r", 1) {
			if err != nil {
				t.Fatal(err)
			}
			return !rec.IsSealed()
		}
		return false
	}
	if !readable() {
		t.Fatal("another process with the key cannot read")
	}
	if _, err := runtime(t, here, nil).Shred(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if readable() {
		t.Error("after a second, another process still reads what was shredded")
	}
	if run, err := reader.Get(ctx, "r"); err != nil || run.Shredded == nil {
		t.Errorf("Get in another process = %v, %v", run, err)
	}
}

func TestADestroyedKeyIsNotInTheFileAnyMoreAndAnExportDoesNotBringItBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bide.db")
	inner, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := sealed(t, inner, line(t, "k"))
	rt := runtime(t, s, nil)
	ended(t, rt, "r", "seven")
	key, err := s.ExportKey(ctx, "r")
	if err != nil || key == nil {
		t.Fatal(key, err)
	}
	var file bytes.Buffer
	if _, err := transfer.Export(ctx, s, &file, nil); err != nil {
		t.Fatal(err)
	}
	wrapped := []byte(strings.Split(string(key), `"data_key":"`)[1][:44])
	if !bytes.Contains(files(t, filepath.Dir(path)), wrapped) {
		t.Fatal("the wrapped key is not in the file before")
	}
	if _, err := rt.Shred(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	_, err = transfer.Import(ctx, s, bytes.NewReader(file.Bytes()), nil)
	wantErr(t, "Import of what was shredded here", err, bide.ErrShredded)
	if again, err := s.ExportKey(ctx, "r"); err != nil || again != nil {
		t.Errorf("ExportKey of a run that was shredded = %s, %v; want none", again, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(files(t, filepath.Dir(path)), wrapped) {
		t.Error("the wrapped key is still in the file")
	}
}

func TestDeletingARunDestroysItsKey(t *testing.T) {
	inner := mem.New()
	s := sealed(t, inner, line(t, "k"))
	rt := runtime(t, s, nil)
	ended(t, rt, "r", "seven")
	if err := rt.Delete(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	page, err := inner.Documents(ctx, bide.DocumentQuery{Kind: seal.KeyKind})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Documents {
		if d.ID != "shared" && bytes.Contains(d.Body, []byte("data_key")) {
			t.Errorf("the key is still there: %s", d.Body)
		}
	}
	ended(t, rt, "r", "eight") // the same id again, under a key of its own
	if run, err := runtime(t, s, nil).Get(ctx, "r"); err != nil || string(run.Output) != `"eight"` {
		t.Errorf("the run that took its place = %v, %v", run, err)
	}
}
