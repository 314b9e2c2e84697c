package retention_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/seal"
)

// shredding is a store with encrypted artifacts, and runs that name them.
type shredding struct {
	s     *seal.Store
	rt    *bide.Runtime
	blobs *seal.Artifacts
	dir   *artifact.Dir
}

func newShredding(t *testing.T) *shredding {
	t.Helper()
	s := ledgertest.Seal(t, ledgertest.Open(t, "mem"))
	dir, err := artifact.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	x := &shredding{s, bide.Must(bide.New(s, nil)), s.Artifacts(dir), dir}
	return x
}

// naming completes with its input.
var naming = bide.Workflow{ID: "naming", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(r *bide.Run) (bide.StepPlan, error) {
	in, err := bide.Input[any](r)
	return bide.Complete(in), err
}}}

// run makes an ended run that names blobs of these contents.
func (x *shredding) run(t *testing.T, id string, contents ...string) (sums []string) {
	t.Helper()
	for _, text := range contents {
		sum, _, err := x.blobs.Put(ctx, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	if run, err := x.rt.Run(ctx, naming, sums, &bide.StartOptions{RunID: id}); err != nil || run.Status != bide.StatusCompleted {
		t.Fatalf("run %s = %v, %v", id, run, err)
	}
	return sums
}

// age makes all blobs two days old.
func (x *shredding) age(t *testing.T) {
	t.Helper()
	page, err := x.s.Documents(ctx, bide.DocumentQuery{Kind: seal.ArtifactKind})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Documents {
		d.UpdatedAt = time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Microsecond)
		if _, err := x.s.PutDocument(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
}

func (x *shredding) shred(t *testing.T, id string) int {
	t.Helper()
	o := retention.ShredOptions{Blobs: x.blobs, Before: time.Now().Add(-2 * time.Hour)}
	run, n, err := retention.Shred(ctx, x.rt, x.s, id, o, bide.Command{Actor: "ann", Reason: "asked for"})
	if err != nil || run.Shredded == nil {
		t.Fatalf("Shred(%s) = %v, %v", id, run, err)
	}
	return n
}

func (x *shredding) reads(t *testing.T, sum string, want bool) {
	t.Helper()
	r, err := x.blobs.Open(ctx, sum)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		err = errors.Join(err, r.Close())
	}
	if want && err != nil || !want && !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("blob %.8s = %v; want it there: %v", sum, err, want)
	}
}

func TestShreddingARunTakesTheArtifactsThatItAloneNames(t *testing.T) {
	x := newShredding(t)
	a := x.run(t, "a", "of a", "shared")
	x.run(t, "b", "of b", "shared")
	x.age(t)
	if n := x.shred(t, "a"); n != 1 {
		t.Errorf("%d artifacts were destroyed, want the one that a alone names", n)
	}
	x.reads(t, a[0], false)
	x.reads(t, a[1], true) // b names it
	if n := x.shred(t, "b"); n != 2 {
		t.Errorf("%d artifacts were destroyed, want all that b names", n)
	}
	x.reads(t, a[1], false)
}

// Somebody may just have put the same content, and not yet said where it is used.
func TestAnArtifactPutJustNowOutlivesTheShreddingAndIsSwept(t *testing.T) {
	x := newShredding(t)
	a := x.run(t, "a", "of a")
	if n := x.shred(t, "a"); n != 0 {
		t.Errorf("%d artifacts were destroyed, want the young one left", n)
	}
	x.reads(t, a[0], true)
	refs := retention.NewReferences(x.s, nil)
	if named, err := refs.Named(ctx, a[0]); named || err != nil {
		t.Errorf("Named = %v, %v; want that a shredded run names nothing", named, err)
	}
}

// Without the keys it cannot be known what records name: a sweep must then remove nothing.
func TestASweepWithoutTheKeysRemovesNothing(t *testing.T) {
	x := newShredding(t)
	x.run(t, "a", "of a")
	plain := x.s.Stored().(ledgertest.Store)
	refs := retention.NewReferences(plain, nil)
	if _, err := refs.Named(ctx, strings.Repeat("0", 64)); !errors.Is(err, bide.ErrSealed) {
		t.Errorf("Named without the keyring = %v, want ErrSealed", err)
	}
	wrong, err := seal.NewKey("wrong")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.ParseKeyring([]byte(wrong))
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.New(context.Background(), plain, ring, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retention.NewReferences(other, nil).Named(ctx, strings.Repeat("0", 64)); !errors.Is(err, bide.ErrSealed) {
		t.Errorf("Named with another keyring = %v, want ErrSealed", err)
	}
	empty := ledgertest.Open(t, "mem")
	if _, err := empty.PutDocument(ctx, bide.Document{Kind: "flow", ID: "x", Body: bide.JSON(`{"$sealed":"AA=="}`), UpdatedAt: ledgertest.Start}); err != nil {
		t.Fatal(err)
	}
	if _, err := retention.NewReferences(empty, []string{"flow"}).Named(ctx, strings.Repeat("0", 64)); !errors.Is(err, bide.ErrSealed) {
		t.Errorf("Named with an encrypted document = %v, want ErrSealed", err)
	}
}
