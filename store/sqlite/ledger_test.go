package sqlite_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

// wantRecords checks that any part of a run's ledger can be read, and all of it from the feed.
func wantRecords(t *testing.T, s bide.Store, id string, want [][]byte) {
	t.Helper()
	for from := range want {
		for _, n := range []int{1, 2, 3, 7, len(want)} {
			got, err := s.Records(t.Context(), id, int64(from+1), n)
			if err != nil || !equal(got, want[from:min(from+n, len(want))]) {
				t.Fatalf("Records(%s, %d, %d) = %d records, %v, want those written", id, from+1, n, len(got), err)
			}
		}
		stored, err := s.Load(t.Context(), id, bide.Position{Seq: int64(from + 1)})
		if err != nil || !equal(stored.Records, want[from+1:]) {
			t.Fatalf("Load(%s) from record %d on = %d records, %v, want those written", id, from+1, len(stored.Records), err)
		}
	}
	var fed []bide.FeedRecord
	for after, more := int64(0), true; more; {
		page, err := s.Feed(t.Context(), bide.FeedQuery{After: after, Root: id})
		if err != nil {
			t.Fatal(err)
		}
		fed, after, more = append(fed, page.Records...), page.Next, page.More
	}
	for i, r := range fed {
		page, err := s.Feed(t.Context(), bide.FeedQuery{After: r.Pos - 1, Root: id, Limit: 1})
		if err != nil || i >= len(want) || len(page.Records) == 0 || page.Records[0].Pos != r.Pos || !bytes.Equal(page.Records[0].Body, want[i]) {
			t.Fatalf("Feed before position %d does not begin with record %d of %s (%v)", r.Pos, i+1, id, err)
		}
	}
	if len(fed) != len(want) {
		t.Errorf("the feed has %d records of %s, want %d", len(fed), id, len(want))
	}
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func texts(commits ...*bide.Commit) (out [][]byte) {
	for _, c := range commits {
		for _, r := range c.Records {
			out = append(out, r.Raw)
		}
	}
	return out
}

func TestRecordsComeBackAsWritten(t *testing.T) {
	s := open(t, dbPath(t), nil)
	text := func(size int) string { return `"` + strings.Repeat("x", size) + `"` }
	lines := "{\n  \"a\": 1\n}"
	c, other := storetest.NewChain("run"), storetest.NewChain("other")
	var commits []*bide.Commit
	for _, data := range [][]string{
		{"1"},
		{"1", "2", "3"},
		{lines},
		{lines, lines},
		{"1", lines, "2", "3", lines},
		{text(30_000), text(30_000), text(30_000), "4"},
		{"1", text(200_000), "3"},
		{text(65_536), "2", text(65_200), "4", text(65_536)},
		strings.Split(strings.Repeat("1 ", 40)+"1", " "),
	} {
		commit := c.NextWith(data...)
		must(t, s, commit, other.Next(2))
		commits = append(commits, commit)
	}
	wantRecords(t, s, "run", texts(commits...))
	wantPosition(t, s, "run", c.Info.Position())
}

// A record of more than half a page must not take a whole one, not even one that repeats nothing.
func TestAConversationTakesLessThanItsRecords(t *testing.T) {
	path := dbPath(t)
	s := open(t, path, nil)
	c := storetest.NewChain("run")
	size := 0
	for i := range uint64(200) {
		turn := c.NextWith(`"`+noise(2*i, 2300)+`"`, `"`+noise(2*i+1, 2200)+`"`, `"`+strings.Repeat("z", 250)+`"`)
		must(t, s, turn)
		for _, r := range turn.Records {
			size += len(r.Raw)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := len(read(t, path)) - len(newStore()); took > size*9/10 {
		t.Errorf("200 turns with records of %d bytes take %d bytes of the file, want at most 0.9 times that", size, took)
	}
}

// TestOneRecordOfManyIsReadAlone: but for those it shares a row with.
func TestOneRecordOfManyIsReadAlone(t *testing.T) {
	s, fs, _ := openFaulty(t, sqlite.Options{Readers: 1})
	c := storetest.NewChain("run")
	data := make([]string, 20_000)
	for i := range data {
		data[i] = fmt.Sprint(i)
	}
	commit := c.NextWith(data...)
	must(t, s, commit)
	var reads atomic.Int64
	fs.Hook(func(op faultvfs.Op, _ string) error {
		if op == faultvfs.OpRead {
			reads.Add(1)
		}
		return nil
	})
	got, err := s.Records(t.Context(), "run", 10_000, 1)
	if err != nil || len(got) != 1 || !bytes.Equal(got[0], commit.Records[9_999].Raw) {
		t.Fatalf("Records = %d records, %v, want record 10,000", len(got), err)
	}
	if n := reads.Load(); n == 0 || n > 64 {
		t.Errorf("one of 20,000 records took %d reads of the disk, want at most 64", n)
	}
}

func TestARowWithAnotherNumberOfRecordsIsDamaged(t *testing.T) {
	for _, records := range []int{0, 2, 4} {
		path := dbPath(t)
		s := open(t, path, nil)
		must(t, s, storetest.NewChain("run").Next(3))
		runOn(t, path, fmt.Sprint("UPDATE ledger SET records = ", records))
		_, err := s.Records(t.Context(), "run", 1, 3)
		if code(err) != bide.CodeCorrupt {
			t.Errorf("Records of a row of 3 that says %d = %v, want code %s", records, err, bide.CodeCorrupt)
		}
		_, err = s.Feed(t.Context(), bide.FeedQuery{})
		if code(err) != bide.CodeCorrupt {
			t.Errorf("Feed of a row of 3 that says %d = %v, want code %s", records, err, bide.CodeCorrupt)
		}
	}
}

func TestAPackedRowThatWasChangedIsDamaged(t *testing.T) {
	for name, packed := range map[string]string{"no frame": "x'00'", "cut": "substr(packed, 1, length(packed) - 1)", "gone": "NULL"} {
		path := dbPath(t)
		s := open(t, path, nil)
		must(t, s, storetest.NewChain("run").NextWith(`"`+noise(0, 4096)+`"`))
		runOn(t, path, "UPDATE ledger SET packed = "+packed)
		// Without a frame there is an empty text, which is for whoever reads records to refuse.
		records, err := s.Records(t.Context(), "run", 1, 1)
		if err == nil {
			_, err = bide.ParseRecord(records[0])
		}
		if code(err) != bide.CodeCorrupt {
			t.Errorf("%s: %v, want code %s", name, err, bide.CodeCorrupt)
		}
	}
}
