package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

func closed(t *testing.T, s Store) {
	c := NewChain("run")
	must(t, s, c.Next(1))
	if err := s.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	wantError(t, "Commit", s.Commit(t.Context(), c.Next(1)), bide.ErrStoreClosed)
	_, err := s.Load(t.Context(), "run", bide.Position{})
	wantError(t, "Load", err, bide.ErrStoreClosed)
	_, err = s.Records(t.Context(), "run", 1, 1)
	wantError(t, "Records", err, bide.ErrStoreClosed)
	_, err = s.Command(t.Context(), "run", "cmd")
	wantError(t, "Command", err, bide.ErrStoreClosed)
	_, err = s.Runs(t.Context(), bide.RunQuery{})
	wantError(t, "Runs", err, bide.ErrStoreClosed)
	_, err = s.Waits(t.Context(), bide.WaitQuery{})
	wantError(t, "Waits", err, bide.ErrStoreClosed)
	_, err = s.Claim(t.Context(), query("w", 1))
	wantError(t, "Claim", err, bide.ErrStoreClosed)
	wantError(t, "Heartbeat", s.Heartbeat(t.Context(), "w", today), bide.ErrStoreClosed)
	wantError(t, "Release", s.Release(t.Context(), "w", nil, false), bide.ErrStoreClosed)
	wantError(t, "SetAside", s.SetAside(t.Context(), "run", "x"), bide.ErrStoreClosed)
	_, err = s.NextWake(t.Context(), today)
	wantError(t, "NextWake", err, bide.ErrStoreClosed)
	_, err = s.Feed(t.Context(), bide.FeedQuery{})
	wantError(t, "Feed", err, bide.ErrStoreClosed)
	_, err = s.PutDocument(t.Context(), doc("a", 0, "1"))
	wantError(t, "PutDocument", err, bide.ErrStoreClosed)
	_, err = s.Document(t.Context(), "flow", "a")
	wantError(t, "Document", err, bide.ErrStoreClosed)
	_, err = s.Documents(t.Context(), bide.DocumentQuery{Kind: "flow"})
	wantError(t, "Documents", err, bide.ErrStoreClosed)
	wantError(t, "DeleteDocument", s.DeleteDocument(t.Context(), "flow", "a", 1), bide.ErrStoreClosed)
}

func closeWhileCommitting(t *testing.T, s Store) { commitUntilClosed(t, s) }

// commitUntilClosed closes a store while many runs commit to it. It returns the
// positions that were acknowledged.
func commitUntilClosed(t *testing.T, s bide.Store) map[string]bide.Position {
	t.Helper()
	const runs = 8
	acknowledged := make([]bide.Position, runs)
	var all, started sync.WaitGroup
	for i := range runs {
		started.Add(1)
		all.Go(func() {
			begun := sync.OnceFunc(started.Done)
			defer begun()
			c := NewChain(fmt.Sprintf("run-%d", i))
			for {
				commit := c.Next(1)
				err := s.Commit(t.Context(), commit)
				begun()
				switch {
				case errors.Is(err, bide.ErrStoreClosed):
					return
				case err != nil:
					t.Errorf("Commit while the store closes = %v", err)
					return
				}
				acknowledged[i] = commit.Info.Position()
			}
		})
	}
	started.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	all.Wait()
	out := map[string]bide.Position{}
	for i, at := range acknowledged {
		out[fmt.Sprintf("run-%d", i)] = at
	}
	return out
}

