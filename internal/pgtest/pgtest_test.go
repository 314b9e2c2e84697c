package pgtest_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func exec(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	for range 2 {
		url := pgtest.Start(t)
		exec(t, url, "CREATE TABLE mine (id int)")
	}
}

func TestAServerKeepsWhatWasCommitted(t *testing.T) {
	s := pgtest.NewServer(t)
	exec(t, s.URL(), "CREATE TABLE mine (id int PRIMARY KEY)")
	s.Kill(t)
	if conn, err := pgx.Connect(t.Context(), s.URL()); err == nil {
		conn.Close(t.Context())
		t.Error("a server that was killed answers")
	}
	s.Start(t)
	exec(t, s.URL(), "INSERT INTO mine VALUES (1)")
	s.Stop(t)
	s.Start(t)
	exec(t, s.URL(), "INSERT INTO mine VALUES (2)")
}
