package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// The raw limit is of no use when it is of fewer rows than the store writes.
func TestRawWritesEveryRow(t *testing.T) {
	ctx := t.Context()
	const runs = 20
	commits, err := record(ctx, runs, 4)
	if err != nil {
		t.Fatal(err)
	}
	records, size := 0, 0
	for _, c := range commits {
		records += len(c.Records)
		text, err := lines(c)
		if err != nil {
			t.Fatal(err)
		}
		size += len(text)
	}
	for name, p := range map[string]*bench.Place{
		"memory":     {Store: bench.Memory},
		"file":       {Store: bench.File, Dir: t.TempDir()},
		"sqlite":     {Store: bench.SQLite, Dir: t.TempDir(), Durability: "synchronous=FULL"},
		"postgresql": {Store: bench.Postgres, URL: pgtest.Start(t)},
	} {
		if took, err := raw(ctx, p, commits, 7); err != nil || took <= 0 {
			t.Errorf("%s: raw() = %v, %v", name, took, err)
			continue
		}
		switch p.Store {
		case bench.File:
			text, err := os.ReadFile(filepath.Join(p.Dir, "raw"))
			if err != nil || len(text) != size || text[len(text)-1] != '\n' {
				t.Errorf("%s: %d bytes, %v, want %d", name, len(text), err, size)
			}
		case bench.SQLite:
			gotRuns, gotRecords := countSQLite(t, filepath.Join(p.Dir, "raw.db"))
			check(t, name, gotRuns, gotRecords, runs, records)
		case bench.Postgres:
			gotRuns, gotRecords := countPostgres(t, ctx, p.URL)
			check(t, name, gotRuns, gotRecords, runs, records)
		}
	}
}

func check(t *testing.T, name string, gotRuns, gotRecords, runs, records int) {
	t.Helper()
	if gotRuns != runs || gotRecords != records {
		t.Errorf("%s has %d runs and %d records, want %d and %d", name, gotRuns, gotRecords, runs, records)
	}
}

const sqlCount = `SELECT (SELECT count(*) FROM runs WHERE status = 'completed'), (SELECT %s FROM ledger)`

func countSQLite(t *testing.T, path string) (runs, records int) {
	t.Helper()
	db, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	stmt, _, err := db.Prepare(fmt.Sprintf(sqlCount, "sum(records)"))
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	stmt.Step()
	return stmt.ColumnInt(0), stmt.ColumnInt(1)
}

func countPostgres(t *testing.T, ctx context.Context, url string) (runs, records int) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, fmt.Sprintf(sqlCount, "count(*)")).Scan(&runs, &records); err != nil {
		t.Fatal(err)
	}
	return runs, records
}