// reopenedMore closes and opens a store over what is not in contents.
func reopenedMore(t *testing.T, open func(t *testing.T, dir string) bide.Store) {
	dir := t.TempDir()
	s := whole(t, open(t, dir))
	again := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatalf("Close = %v", err)
		}
		s = whole(t, open(t, dir))
	}
	keep, gone, child := NewChain("keep"), NewChain("gone"), NewChain("child")
	child.Info.Root, child.Info.Origin, child.Info.Labels = "keep", "gone", map[string]string{"team": "a"}
	first := keep.Next(2)
	first.Starts = []*bide.Commit{child.Next(1)}
	must(t, s, first, gone.Next(3), keep.Next(1), step(gone, bide.StatusFailed, 0))
	all := &tail{}
	all.mustRead(t, s)
	again()
	reread := &tail{}
	reread.mustRead(t, s)
	same(t, "the feed", reread.got, all.got)
	wantRuns(t, s, bide.RunQuery{Root: "keep"}, "keep", "child")
	wantRuns(t, s, bide.RunQuery{Origin: "gone"}, "child")
	wantRuns(t, s, bide.RunQuery{Labels: child.Info.Labels}, "child")

	must(t, s, &bide.Commit{RunID: "gone", Expect: gone.Info.Position(), Delete: true}) // it had the last position
	end := &tail{FeedQuery: bide.FeedQuery{After: bide.FeedEnd}}
	end.mustRead(t, s)
	again()
	second := keep.Next(1)
	must(t, s, second)
	wantFeed(t, "what comes after a deletion and a restart", all.mustRead(t, s), feedOf(second))
	wantFeed(t, "what comes after the end before a restart", end.mustRead(t, s), feedOf(second))
	reread = &tail{FeedQuery: bide.FeedQuery{Root: "keep"}}
	same(t, "the feed of a tree", reread.mustRead(t, s), slices.DeleteFunc(all.got, func(r bide.FeedRecord) bool { return r.RunID == "gone" }))

	send(t, s, kept("m", deployed, 10, 100), toRun("old", "gone", "k"))
	d, e := put(t, s, put(t, s, doc("a/é", 0, `{"n":1.0}`))), put(t, s, doc("b", 0, `1`))
	ok(t, s.DeleteDocument(t.Context(), e.Kind, e.ID, e.Rev))
	own := keep.Next(1)
	own.Send, own.Took = []bide.Message{toRun("n", "keep", "k")}, []string{"n"}
	must(t, s, own, claiming(keep, bide.StatusRunning, "w", 1))
	again()
	waitingSince(t, s, "late", deployed, 20, at(10))
	wantMail(t, s, "late", "m/late.1")
	wantDocument(t, s, d)
	wantDocuments(t, s, bide.DocumentQuery{Kind: "flow"}, "a/é")
	put(t, s, doc("b", 0, `1`))
	refused := keep.Next(1)
	refused.Send, refused.Took = own.Send, own.Took
	wantError(t, "taking what is sent a second time", s.Commit(t.Context(), refused), bide.ErrConflict)
	wantFenceOf(t, s, keep, 1)
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func reopened(t *testing.T, open func(t *testing.T, dir string) bide.Store) {
	dir := t.TempDir()
	s := open(t, dir)
	a, b := NewChain("a"), NewChain("b")
	a.Info.Labels = map[string]string{"team": "x"}
	first, second, other := a.Next(3), a.Next(2), b.Next(1)
	first.Opened = []bide.Wait{{ID: "a.1", Kind: bide.WaitQuestion, CreatedAt: start}, {ID: "a.2", Kind: bide.WaitJob, Key: "k", CreatedAt: start}}
	second.Closed = []string{"a.1"}
	second.Snapshot = []byte(`{"n":1}`)
	second.Command = &bide.CommandRecord{ID: "cmd", Fingerprint: bide.Hash{7}, Seq: 5}
	second.Starts = []*bide.Commit{NewChain("child").Next(1)}
	must(t, s, first, second, other)
	send(t, s, toRun("m", "a", "k"), toKey("n", paid))
	waiting(t, s, b, "evt:session:t:paid")
	full := whole(t, s)
	ok(t, full.SetAside(t.Context(), "child", "a reason"))
	beat(t, full, "w", today.Add(time.Hour))
	fence := wantClaims(t, full, query("w", 9), "a")[0]
	before := contents(t, s)
	for round := range 3 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close = %v", err)
		}
		s = open(t, dir)
		same(t, fmt.Sprintf("the store opened again, time %d", round+1), contents(t, s), before)
		cmd, err := s.Command(t.Context(), "a", "cmd")
		if err != nil {
			t.Fatalf("Command = %v", err)
		}
		same(t, "the command", cmd, second.Command)
		if round == 0 {
			must(t, s, second) // sent again across the restart
			wantError(t, "Commit of an earlier commit", s.Commit(t.Context(), first), bide.ErrConflict)
			send(t, s, toRun("m", "a", "k"), toKey("n", paid)) // sent again
		}
		if !sole(s) {
			wantClaims(t, whole(t, s), query("x", 9)) // w lives
		}
	}
	must(t, s, step(a, bide.StatusRunning, fence))
	waiting(t, s, b, paid) // mail was kept for it
	if sole(s) {
		wantClaims(t, whole(t, s), query("w", 9), "b", "a")
	} else {
		wantClaims(t, whole(t, s), query("w", 9), "b")
	}
	must(t, s, a.Next(1), b.Next(1))
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// sole reports whether one process at a time has the store, so that it need not
// remember who drove what when it is opened.
func sole(s bide.Store) bool {
	one, ok := s.(interface{ Sole() bool })
	return ok && one.Sole()
}

func reopenedAfterClosing(t *testing.T, open func(t *testing.T, dir string) bide.Store) {
	dir := t.TempDir()
	acknowledged := commitUntilClosed(t, open(t, dir))
	s := open(t, dir)
	defer s.Close()
	for id, at := range acknowledged {
		if at.Seq == 0 {
			continue
		}
		stored, err := s.Load(t.Context(), id, bide.Position{})
		if err != nil {
			t.Errorf("Load(%s) = %v, want position %d", id, err, at.Seq)
			continue
		}
		same(t, "the position of "+id, stored.Position, at)
	}
}
