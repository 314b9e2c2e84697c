package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
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

// childEnv tells the test binary to be the process that is killed, and names its file.
const childEnv = "BIDE_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := commitForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitForever commits to several runs and prints every position that was acknowledged.
func commitForever(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range 8 {
		go func() { failed <- commitRun(ctx, s, fmt.Sprintf("run-%d-%d", os.Getpid(), i)) }()
	}
	return <-failed
}

func commitRun(ctx context.Context, s *sqlite.Store, id string) error {
	c := storetest.NewChain(id)
	for n := 0; ; n++ {
		commit := c.Next(1 + n%3)
		if err := s.Commit(ctx, commit); err != nil {
			return err
		}
		if _, err := fmt.Printf("%s %d %s\n", id, commit.Info.Seq, commit.Info.Head); err != nil {
			return err
		}
	}
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	atLeast := map[string]bide.Position{}
	for range 3 { // kills, one after the other, of the same file
		for id, at := range killed(t, path, 400) {
			atLeast[id] = at
		}
		s := open(t, path, nil)
		for id, want := range atLeast {
			got := verify(t, s, id)
			raws, err := s.Records(t.Context(), id, want.Seq, 1)
			if err != nil || len(raws) != 1 {
				t.Fatalf("run %s is at record %d, but record %d was acknowledged (%v)", id, got.Seq, want.Seq, err)
			}
			if rec, err := bide.ParseRecord(raws[0]); err != nil || rec.Hash != want.Head {
				t.Errorf("record %d of %s is not the one that was acknowledged (%v)", want.Seq, id, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

// killed starts a process that commits, kills it after a number of
// acknowledgements, and returns the last one of every run.
func killed(t *testing.T, path string, after int) map[string]bide.Position {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bide.Position{}
	lines := bufio.NewScanner(out)
	n := 0
	for ; lines.Scan(); n++ { // to the end: what was said before the kill counts
		var id, head string
		var at bide.Position
		if _, err := fmt.Sscan(lines.Text(), &id, &at.Seq, &head); err != nil {
			t.Fatalf("the child said %q: %v", lines.Text(), err)
		}
		if err := at.Head.UnmarshalText([]byte(head)); err != nil {
			t.Fatal(err)
		}
		acknowledged[id] = at
		if n == after {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	if n < after {
		t.Fatalf("the child ended by itself after %d commits: %s", n, stderr.String())
	}
	return acknowledged
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
