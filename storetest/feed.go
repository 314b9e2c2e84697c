package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
)

// tail reads a feed from where it stopped before.
type tail struct {
	bide.FeedQuery
	got []bide.FeedRecord
}

// read reads on until there is no more, and returns what came. Every page must get on, and hold
// to the limit but for the rest of a commit.
func (f *tail) read(ctx context.Context, s bide.Store) (fresh []bide.FeedRecord, err error) {
	for {
		page, err := s.Feed(ctx, f.FeedQuery)
		if err != nil {
			return nil, fmt.Errorf("Feed(%+v) = %w", f.FeedQuery, err)
		}
		if n := len(page.Records); n > bide.PageLimit(f.Limit)+longestCommit {
			return nil, fmt.Errorf("Feed(%+v) gives %d records", f.FeedQuery, n)
		}
		last := f.After
		for _, r := range page.Records {
			if r.Pos <= last {
				return nil, fmt.Errorf("Feed(%+v) gives position %d after %d", f.FeedQuery, r.Pos, last)
			}
			last = r.Pos
		}
		if page.Next < last || page.More && page.Next <= f.After {
			return nil, fmt.Errorf("Feed(%+v) goes on after %d; its last record is at %d (more: %v)", f.FeedQuery, page.Next, last, page.More)
		}
		f.After, fresh = page.Next, append(fresh, page.Records...)
		if !page.More {
			f.got = append(f.got, fresh...)
			return fresh, nil
		}
	}
}

// longestCommit is the number of records of the longest commit in these tests.
const longestCommit = 8

// mustRead is read, and ends the test when that fails.
func (f *tail) mustRead(t *testing.T, s bide.Store) []bide.FeedRecord {
	t.Helper()
	fresh, err := f.read(t.Context(), s)
	ok(t, err)
	return fresh
}

// feedOf is what a feed holds of commits that follow each other, but for the positions.
func feedOf(commits ...*bide.Commit) (out []bide.FeedRecord) {
	for _, c := range commits {
		for _, r := range c.Records {
			out = append(out, bide.FeedRecord{RunID: c.RunID, Body: r.Raw})
		}
		out = append(out, feedOf(c.Starts...)...)
	}
	return out
}

// wantFeed checks what came from a feed, whatever its positions.
func wantFeed(t *testing.T, what string, got, want []bide.FeedRecord) {
	t.Helper()
	got = slices.Clone(got)
	for i := range got {
		got[i].Pos = 0
	}
	same(t, what, got, want)
}

func feedFollows(t *testing.T, s Store) {
	all, end := &tail{}, &tail{FeedQuery: bide.FeedQuery{After: bide.FeedEnd}}
	wantFeed(t, "the feed of an empty store", all.mustRead(t, s), nil)
	wantFeed(t, "the end of an empty store", end.mustRead(t, s), nil)
	a, b, child := NewChain("a"), NewChain("b"), NewChain("child")
	parent := a.Next(2)
	parent.Starts = []*bide.Commit{child.Next(longestCommit)}
	commits := []*bide.Commit{parent, b.NextWith(`"<\u2028>"`), child.Next(1), b.Next(3), a.Next(1)}
	for i, c := range commits {
		must(t, s, c)
		what := fmt.Sprintf("what came with commit %d", i+1)
		wantFeed(t, what, all.mustRead(t, s), feedOf(c))
		wantFeed(t, what, end.mustRead(t, s), feedOf(c))
		wantFeed(t, what+", a second time", all.mustRead(t, s), nil)
		wantFeed(t, "the end", (&tail{FeedQuery: bide.FeedQuery{After: bide.FeedEnd}}).mustRead(t, s), nil)
	}
	must(t, s, commits[len(commits)-1]) // sent again
	wantError(t, "a commit that is behind", s.Commit(t.Context(), commits[1]), bide.ErrConflict)
	again := NewChain("c").Next(1)
	again.Starts = []*bide.Commit{NewChain("child").Next(1)} // it is there
	must(t, s, again, &bide.Commit{Send: []bide.Message{toRun("m", "a", "k")}})
	again.Starts = nil
	wantFeed(t, "what came after commits that were refused or there", all.mustRead(t, s), feedOf(again))
	for _, limit := range []int{0, 1, 2, 3, 7, 1000, 5000} {
		paged := &tail{FeedQuery: bide.FeedQuery{Limit: limit}}
		paged.mustRead(t, s)
		same(t, fmt.Sprintf("the feed by pages of %d", limit), paged.got, all.got)
	}
	for _, from := range all.got {
		rest := &tail{FeedQuery: bide.FeedQuery{After: from.Pos, Limit: 4}}
		rest.mustRead(t, s)
		i := slices.IndexFunc(all.got, func(r bide.FeedRecord) bool { return r.Pos == from.Pos })
		same(t, fmt.Sprintf("the feed after %d", from.Pos), rest.got, all.got[i+1:])
	}
}

