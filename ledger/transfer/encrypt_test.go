package transfer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
)

// states are the runs of a store with what they hold, but for their hashes.
func states(t *testing.T, rt *bide.Runtime) map[string]bide.JSON {
	t.Helper()
	out := map[string]bide.JSON{}
	page, err := rt.Runs(ctx, bide.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Runs {
		run, err := rt.Get(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		run.Head = bide.Hash{}
		if out[r.ID], err = json.Marshal(run); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestPlainRunsAreEncryptedByACopy(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			w := ledgertest.New(t, ledgertest.Open(t, kind))
			w.Fill()
			inner := ledgertest.Open(t, kind)
			s := ledgertest.Seal(t, inner)
			copied, err := transfer.Copy(ctx, w.Store, s, &transfer.CopyOptions{Encrypt: true})
			if err != nil || copied.Runs == 0 {
				t.Fatalf("Copy = %+v, %v", copied, err)
			}
			to := ledgertest.New(t, s)
			want := states(t, w.RT)
			for id, got := range states(t, to.RT) {
				if !bytes.Equal(got, want[id]) {
					t.Errorf("run %s is\n%s, want\n%s", id, got, want[id])
				}
			}
			verified(t, s)
			rep, err := ledger.VerifyStore(ctx, inner, nil) // without the keys
			if err != nil || !rep.OK() || rep.Sealed != rep.Runs || rep.Runs != copied.Runs {
				t.Errorf("VerifyStore without the keys = %+v, %v; want all runs encrypted", rep, err)
			}
			for id := range want {
				raws, err := inner.Records(ctx, id, 1, 1000)
				if err != nil {
					t.Fatal(err)
				}
				for _, raw := range raws {
					if rec, err := bide.ParseRecord(raw); err != nil || rec.Data != nil {
						t.Errorf("record %d of run %s is plain, %v", rec.Seq, id, err)
					}
				}
			}
			// They go on, and a command that was done is not done again.
			if run, err := to.RT.Start(ctx, ledgertest.Order, "x", &bide.StartOptions{RunID: "asking", Command: bide.Command{ID: "start-asking", Actor: "eve", Reason: "a customer"},
				Session: "s1", Labels: map[string]string{"team": "a"}}); err != nil || run.Seq == 0 {
				t.Errorf("the command of before = %v, %v; want its result", run, err)
			}
			if run := to.Finish("asking", to.ToChild("asking")); run.Status != bide.StatusCompleted {
				t.Errorf("the run is %s, want completed", run.Status)
			}
			verified(t, s)
			if _, err := to.RT.Shred(ctx, "done"); err != nil {
				t.Errorf("Shred = %v", err)
			}
			again, err := transfer.Copy(ctx, w.Store, ledgertest.Seal(t, ledgertest.Open(t, "mem")), nil)
			if err != nil || again.Runs != copied.Runs {
				t.Errorf("a copy that encrypts nothing = %+v, %v", again, err)
			}
		})
	}
}

func TestEncryptingIsFinishedWhereverItWasCutOff(t *testing.T) {
	w := ledgertest.New(t, ledgertest.Open(t, "mem"))
	w.Fill()
	want := states(t, w.RT)
	for n, done := 1, false; !done; n++ {
		if n > 200 {
			t.Fatal("the copy does not end")
		}
		inner := ledgertest.Open(t, "mem")
		_, err := transfer.Copy(ctx, w.Store, ledgertest.Seal(t, &dying{inner, n, n%2 == 0}), &transfer.CopyOptions{Encrypt: true})
		if done = err == nil; !done && !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		s := ledgertest.Seal(t, inner)
		if _, err := transfer.Copy(ctx, w.Store, s, &transfer.CopyOptions{Encrypt: true}); err != nil {
			t.Fatalf("cut off at %d, again: %v", n, err)
		}
		got := states(t, ledgertest.New(t, s).RT)
		if len(got) != len(want) {
			t.Errorf("cut off at %d: %d runs, want %d", n, len(got), len(want))
		}
		for id := range want {
			if !bytes.Equal(got[id], want[id]) {
				t.Errorf("cut off at %d: run %s is\n%s, want\n%s", n, id, got[id], want[id])
			}
		}
		verified(t, s)
	}
}

func TestEncryptingNeedsAKeyring(t *testing.T) {
	w := ledgertest.New(t, ledgertest.Open(t, "mem"))
	if _, err := transfer.Copy(ctx, w.Store, ledgertest.Open(t, "mem"), &transfer.CopyOptions{Encrypt: true}); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Copy = %v, want ErrInvalidInput", err)
	}
}
