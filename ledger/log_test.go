package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/store/mem"
)

// leaves makes leaves of runs that nobody has.
func leaves(from, n int) (out []ledger.Leaf) {
	for i := range n {
		out = append(out, ledger.Leaf{RunID: fmt.Sprintf("run-%d", from+i), Seq: int64(i + 1), Head: bide.Hash{byte(i)}})
	}
	return out
}

func TestALogIsTheSameForAllWhoAppend(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			s := ledgertest.Open(t, kind)
			signer, key := newKey(t, "k")
			var all sync.WaitGroup
			for writer := range 4 {
				log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: []note.Signer{signer}, Origin: "example.org/log"})
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					for i := range 5 {
						if _, err := log.Append(ctx, leaves(100*writer+10*i, i+1)...); err != nil {
							t.Errorf("Append = %v", err)
						}
					}
				})
			}
			all.Wait()
			e, faults, err := ledger.ReadLog(ctx, s, []note.Verifier{key})
			if err != nil || len(faults) > 0 || e.Leaves != 4*15 || e.Checkpoints != 20 || e.Newest.Origin != "example.org/log" {
				t.Errorf("ReadLog = %+v, %v, %v; want 60 leaves in 20 checkpoints", e, faults, err)
			}
		})
	}
}

func TestEveryChangeToTheLogIsFound(t *testing.T) {
	signer, key := newKey(t, "k")
	_, other := newKey(t, "other")
	keys := []note.Verifier{key}
	build := func() (*mem.Store, *ledger.Log) {
		s := mem.New()
		log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: []note.Signer{signer}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if _, err := log.Append(ctx, leaves(10*i, 3)...); err != nil {
				t.Fatal(err)
			}
		}
		return s, log
	}
	// change rewrites the batch that follows a size.
	change := func(s *mem.Store, size int, how func(b *ledger.Batch)) {
		id := fmt.Sprintf("%016d", size)
		d, err := s.Document(ctx, ledger.CheckpointKind, id)
		if err != nil {
			t.Fatal(err)
		}
		var b ledger.Batch
		if err := json.Unmarshal(d.Body, &b); err != nil {
			t.Fatal(err)
		}
		how(&b)
		if d.Body, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutDocument(ctx, *d); err != nil {
			t.Fatal(err)
		}
	}
	drop := func(s *mem.Store, size int) {
		if err := s.DeleteDocument(ctx, ledger.CheckpointKind, fmt.Sprintf("%016d", size), 1); err != nil {
			t.Fatal(err)
		}
	}
	for name, tamper := range map[string]func(s *mem.Store){
		"a leaf changed": func(s *mem.Store) { change(s, 3, func(b *ledger.Batch) { b.Leaves[1] = b.Leaves[0] }) },
		"a leaf removed": func(s *mem.Store) { change(s, 3, func(b *ledger.Batch) { b.Leaves = b.Leaves[:2] }) },
		"a leaf added":   func(s *mem.Store) { change(s, 9, func(b *ledger.Batch) { b.Leaves = append(b.Leaves, b.Leaves[0]) }) },
		"leaves swapped": func(s *mem.Store) {
			change(s, 0, func(b *ledger.Batch) { b.Leaves[0], b.Leaves[1] = b.Leaves[1], b.Leaves[0] })
		},
		"a leaf that is none": func(s *mem.Store) { change(s, 0, func(b *ledger.Batch) { b.Leaves[0] = "x" }) },
		"an edge changed":     func(s *mem.Store) { change(s, 3, func(b *ledger.Batch) { b.Edge[0][0]++ }) },
		"another first":       func(s *mem.Store) { change(s, 3, func(b *ledger.Batch) { b.First++ }) },
		"a signature changed": func(s *mem.Store) {
			change(s, 9, func(b *ledger.Batch) { b.Note = strings.Replace(b.Note, "time 2", "time 3", 1) })
		},
		"a note that is none":    func(s *mem.Store) { change(s, 9, func(b *ledger.Batch) { b.Note = "" }) },
		"the first removed":      func(s *mem.Store) { drop(s, 0) },
		"one in between removed": func(s *mem.Store) { drop(s, 3) },
		"the last removed":       func(s *mem.Store) { drop(s, 9) },
		"all removed": func(s *mem.Store) {
			for _, size := range []int{0, 3, 6, 9} {
				drop(s, size)
			}
		},
	} {
		s, _ := build()
		if _, faults, err := ledger.ReadLog(ctx, s, keys); err != nil || len(faults) > 0 {
			t.Fatalf("as it is: %v, %v", faults, err)
		}
		tamper(s)
		if _, faults, err := ledger.ReadLog(ctx, s, keys); err != nil || len(faults) == 0 || faults[0].Checkpoint == "" {
			t.Errorf("%s: ReadLog found %v, %v; want a fault that names a checkpoint", name, faults, err)
		}
	}
	s, _ := build()
	if _, faults, err := ledger.ReadLog(ctx, s, []note.Verifier{other}); err != nil || len(faults) != 1 {
		t.Errorf("with another key: %v, %v; want one fault", faults, err)
	}
}

