package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
)

func commitIsThere(t *testing.T, s Store) {
	c := NewChain("run")
	first, second := c.Next(3), c.Next(2)
	second.Command = &bide.CommandRecord{ID: "cmd", Fingerprint: bide.Hash{1, 2, 3}, Seq: 5}
	second.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}}
	must(t, s, first, second)
	same(t, "the store", contents(t, s), everything{
		Runs: []bide.RunInfo{second.Info}, Waits: second.Opened,
		Loaded:  []*bide.Stored{{Position: second.Info.Position(), Records: raws(first, second)}},
		Records: [][][]byte{raws(first, second)},
	})
	cmd, err := s.Command(t.Context(), "run", "cmd")
	if err != nil {
		t.Fatalf("Command = %v", err)
	}
	same(t, "the command", cmd, second.Command)
}

func conflictChangesNothing(t *testing.T, s Store) {
	c := NewChain("run")
	first := c.Next(2)
	first.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}}
	must(t, s, first)
	before := contents(t, s)
	at := first.Info.Position()

	spoil := func(expect bide.Position) *bide.Commit {
		other := NewChain("run")
		other.Info.Seq, other.Info.Head = expect.Seq, expect.Head
		other.Info.Status, other.Info.Node = bide.StatusFailed, "elsewhere"
		bad := other.NextWith(`"another"`)
		bad.Closed = []string{"run.1"}
		bad.Opened = []bide.Wait{{ID: "run.2", Kind: bide.WaitJob, CreatedAt: start}}
		bad.Command = &bide.CommandRecord{ID: "cmd", Seq: bad.Info.Seq}
		bad.Snapshot = []byte("{}")
		return bad
	}
	for _, test := range []struct {
		name   string
		expect bide.Position
	}{
		{"nothing", bide.Position{}},
		{"an earlier record", bide.Position{Seq: at.Seq - 1, Head: at.Head}},
		{"a later record", bide.Position{Seq: at.Seq + 1, Head: at.Head}},
		{"another record with the same number", bide.Position{Seq: at.Seq, Head: bide.Hash{9}}},
	} {
		wantError(t, "Commit after "+test.name, s.Commit(t.Context(), spoil(test.expect)), bide.ErrConflict)
		same(t, "the store after a conflict", contents(t, s), before)
		_, err := s.Command(t.Context(), "run", "cmd")
		wantError(t, "Command of a commit that was refused", err, bide.ErrNotFound)
	}
	missing := spoil(at)
	missing.RunID, missing.Info.ID = "missing", "missing"
	wantError(t, "Commit to a run that does not exist", s.Commit(t.Context(), missing), bide.ErrConflict)
	same(t, "the store after a conflict", contents(t, s), before)
	must(t, s, c.Next(1))
}

func sentAgain(t *testing.T, s Store) {
	c := NewChain("run")
	first := c.Next(2)
	first.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}}
	first.Command = &bide.CommandRecord{ID: "start", Seq: 2}
	must(t, s, first)
	before := contents(t, s)
	must(t, s, first, first)
	same(t, "the store after the first commit was sent again", contents(t, s), before)

	second := c.Next(2)
	second.Closed = []string{"run.1"}
	second.Opened = []bide.Wait{{ID: "run.2", Kind: bide.WaitJob, CreatedAt: start}}
	second.Snapshot = []byte(`{"a":1}`)
	must(t, s, second)
	before = contents(t, s)
	must(t, s, second, second)
	same(t, "the store after the second commit was sent again", contents(t, s), before)
}

func earlierSentAgain(t *testing.T, s Store) {
	c := NewChain("run")
	first, second, third := c.Next(1), c.Next(1), c.Next(1)
	must(t, s, first, second, third)
	before := contents(t, s)
	wantError(t, "Commit of the first commit again", s.Commit(t.Context(), first), bide.ErrConflict)
	wantError(t, "Commit of the second commit again", s.Commit(t.Context(), second), bide.ErrConflict)
	same(t, "the store", contents(t, s), before)
}

func recordsKeepEveryByte(t *testing.T, s Store) {
	texts := []string{
		`{"b":1,"a":2,"a ":3}`,                        // order of names
		`[1.0, 1e2,9007199254740993 , -0,1E400]`,      // numbers and spaces as written
		`"\u0041\u00e9\ud83d\ude00 é😀 \u0000\/ </>&"`, // escapes and their characters
		"\"\u2028\u2029\ufeff\u00a0\"",
		`"it's \"quoted\" ? :x @y $z %s \\"`,
		"{ \"a\" :\t[ ]\n}",
		`""`,
		`null`,
	}
	commit := NewChain("run").NextWith(texts...)
	must(t, s, commit)
	got, err := s.Records(t.Context(), "run", 1, 100)
	if err != nil {
		t.Fatalf("Records = %v", err)
	}
	for i, want := range raws(commit) {
		if i >= len(got) || string(got[i]) != string(want) {
			t.Errorf("record %d is %q, want %q", i+1, got[i:min(i+1, len(got))], want)
		}
	}
}

func largeRecord(t *testing.T, s Store) {
	c := NewChain("run")
	large := c.NextWith(`"`+strings.Repeat("0123456789", 500_000)+`"`, `"small"`)
	large.Snapshot = []byte(strings.Repeat("snapshot", 500_000))
	after := c.Next(1)
	must(t, s, large, after)
	got, err := s.Records(t.Context(), "run", 1, 10)
	if err != nil {
		t.Fatalf("Records = %v", err)
	}
	same(t, "the records", got, raws(large, after))
	stored, err := s.Load(t.Context(), "run", bide.Position{})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	same(t, "the snapshot", stored.Snapshot, large.Snapshot)
}

