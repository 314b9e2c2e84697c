package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

func TestStore(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) bide.Store {
		return open(t, filepath.Join(dir, "bide.db"), nil)
	})
}
