package postgres

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/storetest"
)

// partitioned makes the tables as docs/postgres-sharding.md says.
func partitioned(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	run := func(sql string) {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run("DROP SCHEMA IF EXISTS bide CASCADE; CREATE SCHEMA bide; SET search_path = bide")
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`CREATE TABLE IF NOT EXISTS (\w+)`)
	for _, name := range files {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for sql := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(string(text)), ";"), ";\n") {
			m := table.FindStringSubmatch(sql)
			if m == nil || slices.Contains([]string{"owners", "documents", "feed", "feed_new", "feed_end"}, m[1]) {
				run(sql)
				continue
			}
			by := map[bool]string{true: "mailbox", false: "run_id"}[m[1] == "mail" || m[1] == "broadcasts"]
			sql, filled := strings.CutSuffix(sql, " WITH (fillfactor = 70)")
			run(sql + " PARTITION BY HASH (" + by + ")")
			for i := range 3 {
				part := fmt.Sprintf("CREATE TABLE %s_%d PARTITION OF %[1]s FOR VALUES WITH (MODULUS 3, REMAINDER %[2]d)", m[1], i)
				if filled {
					part += " WITH (fillfactor = 70)"
				}
				run(part)
			}
		}
	}
	run(sqlSchemaRow)
	run(fmt.Sprintf("INSERT INTO bide_schema VALUES (1, %d, '', now())", len(files)))
}

func TestAStoreWorksOnPartitions(t *testing.T) {
	url := pgtest.Start(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	storetest.Run(t, func(t *testing.T) bide.Store {
		partitioned(t, conn)
		s, err := Open(t.Context(), url, nil)
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		return s
	})
}

// TestAStepTouchesNoIndex counts the updates of a run's row that PostgreSQL made
// within one page (HOT).
func TestAStepTouchesNoIndex(t *testing.T) {
	const steps = 200
	s, err := Open(t.Context(), pgtest.Start(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := storetest.NewChain("run")
	var fence int64
	for i := range steps + 1 {
		commit := c.Next(1)
		commit.Fence = fence
		if err := s.Commit(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			claims, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "w", Now: commit.Info.UpdatedAt, Limit: 1, Workflows: []bide.WorkflowVersion{{ID: "wf", Version: "1"}}})
			if err != nil || len(claims) != 1 {
				t.Fatalf("Claim = %v, %v", claims, err)
			}
			fence = claims[0].Fence
		}
	}
	if err := s.Close(); err != nil { // its connections report what they did
		t.Fatal(err)
	}
	s, err = Open(t.Context(), s.pool.Config().ConnString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all, hot int64
	for all <= steps {
		if err := s.pool.QueryRow(t.Context(), "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'runs'").Scan(&all, &hot); err != nil {
			t.Fatal(err)
		}
	}
	if hot < steps*9/10 {
		t.Errorf("%d of %d updates touched no index, want most", hot, all)
	}
}
