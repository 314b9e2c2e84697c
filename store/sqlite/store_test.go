package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.RunDurable(t, func(t *testing.T, dir string) bide.Store {
		path := filepath.Join(dir, "bide.db")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			write(t, path, newStore())
		}
		return open(t, path, nil)
	})
}
