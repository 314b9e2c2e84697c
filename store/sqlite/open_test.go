package sqlite_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

func TestAFileThatIsSomethingElseIsLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
	}{
		{"a few characters", func(t *testing.T, path string) { write(t, path, []byte("hello")) }},
		{"a text", func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("a line of text\n"), 1000)) }},
		{"a database with tables", func(t *testing.T, path string) {
			runOn(t, path, "CREATE TABLE runs (id INTEGER); INSERT INTO runs VALUES (1)")
		}},
		{"a database with a log", func(t *testing.T, path string) {
			runOn(t, path, "PRAGMA journal_mode = wal; CREATE TABLE notes (id INTEGER)")
		}},
		{"an empty database with another mark", func(t *testing.T, path string) {
			runOn(t, path, "PRAGMA application_id = 77; VACUUM")
		}},
		{"an empty database with a version", func(t *testing.T, path string) {
			runOn(t, path, "PRAGMA user_version = 1; VACUUM")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := dbPath(t)
			test.make(t, path)
			before := read(t, path)
			_, err := sqlite.Open(t.Context(), path, nil)
			wantFailure(t, "Open", err, bide.CodeStoreForeign, path)
			if !bytes.Equal(read(t, path), before) {
				t.Error("Open changed the file")
			}
		})
	}
}

func TestAStoreOfANewerVersionIsRefused(t *testing.T) {
	path := dbPath(t)
	s := open(t, path, nil)
	must(t, s, storetest.NewChain("run").Next(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	runOn(t, path, "PRAGMA user_version = 99")
	before := read(t, path)
	_, err := sqlite.Open(t.Context(), path, nil)
	wantFailure(t, "Open", err, bide.CodeStoreTooNew, path)
	layouts, _ := filepath.Glob("migrations/*.sql")
	if err == nil || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), fmt.Sprint("up to ", len(layouts))) {
		t.Errorf("Open = %v, which does not name both versions", err)
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("Open changed the file")
	}
}

func TestAStoreThatWasCutOffIsDamaged(t *testing.T) {
	path := dbPath(t)
	s := open(t, path, nil)
	must(t, s, storetest.NewChain("run").Next(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{100_000, 8192, 50} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		before := read(t, path)
		for _, opts := range []*sqlite.Options{nil, {ReadOnly: true}} {
			_, err := sqlite.Open(t.Context(), path, opts)
			wantFailure(t, "Open", err, bide.CodeCorrupt, path)
		}
		if !bytes.Equal(read(t, path), before) {
			t.Error("Open changed the file")
		}
	}
}

func TestAnEmptyFileBecomesAStore(t *testing.T) {
	for name, make := range map[string]func(path string){
		"no bytes":          func(path string) { write(t, path, nil) },
		"an empty database": func(path string) { runOn(t, path, "PRAGMA journal_mode = wal") },
	} {
		t.Run(name, func(t *testing.T) {
			path := dbPath(t)
			make(path)
			must(t, open(t, path, nil), storetest.NewChain("run").Next(1))
		})
	}
}

func TestManyProcessesMayCreateAStoreAtOnce(t *testing.T) {
	path := dbPath(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			s, err := sqlite.Open(t.Context(), path, nil)
			if err != nil {
				t.Errorf("Open = %v", err)
				return
			}
			defer s.Close()
			if err := s.Commit(t.Context(), storetest.NewChain(string(rune('a'+i))).Next(1)); err != nil {
				t.Errorf("Commit = %v", err)
			}
		})
	}
	all.Wait()
	page, err := open(t, path, nil).Runs(t.Context(), bide.RunQuery{})
	if err != nil || len(page.Runs) != 6 {
		t.Errorf("Runs = %d runs, %v, want 6", len(page.Runs), err)
	}
}

func TestAPathThatCannotBeAStoreIsExplained(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		path string
		opts *sqlite.Options
		code bide.Code
		say  string
	}{
		{"", nil, bide.CodeInvalidInput, "store/mem"},
		{":memory:", nil, bide.CodeInvalidInput, "store/mem"},
		{dir, nil, bide.CodeStoreForeign, dir + " is a directory"},
		{filepath.Join(dir, "missing", "bide.db"), nil, "", "directory exists"},
		{filepath.Join(dir, "missing.db"), &sqlite.Options{ReadOnly: true}, "", "missing.db"},
		{filepath.Join(dir, "bide.db"), &sqlite.Options{Durability: "none"}, bide.CodeInvalidInput, `"full"`},
	} {
		_, err := sqlite.Open(t.Context(), test.path, test.opts)
		if err == nil || code(err) != test.code || !strings.Contains(err.Error(), test.say) {
			t.Errorf("Open(%q) = %v (code %q), want code %q and mention of %s", test.path, err, code(err), test.code, test.say)
		}
	}
}

func TestAnyPathWillDo(t *testing.T) {
	for _, name := range []string{"with space.db", "ünïcode.db", "100%25?mode=memory#x&y.db", "no-extension"} {
		path := filepath.Join(t.TempDir(), name)
		must(t, open(t, path, nil), storetest.NewChain("run").Next(1))
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestAStoreOpenedForReading(t *testing.T) {
	path := dbPath(t)
	writable := open(t, path, nil)
	c := storetest.NewChain("run")
	first, second := c.Next(2), c.Next(1)
	must(t, writable, first)
	for _, beside := range []bool{true, false} { // the writer
		if !beside {
			if err := writable.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, path, &sqlite.Options{ReadOnly: true})
		wantPosition(t, s, "run", first.Info.Position())
		wantFailure(t, "Commit", s.Commit(t.Context(), second), bide.CodeStoreReadOnly, path)
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if err := s.Commit(t.Context(), second); code(err) != bide.CodeStoreClosed {
			t.Errorf("Commit after Close = %v, want code %s", err, bide.CodeStoreClosed)
		}
	}
	empty := dbPath(t)
	runOn(t, empty, "PRAGMA journal_mode = wal")
	_, err := sqlite.Open(t.Context(), empty, &sqlite.Options{ReadOnly: true})
	wantFailure(t, "Open of a store to be migrated", err, bide.CodeStoreReadOnly, empty)
}

func TestAStoreThatIsLockedWhenOpened(t *testing.T) {
	path := dbPath(t)
	other := connect(t, path)
	run(t, other, "BEGIN EXCLUSIVE; CREATE TABLE t (x)") // not yet a store
	_, err := sqlite.Open(t.Context(), path, &sqlite.Options{BusyTimeout: 20 * time.Millisecond})
	wantFailure(t, "Open", err, bide.CodeStoreLocked, path)
	run(t, other, "ROLLBACK")
	must(t, open(t, path, nil), storetest.NewChain("run").Next(1))
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
