package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

// open opens a store for a test, which closes it.
func open(t *testing.T, path string, opts *sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatalf("Open(%s) = %v", path, err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) bide.Store {
		return open(t, filepath.Join(dir, "bide.db"), nil)
	})
}
