package retention_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/ledger/transfer"
)

var ctx = context.Background()

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// kept are archives by run.
type kept map[string][]byte

func (k kept) archive(_ context.Context, root *bide.RunInfo, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	k[root.ID] = b.Bytes()
	return nil
}

// signedWorld is a world with a log whose notary has signed everything.
func signedWorld(t *testing.T, s ledgertest.Store) (*ledgertest.World, *ledger.Log, []note.Verifier) {
	t.Helper()
	w := ledgertest.New(t, s)
	w.Fill()
	private, public, err := ledger.GenerateKey("k")
	if err != nil {
		t.Fatal(err)
	}
	signers, err := ledger.Signers(private)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.Verifiers(public)
	if err != nil {
		t.Fatal(err)
	}
	log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: signers})
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.NewNotary(w.RT, s, log, nil).Seal(ctx); err != nil {
		t.Fatal(err)
	}
	return w, log, keys
}

func day(n int) bide.Duration { return bide.Duration(time.Duration(n) * 24 * time.Hour) }

func TestOldTreesGoAndTheirProofStays(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			w, log, keys := signedWorld(t, ledgertest.Open(t, kind))
			archives := kept{}
			o := retention.Options{Rules: []retention.Rule{{Status: bide.StatusCompleted, After: day(1)}, {Workflow: "order", Status: bide.StatusFailed, After: day(30)}},
				Archive: archives.archive, Log: log, Now: func() time.Time { return w.Clock.Now().Add(48 * time.Hour) }}
			apply := func() *retention.Result {
				t.Helper()
				res, err := retention.Apply(ctx, w.RT, w.Store, o)
				if err != nil {
					t.Fatal(err)
				}
				return res
			}
			if err := retention.Hold(ctx, w.Store, "done", "a lawsuit", "eve", w.Clock.Now()); err != nil {
				t.Fatal(err)
			}
			if res := apply(); len(res.Removed) > 0 || res.Held != 1 {
				t.Errorf("under a hold: %+v", res)
			}
			if err := retention.Unhold(ctx, w.Store, "done"); err != nil {
				t.Fatal(err)
			}
			o.DryRun = true
			if res := apply(); len(res.Removed) != 1 || res.Removed[0].Runs != 2 || len(archives) > 0 {
				t.Errorf("a dry run: %+v with %d archives", res, len(archives))
			}
			if _, err := w.RT.Get(ctx, "done"); err != nil {
				t.Errorf("after a dry run: %v", err)
			}
			o.DryRun = false
			res := apply()
			if len(res.Removed) != 1 || res.Removed[0].Root.ID != "done" {
				t.Fatalf("Apply = %+v, want the completed tree", res)
			}
			if _, err := w.RT.Get(ctx, "done"); !errors.Is(err, bide.ErrNotFound) {
				t.Errorf("the run is there: %v", err)
			}
			rep, err := ledger.VerifyStore(ctx, w.Store, &ledger.VerifyOptions{Keys: keys})
			if err != nil || !rep.OK() || rep.Deleted != 2 || !rep.Signed {
				t.Errorf("VerifyStore = %+v, %v; want two runs deleted on record", rep, err)
			}
			content, err := transfer.Inspect(bytes.NewReader(archives["done"]), &transfer.ReadOptions{Keys: keys}, nil)
			if err != nil || !content.OK() || content.SignedRuns != 2 {
				t.Errorf("the archive: %+v, %v", content, err)
			}
			e, _, err := ledger.ReadLog(ctx, w.Store, keys)
			if err != nil {
				t.Fatal(err)
			}
			if stone, ok := e.Tombstone("done"); !ok || stone.Archive != res.Removed[0].Archive {
				t.Errorf("the tombstone is %v, want that it names the archive", stone)
			}
			// It can come back, and verifies then too.
			if _, err := transfer.Import(ctx, w.Store, bytes.NewReader(archives["done"]), nil); err != nil {
				t.Fatal(err)
			}
			if rep, err := ledger.VerifyStore(ctx, w.Store, &ledger.VerifyOptions{Keys: keys}); err != nil || !rep.OK() {
				t.Errorf("after it came back: %+v, %v", rep, err)
			}
		})
	}
}

