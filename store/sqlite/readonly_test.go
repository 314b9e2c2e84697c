//go:build unix

package sqlite_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
	"github.com/bide-dev/bide/storetest"
)

var reading = &sqlite.Options{ReadOnly: true}

// stores are what a process may leave of a store with a run of three records.
var stores = []struct {
	name  string
	files []string // of those of a store that is open; nil means that it was closed
}{
	{"closed", nil},
	{"killed", []string{"", "-wal", "-shm"}},
	{"copied with its log", []string{"", "-wal"}},
}

// left makes a store of which a process has left what stores says, and returns where its run is.
func left(t *testing.T, path string, files []string) bide.Position {
	t.Helper()
	first := dbPath(t)
	s := open(t, first, nil)
	c := storetest.NewChain("run")
	must(t, s, c.Next(2))
	last := c.Next(1)
	must(t, s, last)
	if files == nil {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		files = []string{""}
	}
	for _, suffix := range files {
		write(t, path+suffix, read(t, first+suffix))
	}
	return last.Info.Position()
}

// contents are those of the files that hold a store.
func contents(t *testing.T, path string) string {
	t.Helper()
	log, err := os.ReadFile(path + "-wal")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(read(t, path)) + "|" + string(log)
}

// lookAround reads a store that was opened for reading in every way, and writes nothing.
func lookAround(t *testing.T, path string, want bide.Position) {
	t.Helper()
	before := contents(t, path)
	s := open(t, path, reading)
	wantPosition(t, s, "run", want)
	page, err := s.Runs(t.Context(), bide.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("Runs = %v, %v, want the run", page, err)
	}
	wantFailure(t, "Commit", s.Commit(t.Context(), storetest.NewChain("other").Next(1)), bide.CodeStoreReadOnly, path)
	_, err = s.PutDocument(t.Context(), bide.Document{Kind: "note", ID: "1", Body: bide.JSON("1")})
	wantFailure(t, "PutDocument", err, bide.CodeStoreReadOnly, path)
	wantFailure(t, "Compact", s.Compact(t.Context()), bide.CodeStoreReadOnly, path)
	copied := dbPath(t)
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Errorf("Backup = %v", err)
	} else {
		wantPosition(t, open(t, copied, nil), "run", want)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if contents(t, path) != before {
		t.Error("reading has changed the store")
	}
}

func TestAStoreInAFolderWithoutPermissionIsRead(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t) // permissions do not hold root back
		return
	}
	for _, test := range stores {
		t.Run(test.name, func(t *testing.T) {
			path := dbPath(t)
			want := left(t, path, test.files)
			protect(t, path)
			_, err := sqlite.Open(t.Context(), path, nil)
			wantFailure(t, "Open to write", err, bide.CodeStoreReadOnly, path)
			lookAround(t, path, want)
		})
	}
	t.Run("beside a process that writes", func(t *testing.T) {
		path := dbPath(t)
		writing := open(t, path, nil)
		c := storetest.NewChain("run")
		must(t, writing, c.Next(2))
		protect(t, path)
		s := open(t, path, reading)
		for range 3 {
			next := c.Next(1)
			must(t, writing, next)
			wantPosition(t, s, "run", next.Info.Position())
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		must(t, writing, c.Next(1))
	})
	t.Run("whose shared memory may not be read", func(t *testing.T) {
		path := dbPath(t)
		left(t, path, []string{"", "-wal", "-shm"})
		if err := os.Chmod(path+"-shm", 0); err != nil {
			t.Fatal(err)
		}
		_, err := sqlite.Open(t.Context(), path, reading)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "-shm") {
			t.Errorf("Open = %v, want an error that names the file and its shared memory", err)
		}
	})
	t.Run("of an older layout", func(t *testing.T) {
		path := dbPath(t)
		left(t, path, nil)
		runOn(t, path, "PRAGMA user_version = 1")
		protect(t, path)
		_, err := sqlite.Open(t.Context(), path, reading)
		wantFailure(t, "Open", err, bide.CodeStoreReadOnly, path)
		if err == nil || !strings.Contains(err.Error(), "layout 1") {
			t.Errorf("Open = %v, which does not name the layout", err)
		}
	})
}

// protect takes the permission to write from the files of a store and their folder, until the test ends.
func protect(t *testing.T, path string) {
	t.Helper()
	dir := strings.TrimSuffix(path, "/bide.db")
	for name, mode := range map[string]os.FileMode{path: 0o444, path + "-wal": 0o444, path + "-shm": 0o444, dir: 0o555} {
		if err := os.Chmod(name, mode); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	})
}

// withoutShared lets the shared memory of a store be impossible to make, as on a full disk, until the function that it returns is called.
func withoutShared(t *testing.T, path string) (again func()) {
	t.Helper()
	if err := os.Symlink("nowhere/at-all", path+"-shm"); err != nil { // SQLite follows no links
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path + "-shm"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStoreWithoutSharedMemoryIsRead(t *testing.T) {
	for _, test := range stores {
		if test.name == "killed" {
			continue // it has left some
		}
		t.Run(test.name, func(t *testing.T) {
			path := dbPath(t)
			want := left(t, path, test.files)
			withoutShared(t, path)
			lookAround(t, path, want)
		})
	}
}

// What is read without locks is given up as soon as somebody writes, and read again with them.
func TestWhoReadsAloneNoticesAWriter(t *testing.T) {
	for _, test := range stores {
		if test.name == "killed" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			path := dbPath(t)
			at := left(t, path, test.files)
			again := withoutShared(t, path)
			s := open(t, path, reading)
			wantPosition(t, s, "run", at)
			again()
			writing := open(t, path, nil)
			c := storetest.NewChain("other")
			for range 3 {
				next := c.Next(1)
				must(t, writing, next)
				wantPosition(t, s, "other", next.Info.Position())
				wantPosition(t, s, "run", at)
			}
		})
	}
}

func TestAReadThatAWriterCutsInOnIsAnError(t *testing.T) {
	fs := faultvfs.Register()
	t.Cleanup(fs.Unregister)
	path := dbPath(t)
	at := left(t, path, []string{"", "-wal"})
	again := withoutShared(t, path)
	s := open(t, path, &sqlite.Options{ReadOnly: true, VFS: fs.Name()})
	if _, err := s.Runs(t.Context(), bide.RunQuery{}); err != nil { // it has a connection, and has not looked at the ledger
		t.Fatal(err)
	}
	fs.Hook(func(faultvfs.Op, string) error {
		fs.Hook(nil)
		again()
		must(t, open(t, path, nil), storetest.NewChain("other").Next(1))
		return nil
	})
	_, err := s.Records(t.Context(), "run", 1, 10)
	wantFailure(t, "Records", err, bide.CodeStoreLocked, path)
	wantPosition(t, s, "run", at)
}

func TestATransactionThatWasCutOffIsNotPassedOver(t *testing.T) {
	path := dbPath(t)
	left(t, path, nil)
	write(t, path+"-journal", bytes.Repeat([]byte("x"), 512))
	withoutShared(t, path)
	if s, err := sqlite.Open(t.Context(), path, reading); err == nil {
		t.Errorf("Open = %v, want an error", s)
	}
}