func TestAStorePutBackIsFoundByACheckpointThatWasKept(t *testing.T) {
	signer, key := newKey(t, "k")
	keys := []note.Verifier{key}
	grow := func(s *mem.Store, n int) string {
		log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: []note.Signer{signer}, Origin: "o"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, err := log.Append(ctx, leaves(i, 2)...); err != nil {
				t.Fatal(err)
			}
		}
		e, _, err := ledger.ReadLog(ctx, s, keys)
		if err != nil {
			t.Fatal(err)
		}
		return e.Note
	}
	whole, old := mem.New(), mem.New()
	kept := grow(whole, 3)
	grow(old, 2)
	grow(whole, 2)
	seen := func(s *mem.Store) []ledger.Fault {
		e, _, err := ledger.ReadLog(ctx, s, keys)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := e.Seen(kept, keys)
		if err != nil {
			t.Fatal(err)
		}
		return faults
	}
	if faults := seen(whole); len(faults) > 0 {
		t.Errorf("the log that went on: %v, want no fault", faults)
	}
	if faults := seen(old); len(faults) != 1 || !strings.Contains(faults[0].Message, "put back") {
		t.Errorf("the older log: %v, want a fault that says that it was put back", faults)
	}
	if _, err := ledger.VerifyStore(ctx, old, &ledger.VerifyOptions{Keys: keys, Seen: kept[:50]}); !errors.Is(err, bide.ErrCorrupt) {
		t.Errorf("with a cut checkpoint: %v, want ErrCorrupt", err)
	}
}

func TestAKeyIsRotated(t *testing.T) {
	w, _, first := sealed(t, "mem")
	second, key2 := newKey(t, "second")
	open := func(signers ...note.Signer) *ledger.Log {
		log, err := ledger.OpenLog(ctx, w.Store, &ledger.LogOptions{Signers: signers})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	w.Answer("asking", "yes")
	seal(t, w, open(second))
	for name, c := range map[string]struct {
		keys []note.Verifier
		ok   bool
	}{"both": {[]note.Verifier{first, key2}, true}, "the new one": {[]note.Verifier{key2}, true}, "the old one": {[]note.Verifier{first}, false}} {
		if rep := verify(t, w.Store, &ledger.VerifyOptions{Keys: c.keys}); rep.OK() != c.ok || rep.Signed != c.ok {
			t.Errorf("with %s: %v, want ok %v", name, rep.Faults, c.ok)
		}
	}
}

// failing is a store that fails from its nth document on; with applied, that one is put all the same.
type failing struct {
	ledgertest.Store
	left    int
	applied bool
}

func (s *failing) PutDocument(ctx context.Context, d bide.Document) (int64, error) {
	if s.left--; s.left >= 0 {
		return s.Store.PutDocument(ctx, d)
	}
	if s.applied && s.left == -1 {
		if _, err := s.Store.PutDocument(ctx, d); err != nil {
			return 0, err
		}
	}
	return 0, bide.Errorf(bide.CodeStoreFull, "full")
}

// Cut off at every write of a rotation, before it or right after it took place: the log holds together at any moment, and
// opening it anew goes on from there.
func TestCutOffAtEveryWriteARotationIsFinished(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for n, done := 0, false; !done; n++ {
			if n > 20 {
				t.Fatal("the rotation does not end")
			}
			w, _, first := sealed(t, "mem")
			before, second := newKey(t, "before")
			after, last := newKey(t, "after")
			all := []note.Verifier{first, second, last}
			s := &failing{w.Store, n, applied}
			rotate := func() error {
				for _, signers := range [][]note.Signer{{before}, {before, after}, {after}} {
					log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: signers})
					if err != nil {
						return err
					}
					if _, err := log.Append(ctx, ledger.Leaf{RunID: "elsewhere", Seq: 1, Deleted: true}); err != nil {
						return err
					}
				}
				return nil
			}
			err := rotate()
			if done = err == nil; !done && !errors.Is(err, bide.ErrStoreFull) {
				t.Fatal(err)
			}
			if rep := verify(t, w.Store, &ledger.VerifyOptions{Keys: all}); !rep.OK() || !rep.Signed {
				t.Errorf("cut off at write %d (applied: %v): %v", n, applied, rep.Faults)
			}
			s.left = 1 << 30
			if err := rotate(); err != nil {
				t.Fatalf("again after write %d (applied: %v): %v", n, applied, err)
			}
			if rep := verify(t, w.Store, &ledger.VerifyOptions{Keys: []note.Verifier{last}}); !rep.OK() || !rep.Signed {
				t.Errorf("rotated after write %d (applied: %v): %v with the new key alone", n, applied, rep.Faults)
			}
		}
	}
}

