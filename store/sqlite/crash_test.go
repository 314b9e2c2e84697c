package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(ctx context.Context, path string) (bide.Store, error) { return sqlite.Open(ctx, path, nil) })
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	told := map[string]bide.Position{}
	for range 3 { // kills, one after the other, of the same file
		maps.Copy(told, storetest.StartVictim(t, path).Kill(t, 400))
		s := open(t, path, nil)
		storetest.CheckTold(t, s, told)
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

func TestATornLogIsCutAtTheLastWholeCommit(t *testing.T) {
	t.Parallel()
	live := dbPath(t)
	s := open(t, live, nil)
	c := storetest.NewChain("run")
	positions := map[bide.Position]bool{{}: true}
	var ends []int // of the log after each commit
	for range 8 {
		commit := c.Next(3)
		must(t, s, commit)
		positions[commit.Info.Position()] = true
		ends = append(ends, len(read(t, live+"-wal")))
	}
	main, log := read(t, live), read(t, live+"-wal")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cuts := slices.Clone(ends)
	for _, end := range ends {
		cuts = append(cuts, end-1)
	}
	for cut := 0; cut <= len(log); cut += 1 + len(log)/20 {
		cuts = append(cuts, cut)
	}
	for _, cut := range cuts {
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
		}
		for name, torn := range map[string][]byte{
			"cut":     log[:cut],
			"zeroed":  append(bytes.Clone(log[:cut]), make([]byte, len(log)-cut)...),
			"garbled": append(bytes.Clone(log[:cut]), bytes.Repeat([]byte{0xa5}, len(log)-cut)...),
		} {
			path := filepath.Join(t.TempDir(), "bide.db")
			write(t, path, main)
			write(t, path+"-wal", torn)
			s := open(t, path, nil)
			at := verify(t, s, "run")
			if !positions[at] || at.Seq < int64(3*whole) {
				t.Errorf("log %s at byte %d: the run is at record %d, want at least %d", name, cut, at.Seq, 3*whole)
			}
			must(t, s, storetest.NewChain("another").Next(1))
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
	}
}

// TestACommitFoundInTheLogIsFlushedBeforeItCounts: a process died between
// writing a commit and flushing it. The next one finds it in the log, and must
// not acknowledge it, when it is sent again, before it has reached the disk.
func TestACommitFoundInTheLogIsFlushedBeforeItCounts(t *testing.T) {
	s, fs, dying := openFaulty(t, sqlite.Options{})
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	fs.Fail(sqlite3.IOERR_FSYNC, faultvfs.OpSync)
	unflushed := c.Next(1)
	wantFailure(t, "Commit", s.Commit(t.Context(), unflushed), "", dying)

	left := dbPath(t)
	write(t, left, read(t, dying))
	write(t, left+"-wal", read(t, dying+"-wal"))
	next := faultvfs.Register()
	t.Cleanup(next.Unregister)
	s = open(t, left, &sqlite.Options{VFS: next.Name()})
	wantPosition(t, s, "run", unflushed.Info.Position())
	must(t, s, unflushed)
	if next.Syncs() == 0 {
		t.Error("the commit was acknowledged without a flush")
	}
}

func TestADamagedPageIsFound(t *testing.T) {
	path := dbPath(t)
	s := open(t, path, nil)
	var chains []*bide.Commit
	for i := range 30 {
		c := storetest.NewChain(fmt.Sprintf("run-%d", i)).NextWith(`"`+strings.Repeat("x", 3000)+`"`, `"more"`)
		must(t, s, c)
		chains = append(chains, c)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const page = 4096
	file := read(t, path)
	for at := page; at+page <= len(file); at += page {
		if bytes.Contains(file[at:at+page], []byte("CREATE ")) {
			continue // the schema
		}
		copy(file[at:], bytes.Repeat([]byte{0x5a}, page))
	}
	write(t, path, file)
	s = open(t, path, nil)
	_, err := s.Records(t.Context(), "run-7", 1, 10)
	wantFailure(t, "Records", err, bide.CodeCorrupt, path)
	_, err = s.Runs(t.Context(), bide.RunQuery{})
	wantFailure(t, "Runs", err, bide.CodeCorrupt, path)
	wantFailure(t, "Commit", s.Commit(t.Context(), chains[0]), bide.CodeCorrupt, path)
	wantFailure(t, "Commit", s.Commit(t.Context(), storetest.NewChain("new").Next(1)), bide.CodeCorrupt, path)
}
