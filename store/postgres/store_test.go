package postgres_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestStore runs the conformance suite; a directory of it is a schema here.
func TestStore(t *testing.T) {
	url := pgtest.Start(t)
	storetest.RunDurable(t, func(t *testing.T, dir string) bide.Store {
		h := fnv.New64a()
		h.Write([]byte(dir))
		s, err := postgres.Open(t.Context(), url, &postgres.Options{Schema: fmt.Sprintf("bide_%x", h.Sum64())})
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		return s
	})
}
