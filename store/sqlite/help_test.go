package sqlite_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
)

// open opens a store; the test or its end closes it.
func open(t testing.TB, path string, opts *sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatalf("Open(%s) = %v", path, err)
	}
	t.Cleanup(func() { s.Close() }) // some tests have closed it
	return s
}

// openFaulty opens a new store on a disk that can be disturbed.
func openFaulty(t testing.TB, opts sqlite.Options) (*sqlite.Store, *faultvfs.FS, string) {
	t.Helper()
	fs := faultvfs.Register()
	t.Cleanup(fs.Unregister)
	opts.VFS = fs.Name()
	path := dbPath(t)
	write(t, path, newStore())
	s := open(t, path, &opts)
	t.Cleanup(func() { fs.Hook(nil) }) // before the store is closed
	return s, fs, path
}

// newStore is the file of a store that nothing was written to. To copy it takes
// much less than to create another, above all with the race detector.
var newStore = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "bide")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "bide.db")
	s, err := sqlite.Open(context.Background(), path, nil)
	if err != nil {
		panic(err)
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return file
})

func dbPath(t testing.TB) string { return filepath.Join(t.TempDir(), "bide.db") }

// connect opens a connection of another application.
func connect(t testing.TB, path string) *sqlite3.Conn {
	t.Helper()
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func run(t testing.TB, conn *sqlite3.Conn, sql string) {
	t.Helper()
	if err := conn.Exec(sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// runOn runs SQL as another application that opens and closes the file.
func runOn(t testing.TB, path, sql string) {
	t.Helper()
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	run(t, conn, sql)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// must commits, and ends the test when that fails.
func must(t testing.TB, s bide.Store, commits ...*bide.Commit) {
	t.Helper()
	for _, c := range commits {
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatalf("Commit(%s, to record %d) = %v", c.RunID, c.Info.Seq, err)
		}
	}
}

// wantPosition checks where a run is, and that its records are a chain up to there.
func wantPosition(t testing.TB, s bide.Store, id string, want bide.Position) {
	t.Helper()
	if got := verify(t, s, id); got != want {
		t.Errorf("run %s is at record %d (%s), want %d (%s)", id, got.Seq, got.Head, want.Seq, want.Head)
	}
}

// verify checks that a run's records are a chain that ends where its row says,
// and returns that place; the zero Position when there is no such run.
func verify(t testing.TB, s bide.Store, id string) (at bide.Position) {
	t.Helper()
	stored, err := s.Load(t.Context(), id, bide.Position{})
	if code(err) == bide.CodeNotFound {
		return at
	}
	if err != nil {
		t.Fatalf("Load(%s) = %v", id, err)
	}
	for _, raw := range stored.Records {
		rec, err := bide.ParseRecord(raw)
		if err != nil || rec.Seq != at.Seq+1 || rec.Prev != at.Head {
			t.Fatalf("record %d of %s does not follow record %d: %v", rec.Seq, id, at.Seq, err)
		}
		at = bide.Position{Seq: rec.Seq, Head: rec.Hash}
	}
	if at != stored.Position {
		t.Fatalf("the records of %s end at %d, its row says %d", id, at.Seq, stored.Seq)
	}
	return at
}

// code is the code of an error, if it has one.
func code(err error) bide.Code {
	var e *bide.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// wantFailure checks that an error has a code and names the file.
func wantFailure(t testing.TB, what string, err error, want bide.Code, path string) {
	t.Helper()
	if err == nil || code(err) != want {
		t.Errorf("%s = %v (code %q), want code %q", what, err, code(err), want)
		return
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("%s = %v, which does not name %s", what, err, path)
	}
}

// queued waits until n commits are in the queue.
func queued(s *sqlite.Store, n int) {
	for s.Queued() < n {
		runtime.Gosched()
	}
}

// held makes the next flush wait until release is called; entered is closed when it has begun.
func held(fs *faultvfs.FS) (entered <-chan struct{}, release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	first := true
	fs.Hook(func(op faultvfs.Op, _ string) error { // only the committer flushes
		if op == faultvfs.OpSync && first {
			first = false
			close(in)
			<-out
		}
		return nil
	})
	return in, func() { close(out) }
}

// noise is text of n characters without repeats, another one for each seed.
func noise(seed uint64, n int) string {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)[:n]
}
