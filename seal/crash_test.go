package seal_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
)

// mortal is a store that dies at a write: before it or, with after, when it is done. From then on nothing works.
type mortal struct {
	*mem.Store
	left  int
	after bool
}

var errDead = errors.New("the process died")

func (m *mortal) write(do func() error) error {
	m.left--
	if m.left < 0 || m.left == 0 && !m.after {
		return errDead
	}
	err := do()
	if m.left == 0 {
		return errDead
	}
	return err
}

func (m *mortal) Commit(ctx context.Context, c *bide.Commit) error {
	return m.write(func() error { return m.Store.Commit(ctx, c) })
}

func (m *mortal) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	err = m.write(func() error { rev, err = m.Store.PutDocument(ctx, d); return err })
	return rev, err
}

// Something is cut off at every one of its writes and done again, by a process that knows nothing of it.
func TestEveryWriteCanBeTheLast(t *testing.T) {
	old, fresh := line(t, "old"), line(t, "new")
	for name, tc := range map[string]struct {
		do    func(s *seal.Store) error
		check func(t *testing.T, rt *bide.Runtime, inner *mem.Store)
	}{
		"a run": {func(s *seal.Store) error {
			rt := runtime(t, s, nil)
			run, err := rt.Run(ctx, ask, "x", &bide.StartOptions{RunID: "r", Key: "k"})
			for err == nil && len(run.Waits) > 0 {
				if _, err = rt.Resume(ctx, "r", run.Waits[0].ID, "seven", bide.Command{ID: "answer"}); err == nil {
					run, err = rt.Tick(ctx, "r")
				}
			}
			if err == nil {
				_, err = s.PutDocument(ctx, bide.Document{Kind: "note", ID: "n", Body: bide.JSON(`1`)})
				if errors.Is(err, bide.ErrConflict) { // it was the last write
					err = nil
				}
			}
			return err
		}, func(t *testing.T, rt *bide.Runtime, _ *mem.Store) {
			if run, err := rt.Get(ctx, "r"); err != nil || string(run.Output) != `"seven"` {
				t.Errorf("the run = %v, %v; want it to complete", run, err)
			}
		}},
		"rewrap": {func(s *seal.Store) error {
			_, err := s.Rewrap(ctx, nil)
			return err
		}, func(t *testing.T, rt *bide.Runtime, inner *mem.Store) {
			alone := runtime(t, sealed(t, inner, fresh), nil)
			for _, id := range []string{"done", "asking", "parent", "failed"} {
				if run, err := alone.Get(ctx, id); err != nil || !run.Vars.Has("input") {
					t.Errorf("run %s with the new key alone = %v, %v", id, run, err)
				}
			}
		}},
		"shred": {func(s *seal.Store) error {
			_, err := ledgertest.New(t, s).RT.Shred(ctx, "done", bide.Command{Actor: "ann"})
			return err
		}, func(t *testing.T, rt *bide.Runtime, inner *mem.Store) {
			page, err := rt.Runs(ctx, bide.RunQuery{Root: "done"})
			if err != nil || len(page.Runs) != 2 {
				t.Fatal(page, err)
			}
			for _, row := range page.Runs {
				run, err := rt.Get(ctx, row.ID)
				if err != nil || run.Shredded == nil || run.Shredded.Actor != "ann" || run.Vars.Has("input") {
					t.Errorf("run %s = %+v, %v; want it shredded, once", row.ID, run, err)
				}
				n := 0
				for rec, err := range rt.Ledger(ctx, row.ID, 1) {
					if err != nil {
						t.Fatal(err)
					}
					if n++; rec.Kind == bide.KindRunShredded && n != int(row.Seq) {
						t.Errorf("run %s was shredded at record %d of %d", row.ID, n, row.Seq)
					}
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for n, ended := 1, false; !ended; n++ {
				if n > 100 {
					t.Fatal("it does not end")
				}
				for _, after := range []bool{false, true} {
					inner := mem.New()
					ledgertest.New(t, sealed(t, inner, old)).Fill()
					dying := &mortal{Store: inner, left: n, after: after}
					err := tc.do(sealed(t, dying, fresh+old))
					if ended = dying.left > 0; ended && err != nil {
						t.Fatal(err)
					}
					if !ended && err == nil && dying.left < 0 {
						t.Fatal("a dead store was not noticed")
					}
					s := sealed(t, inner, fresh+old)
					// Nothing is lost by having been cut off.
					if run, err := runtime(t, s, nil).Get(ctx, "asking"); err != nil || len(run.Waits) != 1 {
						t.Fatalf("write %d, done %v: another run = %v, %v", n, after, run, err)
					}
					left, err := s.Rewrap(ctx, &seal.RewrapOptions{DryRun: true})
					if err != nil {
						t.Fatal(err)
					}
					if err := tc.do(s); err != nil {
						t.Fatalf("write %d, done %v: doing it again = %v", n, after, err)
					}
					tc.check(t, runtime(t, s, nil), inner)
					if rep, err := ledger.VerifyStore(ctx, s, nil); err != nil || !rep.OK() {
						t.Errorf("write %d, done %v: %+v, %v", n, after, rep, err)
					}
					now, err := s.Rewrap(ctx, &seal.RewrapOptions{DryRun: true})
					if err != nil || len(now.Shredding) > 0 {
						t.Errorf("write %d, done %v: shredding under way before %v, after %v, %v; want none after", n, after, left.Shredding, now.Shredding, err)
					}
				}
			}
		})
	}
}

// A shredding that was cut off is found, whatever had been done.
func TestAShreddingThatWasCutOffIsFound(t *testing.T) {
	keys := line(t, "k")
	for _, n := range []int{1, 2} { // it was noted; and the record was made
		inner := mem.New()
		ended(t, runtime(t, sealed(t, inner, keys), nil), "r", "seven")
		_, err := runtime(t, sealed(t, &mortal{Store: inner, left: n, after: true}, keys), nil).Shred(ctx, "r")
		wantErr(t, "Shred by a process that dies", err, errDead)
		left, err := sealed(t, inner, keys).Rewrap(ctx, &seal.RewrapOptions{DryRun: true})
		if err != nil || len(left.Shredding) != 1 || left.Shredding[0] != "r" {
			t.Errorf("after write %d: %+v, %v; want the run named", n, left, err)
		}
	}
}