// failing is a store that fails from its nth write on; with applied, that one write takes place all the same.
type failing struct {
	ledgertest.Store
	left    int
	applied bool
}

var errFull = bide.Errorf(bide.CodeStoreFull, "full")

// write does a write, or fails.
func (s *failing) write(do func() error) error {
	if s.left--; s.left >= 0 {
		return do()
	}
	if s.applied && s.left == -1 {
		if err := do(); err != nil {
			return err
		}
	}
	return errFull
}

func (s *failing) Commit(ctx context.Context, c *bide.Commit) error {
	return s.write(func() error { return s.Store.Commit(ctx, c) })
}

func (s *failing) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	err = s.write(func() error { rev, err = s.Store.PutDocument(ctx, d); return err })
	return rev, err
}

func (s *failing) DeleteDocument(ctx context.Context, kind, id string, rev int64) error {
	return s.write(func() error { return s.Store.DeleteDocument(ctx, kind, id, rev) })
}

// Cut off at every write in turn, before it or right after it took place, retention loses nothing and is finished by doing it again.
func TestCutOffAtEveryWriteRetentionIsFinished(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for n := 0; !cutOffAt(t, n, applied); n++ {
			if n > 100 {
				t.Fatal("retention does not end")
			}
		}
	}
}

// cutOffAt reports whether retention was done before its nth write.
func cutOffAt(t *testing.T, n int, applied bool) (done bool) {
	t.Helper()
	inner := ledgertest.Open(t, "mem")
	s := &failing{inner, 1 << 30, applied}
	w, log, keys := signedWorld(t, s)
	archives := kept{}
	o := retention.Options{Rules: []retention.Rule{{After: day(1)}}, Archive: archives.archive, Log: log, Now: func() time.Time { return w.Clock.Now().Add(48 * time.Hour) }}
	s.left = n
	_, err := retention.Apply(ctx, w.RT, s, o)
	if err == nil {
		if n < 6 {
			t.Errorf("it took %d writes", n)
		}
		return true
	}
	if !errors.Is(err, errFull) {
		t.Fatal(err)
	}
	s.left = 1 << 30
	check := func(when string) {
		t.Helper()
		rep, err := ledger.VerifyStore(ctx, inner, &ledger.VerifyOptions{Keys: keys})
		if err != nil || !rep.OK() {
			t.Errorf("%s, cut off at write %d: %+v, %v", when, n, rep, err)
		}
		for _, id := range []string{"done", "failed", "gone"} {
			if _, err := w.RT.Get(ctx, id); errors.Is(err, bide.ErrNotFound) && archives[id] == nil {
				t.Errorf("%s, cut off at write %d: run %s is gone without an archive", when, n, id)
			}
		}
	}
	check("before it is finished")
	if _, err := retention.Apply(ctx, w.RT, s, o); err != nil {
		t.Fatal(err)
	}
	check("after it was finished")
	if content, err := transfer.Inspect(bytes.NewReader(archives["done"]), nil, nil); err != nil || !content.OK() || content.Runs != 2 {
		t.Errorf("cut off at write %d: the archive holds %+v, %v; want the run and its child", n, content, err)
	}
	page, err := inner.Runs(ctx, bide.RunQuery{})
	if err != nil || slices.ContainsFunc(page.Runs, func(r bide.RunInfo) bool { return r.Parent == "" && r.Status.Final() }) {
		t.Errorf("cut off at write %d: %v, %v are left", n, page, err)
	}
	return false
}