func feedBounded(t *testing.T, s Store) {
	c := NewChain("run")
	var want []bide.FeedRecord
	for range 1300 / longestCommit {
		commit := c.Next(longestCommit)
		want = append(want, feedOf(commit)...)
		must(t, s, commit)
	}
	for _, limit := range []int{0, -1, 7, 1000, 5000} {
		q := bide.FeedQuery{Limit: limit}
		page, err := s.Feed(t.Context(), q)
		if err != nil {
			t.Fatalf("Feed = %v", err)
		}
		n, most := len(page.Records), bide.PageLimit(limit)
		if n == 0 || n > most+longestCommit || !page.More {
			t.Errorf("Feed with limit %d gives %d records (more: %v), want about %d and more", limit, n, page.More, most)
		}
		all := &tail{FeedQuery: q}
		wantFeed(t, "the feed", all.mustRead(t, s), want)
	}
}

// feedWhileCommitting lets many runs commit at once, each reading the feed after
// each of its commits, and others read all the time: all must see the same.
func feedWhileCommitting(t *testing.T, s Store) {
	const runs, commits, readers = 5, 25, 2
	tails := make([]*tail, runs+readers)
	made := make([][]*bide.Commit, runs)
	var committing, reading sync.WaitGroup
	over := make(chan struct{})
	for i := range tails {
		tails[i] = &tail{FeedQuery: bide.FeedQuery{Limit: 1 + 20*i}}
	}
	for i := range runs {
		committing.Go(func() {
			c := NewChain(fmt.Sprintf("run-%d", i))
			for n := range commits {
				commit := c.Next(1 + n%3)
				if n%5 == 0 {
					child := NewChain(fmt.Sprintf("%s-%d", c.Info.ID, n))
					child.Info.Parent, child.Info.Root = c.Info.ID, c.Info.ID
					commit.Starts = []*bide.Commit{child.Next(2)}
				}
				if err := s.Commit(t.Context(), commit); err != nil {
					t.Errorf("Commit = %v", err)
					return
				}
				made[i] = append(made[i], commit)
				fresh, err := tails[i].read(t.Context(), s)
				if err != nil {
					t.Error(err)
					return
				}
				mine := slices.DeleteFunc(slices.Clone(fresh), func(r bide.FeedRecord) bool {
					return r.RunID != c.Info.ID && (commit.Starts == nil || r.RunID != commit.Starts[0].RunID)
				})
				wantFeed(t, "what is in the feed of a commit that was acknowledged", mine, feedOf(commit))
			}
		})
	}
	for i := range readers {
		reading.Go(func() {
			for {
				var last bool
				select {
				case <-over:
					last = true
				default:
				}
				if _, err := tails[runs+i].read(t.Context(), s); err != nil {
					t.Error(err)
					return
				}
				if last {
					return
				}
			}
		})
	}
	committing.Wait()
	close(over)
	reading.Wait()
	if t.Failed() {
		return
	}
	afterwards := &tail{}
	afterwards.mustRead(t, s)
	for i, f := range tails {
		f.mustRead(t, s)
		same(t, fmt.Sprintf("what reader %d saw while commits were made", i), f.got, afterwards.got)
	}
	for i := range runs {
		root := &tail{FeedQuery: bide.FeedQuery{Root: fmt.Sprintf("run-%d", i)}}
		wantFeed(t, "the feed of "+root.Root, root.mustRead(t, s), feedOf(made[i]...))
	}
}

func feedAfterDeletion(t *testing.T, s Store) {
	keep, gone := NewChain("keep"), NewChain("gone")
	first, second := keep.Next(2), keep.Next(1)
	must(t, s, first, gone.Next(2), second, step(gone, bide.StatusCompleted, 0))
	all, before := &tail{}, &tail{}
	all.mustRead(t, s)
	if page, err := s.Feed(t.Context(), bide.FeedQuery{Limit: 1}); err != nil {
		t.Fatalf("Feed = %v", err)
	} else {
		before.After = page.Next
	}
	must(t, s, &bide.Commit{RunID: "gone", Expect: gone.Info.Position(), Delete: true})
	left := slices.DeleteFunc(slices.Clone(all.got), func(r bide.FeedRecord) bool { return r.RunID == "gone" })
	rest := &tail{}
	same(t, "the feed after a run was deleted", rest.mustRead(t, s), left)
	before.mustRead(t, s)
	end := &tail{FeedQuery: bide.FeedQuery{After: bide.FeedEnd}}
	end.mustRead(t, s)
	again, third := NewChain("gone").Next(1), keep.Next(1)
	must(t, s, again, third)
	for what, f := range map[string]*tail{
		"a reader that had read what was deleted": all, "one that had not": rest, "one in between": before, "one from the end": end,
	} {
		wantFeed(t, "what comes after a deletion to "+what, f.mustRead(t, s), feedOf(again, third))
	}
	must(t, s, &bide.Commit{RunID: "keep", Expect: keep.Info.Position(), Delete: true})
	wantFeed(t, "the feed of what is left", (&tail{}).mustRead(t, s), feedOf(again))
}

