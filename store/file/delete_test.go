package file_test

import (
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/storetest"
)

func TestDelete(t *testing.T) {
	storetest.Delete(t, func(t *testing.T) bide.Store { return bide.Must(file.Open(t.Context(), t.TempDir(), nil)) })
}