func callerOwnsCommit(t *testing.T, s Store) {
	c := NewChain("run")
	c.Info.Labels = map[string]string{"team": "a"}
	commit := c.Next(2)
	commit.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}, {ID: "run.2", Kind: bide.WaitJob, CreatedAt: start}}
	commit.Command = &bide.CommandRecord{ID: "cmd", Seq: 2}
	must(t, s, commit)
	before := contents(t, s)
	commit.Info.Labels["team"] = "b"
	commit.Info.Node = "elsewhere"
	commit.Records[0] = commit.Records[1]
	commit.Opened[0] = commit.Opened[1]
	commit.Command.Seq = 7
	same(t, "the store", contents(t, s), before)
	if cmd, err := s.Command(t.Context(), "run", "cmd"); err != nil || cmd.Seq != 2 {
		t.Errorf("Command = %v, %v, want record 2", cmd, err)
	}
}

func callerOwnsResults(t *testing.T, s Store) {
	c := NewChain("run")
	c.Info.Labels = map[string]string{"team": "a"}
	commit := c.Next(2)
	commit.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitQuestion, CreatedAt: start}}
	must(t, s, commit)
	before, spoilt := contents(t, s), contents(t, s)
	runs, err := s.Runs(t.Context(), bide.RunQuery{})
	if err != nil {
		t.Fatalf("Runs = %v", err)
	}
	runs.Runs[0].Labels["team"] = "b"
	runs.Runs[0].Node = "elsewhere"
	spoilt.Waits[0].ID = "other"
	spoilt.Records[0][0], spoilt.Loaded[0].Records[0] = nil, nil
	same(t, "the store", contents(t, s), before)
}

func oneWinner(t *testing.T, s Store) {
	const rivals = 8
	for round := range 10 {
		id := fmt.Sprintf("run-%d", round)
		base := NewChain(id)
		if round%2 == 1 { // else they start the run
			must(t, s, base.Next(1))
		}
		commits := make([]*bide.Commit, rivals)
		errs := make([]error, rivals)
		var all sync.WaitGroup
		for i := range rivals {
			mine := *base
			commits[i] = mine.NextWith(fmt.Sprintf(`"rival %d"`, i))
			all.Go(func() { errs[i] = s.Commit(t.Context(), commits[i]) })
		}
		all.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Errorf("rivals %d and %d were both told that they won", winner, i)
			case err == nil:
				winner = i
			default:
				wantError(t, "Commit of the others", err, bide.ErrConflict)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		stored, err := s.Load(t.Context(), id, bide.Position{})
		if err != nil {
			t.Fatalf("Load = %v", err)
		}
		same(t, "the position", stored.Position, commits[winner].Info.Position())
		same(t, "the last record", stored.Records[len(stored.Records)-1], commits[winner].Records[0].Raw)
	}
}

func manyRuns(t *testing.T, s Store) {
	const runs, commits = 50, 8
	var all sync.WaitGroup
	want := make([][][]byte, runs)
	for i := range runs {
		all.Go(func() {
			c := NewChain(fmt.Sprintf("run-%02d", i))
			for range commits {
				commit := c.Next(2)
				want[i] = append(want[i], raws(commit)...)
				if err := s.Commit(t.Context(), commit); err != nil {
					t.Errorf("Commit(%s) = %v", commit.RunID, err)
				}
			}
		})
	}
	all.Wait()
	for i := range runs {
		got, err := s.Records(t.Context(), fmt.Sprintf("run-%02d", i), 1, 100)
		if err != nil {
			t.Fatalf("Records = %v", err)
		}
		same(t, "the records", got, want[i])
	}
}

func cancelledContext(t *testing.T, s Store) {
	c := NewChain("run")
	must(t, s, c.Next(1))
	commit := c.Next(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context = %v, want context.Canceled", what, err)
		}
	}
	check("Commit", s.Commit(ctx, commit))
	_, err := s.Load(ctx, "run", bide.Position{})
	check("Load", err)
	_, err = s.Records(ctx, "run", 1, 1)
	check("Records", err)
	_, err = s.Command(ctx, "run", "cmd")
	check("Command", err)
	_, err = s.Runs(ctx, bide.RunQuery{})
	check("Runs", err)
	_, err = s.Waits(ctx, bide.WaitQuery{})
	check("Waits", err)
	_, err = s.Claim(ctx, query("w", 1))
	check("Claim", err)
	check("Heartbeat", s.Heartbeat(ctx, "w", today))
	check("Release", s.Release(ctx, "w", nil, false))
	check("SetAside", s.SetAside(ctx, "run", "x"))
	_, err = s.NextWake(ctx, today)
	check("NextWake", err)
	_, err = s.Feed(ctx, bide.FeedQuery{})
	check("Feed", err)
	_, err = s.PutDocument(ctx, doc("a", 0, "1"))
	check("PutDocument", err)
	_, err = s.Document(ctx, "flow", "a")
	check("Document", err)
	_, err = s.Documents(ctx, bide.DocumentQuery{Kind: "flow"})
	check("Documents", err)
	check("DeleteDocument", s.DeleteDocument(ctx, "flow", "a", 1))
	must(t, s, commit) // the outcome is unknown: sent again it is accepted
	got, err := s.Records(t.Context(), "run", 1, 10)
	if err != nil || len(got) != 2 {
		t.Errorf("Records = %d records, %v, want 2", len(got), err)
	}
}