func feedOfTree(t *testing.T, s Store) {
	in := func(root, id string) *Chain {
		c := NewChain(id)
		c.Info.Root = root
		return c
	}
	a, a1, a2, b, b1 := in("a", "a"), in("a", "a1"), in("a", "a2"), in("b", "b"), in("b", "b1")
	var ofA []*bide.Commit
	for i := range 40 { // others in front
		must(t, s, NewChain(fmt.Sprint("x", i)).Next(3))
	}
	for range 5 {
		for _, c := range []*Chain{a, b, a1, b1, a2} {
			commit := c.Next(2)
			if c.Info.Root == "a" {
				ofA = append(ofA, commit)
			}
			must(t, s, commit)
		}
	}
	for i := range 40 {
		must(t, s, NewChain(fmt.Sprint("y", i)).Next(3))
	}
	end := &tail{FeedQuery: bide.FeedQuery{After: bide.FeedEnd}}
	end.mustRead(t, s)
	var tails []*tail
	for _, limit := range []int{0, 1, 7, 1000} {
		f := &tail{FeedQuery: bide.FeedQuery{Root: "a", Limit: limit}}
		wantFeed(t, fmt.Sprintf("the feed of a tree by pages of %d", limit), f.mustRead(t, s), feedOf(ofA...))
		tails = append(tails, f, &tail{FeedQuery: bide.FeedQuery{Root: "a", Limit: limit, After: end.After}})
	}
	wantFeed(t, "the feed of a child", (&tail{FeedQuery: bide.FeedQuery{Root: "a1"}}).mustRead(t, s), nil)
	wantFeed(t, "the feed of no run", (&tail{FeedQuery: bide.FeedQuery{Root: "A"}}).mustRead(t, s), nil)
	late := in("a", "late").Next(1)
	must(t, s, late, b.Next(1))
	for _, f := range tails {
		wantFeed(t, "what comes later of a tree", f.mustRead(t, s), feedOf(late))
	}
}

// feedWhileDeleting lets runs begin, end and be deleted while others read the
// feed: of the runs that stay nothing may be missing or come twice.
func feedWhileDeleting(t *testing.T, s Store) {
	const deleters, deleted, kept = 3, 12, 40
	keep := NewChain("keep")
	var want []bide.FeedRecord
	var writing, reading sync.WaitGroup
	over := make(chan struct{})
	for i := range deleters {
		writing.Go(func() {
			for n := range deleted {
				c := NewChain(fmt.Sprintf("gone-%d-%d", i, n%3)) // ids come again
				for _, commit := range []*bide.Commit{c.Next(2), step(c, bide.StatusCompleted, 0), {RunID: c.Info.ID, Expect: c.Info.Position(), Delete: true}} {
					if err := s.Commit(t.Context(), commit); err != nil {
						t.Errorf("Commit = %v", err)
						return
					}
				}
			}
		})
	}
	writing.Go(func() {
		for range kept {
			commit := keep.Next(1)
			want = append(want, feedOf(commit)...)
			if err := s.Commit(t.Context(), commit); err != nil {
				t.Errorf("Commit = %v", err)
				return
			}
		}
	})
	tails := []*tail{{FeedQuery: bide.FeedQuery{Limit: 3}}, {FeedQuery: bide.FeedQuery{Limit: 50}}, {FeedQuery: bide.FeedQuery{Root: "keep"}}}
	for _, f := range tails {
		reading.Go(func() {
			for last := false; !last; {
				select {
				case <-over:
					last = true
				default:
				}
				if _, err := f.read(t.Context(), s); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(over)
	reading.Wait()
	for i, f := range tails {
		got := slices.DeleteFunc(slices.Clone(f.got), func(r bide.FeedRecord) bool { return r.RunID != "keep" })
		wantFeed(t, fmt.Sprintf("what reader %d saw of the run that stays", i), got, want)
	}
	wantFeed(t, "the feed when all others are gone", (&tail{}).mustRead(t, s), want)
}
