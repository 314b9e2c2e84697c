package file_test

import (
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/storetest"
)

func TestStore(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) bide.Store { return open(t, dir, nil) })
}

func open(t testing.TB, dir string, opts *file.Options) *file.Store {
	t.Helper()
	s, err := file.Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatalf("Open(%s) = %v", dir, err)
	}
	t.Cleanup(func() { s.Close() }) // some tests have closed it
	return s
}
