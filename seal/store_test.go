package seal_test

import (
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/storetest"
)

func TestConformance(t *testing.T) {
	open := func(t *testing.T) bide.Store { return sealed(t, mem.New(), line(t, "k")) }
	storetest.Run(t, open)
	storetest.Delete(t, open)
}

// Runs of every sort over every store, encrypted: they verify with the key and without, and without it nothing can be read.
func TestRunsOfEverySortAreEncryptedInEveryStore(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			inner := ledgertest.Open(t, kind)
			w := ledgertest.New(t, ledgertest.Seal(t, inner))
			w.Fill()
			for name, s := range map[string]bide.Store{"with the key": w.Store, "without it": inner} {
				rep, err := ledger.VerifyStore(ctx, s, nil)
				if err != nil || !rep.OK() || rep.Runs != 8 || (rep.Sealed > 0) != (name == "without it") {
					t.Errorf("VerifyStore %s = %+v, %v; want 8 runs without fault", name, rep, err)
				}
			}
			blind := bide.Must(bide.New(inner, nil))
			_, err := blind.Get(ctx, "asking")
			wantErr(t, "Get without the key", err, bide.ErrSealed)
			if _, err := blind.Verify(ctx, "asking"); err != nil {
				t.Errorf("Verify without the key = %v, want the chain to hold", err)
			}
			for rec, err := range blind.Ledger(ctx, "done", 1) {
				if err != nil || rec.Data != nil && rec.Kind != bide.KindRunShredded {
					t.Errorf("record %d without the key has data %s, %v", rec.Seq, rec.Data, err)
				}
			}
			// What another process reads anew is what this one wrote, and it goes on.
			again := ledgertest.New(t, ledgertest.Seal(t, inner))
			again.Clock.Set(w.Clock.Now())
			if run := again.Finish("asking", again.ToChild("asking")); run.Status != bide.StatusCompleted {
				t.Errorf("the run is %s after it went on elsewhere, want completed", run.Status)
			}
			if _, err := again.RT.Verify(ctx, "asking"); err != nil {
				t.Error(err)
			}
			fork, err := again.RT.Fork(ctx, "asking", 3, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := blind.Get(ctx, fork.ID); err == nil {
				t.Error("a fork of an encrypted run is plain")
			}
			if d, err := again.RT.Replay(ctx, "asking"); d != nil || err != nil {
				t.Errorf("Replay = %v, %v; want no divergence", d, err)
			}
		})
	}
}

func TestWhatWasThereBeforeStaysAndCanBeRead(t *testing.T) {
	inner := mem.New()
	plain := runtime(t, inner, nil)
	run, err := plain.Run(ctx, ask, "x", &bide.StartOptions{RunID: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.PutDocument(ctx, bide.Document{Kind: "flow", ID: "f", Body: bide.JSON(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	s := sealed(t, inner, line(t, "k"))
	rt := runtime(t, s, nil)
	if _, err := rt.Resume(ctx, "old", run.Waits[0].ID, "seven"); err != nil {
		t.Fatal(err)
	}
	if run, err = rt.Tick(ctx, "old"); err != nil || string(run.Output) != `"seven"` {
		t.Errorf("the run = %v, %v; want it to complete with seven", run, err)
	}
	if d, err := s.Document(ctx, "flow", "f"); err != nil || string(d.Body) != `{"a":1}` {
		t.Errorf("the document = %v, %v", d, err)
	}
	if _, err := plain.Get(ctx, "old"); err != nil {
		t.Errorf("a run that began plain = %v, want it to stay plain", err)
	}
	_, err = rt.Shred(ctx, "old")
	wantErr(t, "Shred of a plain run", err, bide.ErrWrongStatus)
}

func TestWhatIsEncryptedCannotBeMoved(t *testing.T) {
	inner := mem.New()
	keys := line(t, "k")
	s := sealed(t, inner, keys)
	for _, id := range []string{"a", "b"} {
		if _, err := s.PutDocument(ctx, bide.Document{Kind: "flow", ID: id, Body: bide.JSON(`"` + id + `"`)}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := inner.Document(ctx, "flow", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.PutDocument(ctx, bide.Document{Kind: "flow", ID: "b", Rev: 1, Body: d.Body}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Document(ctx, "flow", "b")
	wantErr(t, "a document under another's id", err, bide.ErrCorrupt)

	rt := runtime(t, s, nil)
	ended(t, rt, "r", "seven")
	ended(t, rt, "q", "seven")
	records := func(id string) [][]byte {
		raws, err := inner.Records(ctx, id, 1, 100)
		if err != nil {
			t.Fatal(err)
		}
		return raws
	}
	for name, from := range map[string][]byte{"another record": records("r")[3], "the same record of another run": records("q")[1]} {
		rec := bide.Must(bide.ParseRecord(records("r")[1]))
		rec.Sealed = bide.Must(bide.ParseRecord(from)).Sealed
		wantErr(t, "what was encrypted as "+name, s.OpenRecord(ctx, "r", &rec), bide.ErrCorrupt)
	}
	rec := bide.Must(bide.ParseRecord(records("r")[1]))
	rec.Raw = append([]byte(`{"seq":3`), rec.Raw[len(`{"seq":2`):]...)
	wantErr(t, "a record with another number", s.OpenRecord(ctx, "r", &rec), bide.ErrCorrupt)
}