// A run may be started under the id of one that was removed, for instance by the same key; that is no fault.
func TestAnIDIsUsedAgainAfterItsRunWasRemoved(t *testing.T) {
	w, log, keys := signedWorld(t, ledgertest.Open(t, "mem"))
	o := retention.Options{Rules: []retention.Rule{{After: 1}}, Log: log, Now: func() time.Time { return w.Clock.Now().Add(time.Hour) }}
	if _, err := retention.Apply(ctx, w.RT, w.Store, o); err != nil {
		t.Fatal(err)
	}
	run := w.Start("done", "another")
	rep, err := ledger.VerifyStore(ctx, w.Store, &ledger.VerifyOptions{Keys: keys})
	if err != nil || !rep.OK() || len(rep.Unsigned) != 1 || rep.Unsigned[0].To != run.Seq {
		t.Errorf("VerifyStore = %+v, %v; want the new run as unsigned", rep, err)
	}
	if err := ledger.NewNotary(w.RT, w.Store, log, nil).Seal(ctx); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := transfer.Export(ctx, w.Store, &file, &transfer.ExportOptions{Runs: []string{"done"}}); err != nil {
		t.Fatal(err)
	}
	if content, err := transfer.Inspect(&file, &transfer.ReadOptions{Keys: keys}, nil); err != nil || !content.OK() || content.SignedRuns != 1 {
		t.Errorf("Inspect = %+v, %v; want the new run as signed", content, err)
	}
}

func TestRulesThatAreNoneAreRefused(t *testing.T) {
	w := ledgertest.New(t, ledgertest.Open(t, "mem"))
	for _, rules := range [][]retention.Rule{nil, {{}}, {{After: -1}}, {{After: 1, Status: bide.StatusWaiting}}} {
		if _, err := retention.Apply(ctx, w.RT, w.Store, retention.Options{Rules: rules}); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Apply(%v) = %v, want ErrInvalidInput", rules, err)
		}
	}
}

func TestTheLimitIsKept(t *testing.T) {
	w := ledgertest.New(t, ledgertest.Open(t, "mem"))
	w.Fill()
	o := retention.Options{Rules: []retention.Rule{{After: 1}}, Limit: 1, Now: func() time.Time { return w.Clock.Now().Add(time.Hour) }}
	for i := range 3 {
		res, err := retention.Apply(ctx, w.RT, w.Store, o)
		if err != nil || len(res.Removed) != 1 || res.More != (i < 2) {
			t.Errorf("Apply %d = %+v, %v", i, res, err)
		}
	}
}

func TestADeletedRunLeavesItsTombstone(t *testing.T) {
	w, log, keys := signedWorld(t, ledgertest.Open(t, "mem"))
	if err := retention.Delete(ctx, w.RT, w.Store, nil, "done"); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("without a log: %v, want ErrInvalidInput", err)
	}
	if err := retention.Hold(ctx, w.Store, "done", "a lawsuit", "eve", w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := retention.Delete(ctx, w.RT, w.Store, log, "done"); !errors.Is(err, bide.ErrForbidden) {
		t.Errorf("under a hold: %v, want ErrForbidden", err)
	}
	if err := retention.Unhold(ctx, w.Store, "done"); err != nil {
		t.Fatal(err)
	}
	if err := retention.Delete(ctx, w.RT, w.Store, log, "parent"); !errors.Is(err, bide.ErrWrongStatus) {
		t.Errorf("of a run that has not ended: %v, want ErrWrongStatus", err)
	}
	if err := retention.Delete(ctx, w.RT, w.Store, log, "done"); err != nil {
		t.Fatal(err)
	}
	rep, err := ledger.VerifyStore(ctx, w.Store, &ledger.VerifyOptions{Keys: keys})
	if err != nil || !rep.OK() || rep.Deleted != 2 {
		t.Errorf("VerifyStore = %+v, %v; want the run and its child deleted on record", rep, err)
	}
	if err := retention.Delete(ctx, w.RT, w.Store, log, "done"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("once more: %v, want ErrNotFound", err)
	}
}
