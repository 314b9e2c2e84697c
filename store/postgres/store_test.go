package postgres_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestStore runs the conformance suite; a directory of it is a schema here.
func TestStore(t *testing.T) {
	url := pgtest.Start(t)
	dirs := &schemas{conn: connect(t, url), of: map[string]string{}}
	storetest.RunDurable(t, func(t *testing.T, dir string) bide.Store {
		s, err := postgres.Open(t.Context(), url, &postgres.Options{Schema: dirs.schema(t, dir)})
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		return s
	})
}

// schemas gives directories schemas. Those of tests that have ended are emptied
// and used again, which is faster than making tables.
type schemas struct {
	conn *pgx.Conn
	of   map[string]string // by directory
	free []string
	made int
}

func (s *schemas) schema(t *testing.T, dir string) string {
	t.Helper()
	if name := s.of[dir]; name != "" {
		return name
	}
	name := fmt.Sprintf("bide_%d", s.made)
	if n := len(s.free); n > 0 {
		name, s.free = s.free[n-1], s.free[:n-1]
		for _, table := range tables {
			run(t, s.conn, "DELETE FROM "+name+"."+table)
		}
	} else {
		s.made++
	}
	s.of[dir] = name
	t.Cleanup(func() { s.free = append(s.free, name) })
	return name
}
