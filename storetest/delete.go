package storetest

import (
	"testing"

	"github.com/bide-dev/bide"
)

// Delete checks that a store removes ended runs (Commit.Delete), and with each
// all that is kept of it and nothing else. open gives a new store every time.
func Delete(t *testing.T, open func(t *testing.T) bide.Store) {
	s := open(t)
	defer s.Close()
	keep, gone := NewChain("keep"), NewChain("gone")
	for _, c := range []*Chain{keep, gone} {
		must(t, s, c.Next(2))
		send(t, s, toRun("m", c.Info.ID, "k"), toRun("n", c.Info.ID, "k"))
		end := step(c, bide.StatusCompleted, 0)
		end.Took = []string{"n"}
		end.Command = &bide.CommandRecord{ID: "cmd", Seq: end.Info.Seq}
		end.Snapshot = []byte(`{"a":"snapshot"}`)
		must(t, s, end)
	}
	before := load(t, s, "keep")
	remove := func(expect bide.Position) error {
		return s.Commit(t.Context(), &bide.Commit{RunID: "gone", Expect: expect, Delete: true})
	}
	wantError(t, "Delete at another position", remove(bide.Position{Seq: 1}), bide.ErrConflict)
	for _, what := range []string{"Delete", "Delete again"} {
		if err := remove(gone.Info.Position()); err != nil {
			t.Fatalf("%s = %v", what, err)
		}
	}
	_, err := s.Load(t.Context(), "gone", bide.Position{})
	wantError(t, "Load of a deleted run", err, bide.ErrNotFound)
	_, err = s.Records(t.Context(), "gone", 1, 10)
	wantError(t, "Records of a deleted run", err, bide.ErrNotFound)
	_, err = s.Command(t.Context(), "gone", "cmd")
	wantError(t, "Command of a deleted run", err, bide.ErrNotFound)
	same(t, "the other run", load(t, s, "keep"), before)
	if page, err := s.Runs(t.Context(), bide.RunQuery{}); err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "keep" {
		t.Errorf("Runs = %v, %v, want keep alone", page, err)
	}

	again := NewChain("gone") // as if it had never been
	must(t, s, again.Next(1))
	waiting(t, s, again, "k")
	wantMail(t, s, "gone")
	send(t, s, toRun("n", "gone", "k"))
	wantMail(t, s, "gone", "n")
	if got := load(t, s, "gone"); got.Snapshot != nil || len(got.Records) != 2 {
		t.Errorf("Load of a run begun again = %d records, snapshot %s; want its two records", len(got.Records), got.Snapshot)
	}
}
