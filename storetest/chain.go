package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bide-dev/bide"
)

// start is the time of the first record of every chain.
var start = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)

// Chain makes the commits of one run by hand, for the suite and for the tests
// that a store has of its own. Their records are a valid hash chain; what they
// say is nothing a store looks at.
type Chain struct {
	// Info is the run's row after the last commit. What is changed in it goes
	// into the next one.
	Info bide.RunInfo
}

// NewChain begins a run that no store has yet.
func NewChain(id string) *Chain {
	return &Chain{Info: bide.RunInfo{ID: id, Root: id, Workflow: "wf", Version: "1", Definition: "d", Status: bide.StatusRunning, CreatedAt: start}}
}

// Next makes the commit of a number of records after the last one.
func (c *Chain) Next(records int) *bide.Commit {
	data := make([]string, records)
	for i := range data {
		data[i] = `"` + c.Info.ID + `"`
	}
	return c.NextWith(data...)
}

// NextWith makes the commit of one record for every JSON text in data. It
// panics when one is not JSON.
func (c *Chain) NextWith(data ...string) *bide.Commit {
	out := &bide.Commit{RunID: c.Info.ID, Expect: c.Info.Position()}
	for _, d := range data {
		at := start.Add(time.Duration(c.Info.Seq) * time.Second)
		head, err := json.Marshal(bide.Record{Seq: c.Info.Seq + 1, Prev: c.Info.Head, At: at, Kind: bide.KindRunPaused})
		if err != nil {
			panic(err)
		}
		rec, err := bide.ParseRecord(fmt.Appendf(nil, `%s,"data":%s}`, head[:len(head)-1], d))
		if err != nil {
			panic(err)
		}
		out.Records = append(out.Records, rec)
		c.Info.Seq, c.Info.Head, c.Info.UpdatedAt = rec.Seq, rec.Hash, at
	}
	out.Info = c.Info
	return out
}

// raws are the texts of a commit's records.
func raws(commits ...*bide.Commit) (out [][]byte) {
	for _, c := range commits {
		for _, r := range c.Records {
			out = append(out, r.Raw)
		}
	}
	return out
}

// must commits, and ends the test when that fails.
func must(t *testing.T, s bide.Store, commits ...*bide.Commit) {
	t.Helper()
	for _, c := range commits {
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatalf("Commit(%s, records %d to %d) = %v", c.RunID, c.Expect.Seq+1, c.Info.Seq, err)
		}
	}
}

// wantError checks for an error with the code of a sentinel.
func wantError(t *testing.T, what string, got error, want *bide.Error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want an error with code %s", what, got, want.Code)
	}
}

// wholeTexts compares byte slices at once; byte by byte, large ones take long.
var wholeTexts = cmp.FilterValues(
	func(a, b []byte) bool { return len(a) > 0 || len(b) > 0 },
	cmp.Comparer(bytes.Equal),
)

// same checks that two values are equal; an empty list is as good as none.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), wholeTexts); diff != "" {
		t.Errorf("%s is not what it should be (-want +got):\n%s", what, diff)
	}
}

// everything is all that a store shows of some runs.
type everything struct {
	Runs    []bide.RunInfo
	Waits   []bide.Wait
	Loaded  []*bide.Stored
	Records [][][]byte
}

// contents reads all that a store shows of its runs.
func contents(t *testing.T, s bide.Store) (all everything) {
	t.Helper()
	ctx := t.Context()
	runs, err := s.Runs(ctx, bide.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatalf("Runs = %v", err)
	}
	waits, err := s.Waits(ctx, bide.WaitQuery{Limit: 1000})
	if err != nil {
		t.Fatalf("Waits = %v", err)
	}
	all.Runs, all.Waits = runs.Runs, waits.Waits
	for i, r := range runs.Runs {
		all.Runs[i].Labels = maps.Clone(r.Labels) // in case the store still has it
		stored, err := s.Load(ctx, r.ID, bide.Position{})
		if err != nil {
			t.Fatalf("Load(%s) = %v", r.ID, err)
		}
		records, err := s.Records(ctx, r.ID, 1, 1<<20)
		if err != nil {
			t.Fatalf("Records(%s) = %v", r.ID, err)
		}
		all.Loaded, all.Records = append(all.Loaded, stored), append(all.Records, records)
	}
	return all
}