func TestARunThatIsGoneIsFoundUnlessItsDeletionIsOnRecord(t *testing.T) {
	w, log, key := sealed(t, "sqlite")
	run, err := w.RT.Get(ctx, "gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RT.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	opts := &ledger.VerifyOptions{Keys: []note.Verifier{key}}
	if rep := verify(t, w.Store, opts); len(rep.Faults) != 1 || rep.Faults[0].RunID != "gone" {
		t.Errorf("without a trace: %v, want one fault of the run", rep.Faults)
	}
	if _, err := log.Append(ctx, ledger.Leaf{RunID: "gone", Seq: run.Seq, Head: run.Head, Deleted: true}); err != nil {
		t.Fatal(err)
	}
	if rep := verify(t, w.Store, opts); !rep.OK() || rep.Deleted != 1 {
		t.Errorf("with its deletion on record: %+v, want no fault and one deleted run", rep)
	}
}

func TestWhatHasNoCheckpointYetIsSaid(t *testing.T) {
	w, log, key := sealed(t, "mem")
	before, err := w.RT.Get(ctx, "asking")
	if err != nil {
		t.Fatal(err)
	}
	after := w.Answer("asking", "yes")
	rep := verify(t, w.Store, &ledger.VerifyOptions{Keys: []note.Verifier{key}})
	if !rep.OK() || len(rep.Unsigned) != 1 || rep.Unsigned[0] != (ledger.Span{RunID: "asking", From: before.Seq + 1, To: after.Seq}) {
		t.Errorf("verify = %+v, want the new records as unsigned", rep)
	}
	seal(t, w, log)
	if rep := verify(t, w.Store, &ledger.VerifyOptions{Keys: []note.Verifier{key}}); !rep.OK() || len(rep.Unsigned) > 0 {
		t.Errorf("after another checkpoint: %+v", rep)
	}
}

func TestANotarySignsTheEndOfARunSoonAndTheRestInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		defer s.Close()
		rt := bide.Must(bide.New(s, nil))
		wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(r *bide.Run) (bide.StepPlan, error) {
			in, err := bide.Input[bool](r)
			if in {
				return bide.Do(bide.Ask("?", nil)).ThenComplete(nil), err
			}
			return bide.Complete(nil), err
		}}}
		signer, key := newKey(t, "k")
		log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: []note.Signer{signer}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- ledger.NewNotary(rt, s, log, nil).Run(ctx) }()
		synctest.Wait()
		covered := func(id string) bool {
			rep, err := ledger.VerifyStore(ctx, s, &ledger.VerifyOptions{Keys: []note.Verifier{key}, Runs: []string{id}})
			if err != nil {
				t.Fatal(err)
			}
			return rep.Signed && rep.OK() && len(rep.Unsigned) == 0
		}
		start := func(id string, asks bool) {
			if _, err := rt.Run(ctx, wf, asks, &bide.StartOptions{RunID: id}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		start("asks", true)
		<-time.After(30 * time.Second)
		if synctest.Wait(); covered("asks") {
			t.Error("a run that waits is signed after 30s, want after a minute")
		}
		start("ends", false)
		<-time.After(2 * time.Second)
		if synctest.Wait(); !covered("ends") || !covered("asks") {
			t.Error("two seconds after an end not everything is signed")
		}
		start("more", true)
		<-time.After(61 * time.Second)
		if synctest.Wait(); !covered("more") {
			t.Error("after more than a minute a waiting run is not signed")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
