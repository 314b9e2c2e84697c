package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/postgres"
)

// start is the time of the first record of every storetest.Chain.
var start = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)

// tables are those that hold what was committed.
var tables = []string{"runs", "ledger", "waits", "commands", "snapshots", "mail", "owners", "labels", "documents", "broadcasts", "feed", "feed_new"}

// open opens a store that the test closes at its end.
func open(t testing.TB, url string, opts *postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s
}

// must commits, and ends the test when that fails.
func must(t testing.TB, s bide.Store, commits ...*bide.Commit) {
	t.Helper()
	for _, c := range commits {
		if err := s.Commit(context.Background(), c); err != nil {
			t.Fatalf("Commit(%s, records %d to %d) = %v", c.RunID, c.Expect.Seq+1, c.Info.Seq, err)
		}
	}
}

// load loads a run whole.
func load(t testing.TB, s bide.Store, id string) *bide.Stored {
	t.Helper()
	out, err := s.Load(context.Background(), id, bide.Position{})
	if err != nil {
		t.Fatalf("Load(%s) = %v", id, err)
	}
	return out
}

// wantCode checks for an error with a code; the empty code is an ordinary error.
func wantCode(t testing.TB, what string, err error, want bide.Code) {
	t.Helper()
	var e *bide.Error
	errors.As(err, &e)
	if err == nil || want == "" && e != nil || want != "" && (e == nil || e.Code != want) {
		t.Errorf("%s = %v, want an error with code %q", what, err, want)
	}
}

// connect opens a plain connection to the schema bide.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = "bide"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	return conn
}

// run runs a statement.
func run(t interface {
	Helper()
	Fatalf(string, ...any)
}, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s = %v", sql, err)
	}
}
