package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

func TestDelete(t *testing.T) {
	storetest.Delete(t, func(t *testing.T) bide.Store { return open(t, filepath.Join(t.TempDir(), "bide.db"), nil) })
}
