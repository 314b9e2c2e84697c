package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
)

func childIsThere(t *testing.T, s Store) {
	parent, child, detached := NewChain("parent"), NewChain("child"), NewChain("detached")
	child.Info.Parent, child.Info.Labels = "parent", map[string]string{"a": "b"}
	first := child.Next(2)
	first.Opened = []bide.Wait{{ID: "child.1", Kind: bide.WaitForEvent, Key: paid, CreatedAt: start}}
	first.Command = &bide.CommandRecord{ID: "start", Seq: 2}
	first.Snapshot = []byte("{}")
	commit := parent.Next(1)
	commit.Starts = []*bide.Commit{first, detached.Next(1)}
	must(t, s, commit)
	got := load(t, s, "child")
	same(t, "the child", got, &bide.Stored{Position: first.Info.Position(), Snapshot: first.Snapshot, SnapshotSeq: 2})
	page, err := s.Runs(t.Context(), bide.RunQuery{Parent: "parent"})
	if err != nil {
		t.Fatalf("Runs = %v", err)
	}
	same(t, "the children", page.Runs, []bide.RunInfo{first.Info})
	wantWaits(t, s, bide.WaitQuery{}, "child.1")
	if cmd, err := s.Command(t.Context(), "child", "start"); err != nil || cmd.Seq != 2 {
		t.Errorf("Command = %v, %v, want record 2", cmd, err)
	}
	load(t, s, "detached")
	before := contents(t, s)
	must(t, s, commit)
	same(t, "the store after the commit was sent again", contents(t, s), before)
	must(t, s, child.Next(1), parent.Next(1))
}

func childStartsOnce(t *testing.T, s Store) {
	child := NewChain("child")
	first := child.Next(1)
	a := NewChain("a").Next(1)
	a.Starts = []*bide.Commit{first}
	must(t, s, a, child.Next(2))
	want := load(t, s, "child")

	other := NewChain("child")
	other.Info.Status = bide.StatusFailed
	second := other.NextWith(`"another"`)
	second.Opened = []bide.Wait{{ID: "child.9", Kind: bide.WaitQuestion, CreatedAt: start}}
	b := NewChain("b").Next(1)
	b.Starts = []*bide.Commit{second, NewChain("new").Next(1), second}
	must(t, s, b)
	same(t, "a run that is started again", load(t, s, "child"), want)
	wantWaits(t, s, bide.WaitQuery{})
	load(t, s, "b")
	load(t, s, "new")

	stale := NewChain("a")
	bad := stale.NextWith(`"stale"`)
	bad.Starts = []*bide.Commit{NewChain("never").Next(1)}
	bad.Send = []bide.Message{toRun("m", "a", "k")}
	wantError(t, "Commit of a parent that is behind", s.Commit(t.Context(), bad), bide.ErrConflict)
	_, err := s.Load(t.Context(), "never", bide.Position{})
	wantError(t, "Load of the child of a refused commit", err, bide.ErrNotFound)
	wantMail(t, s, "a")
}

func childManyParents(t *testing.T, s Store) {
	const parents = 8
	for round := range 5 {
		id := fmt.Sprintf("child-%d", round)
		var all sync.WaitGroup
		for i := range parents {
			commit := NewChain(fmt.Sprintf("parent-%d-%d", round, i)).Next(1)
			commit.Starts = []*bide.Commit{NewChain(id).NextWith(fmt.Sprintf(`"parent %d"`, i))}
			all.Go(func() {
				if err := s.Commit(t.Context(), commit); err != nil {
					t.Errorf("Commit = %v", err)
				}
			})
		}
		all.Wait()
		if err := checkLoaded(s.Load(t.Context(), id, bide.Position{})); err != nil {
			t.Errorf("a child of %d parents: %v", parents, err)
		}
		if got := load(t, s, id); got.Seq != 1 {
			t.Errorf("a child of %d parents is at record %d, want 1", parents, got.Seq)
		}
	}
}
