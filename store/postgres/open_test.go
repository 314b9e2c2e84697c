package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

func TestOpenMayBeRaced(t *testing.T) {
	url := pgtest.Start(t)
	var all sync.WaitGroup
	stores := make([]*postgres.Store, 8)
	for i := range stores {
		all.Go(func() {
			s, err := postgres.Open(context.Background(), url, nil)
			if err != nil {
				t.Errorf("Open = %v", err)
				return
			}
			stores[i] = s
		})
	}
	all.Wait()
	for i, s := range stores {
		if s == nil {
			continue
		}
		must(t, s, storetest.NewChain(strings.Repeat("r", i+1)).Next(1))
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

func TestAMigrationThatWasCutOffIsFinished(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, nil)
	must(t, s, storetest.NewChain("run").Next(1))
	conn := connect(t, url)
	run(t, conn, "UPDATE bide_schema SET version = 2, locked_by = 'the dead', locked_until = now() - interval '1 second'")
	run(t, conn, "DROP TABLE owners")
	again := open(t, url, nil)
	if err := again.Heartbeat(t.Context(), "w", start); err != nil {
		t.Errorf("Heartbeat = %v", err)
	}
	if got := load(t, again, "run"); got.Seq != 1 {
		t.Errorf("the run is at record %d, want 1", got.Seq)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a newer store", func(t *testing.T) {
		url := pgtest.Start(t)
		open(t, url, nil)
		run(t, connect(t, url), "UPDATE bide_schema SET version = 1000")
		_, err := postgres.Open(t.Context(), url, nil)
		wantCode(t, "Open", err, bide.CodeStoreTooNew)
	})
	t.Run("tables of something else", func(t *testing.T) {
		url := pgtest.Start(t)
		conn := connect(t, url)
		run(t, conn, "CREATE SCHEMA bide")
		run(t, conn, "CREATE TABLE bide.runs (id int)")
		_, err := postgres.Open(t.Context(), url, nil)
		wantCode(t, "Open", err, bide.CodeStoreForeign)
	})
	t.Run("a name that cannot be a schema", func(t *testing.T) {
		_, err := postgres.Open(t.Context(), pgtest.Start(t), &postgres.Options{Schema: `x"; DROP`})
		wantCode(t, "Open", err, bide.CodeInvalidInput)
	})
	t.Run("what is no address", func(t *testing.T) {
		_, err := postgres.Open(t.Context(), "postgres://%zz", nil)
		wantCode(t, "Open", err, bide.CodeInvalidInput)
	})
	t.Run("a server that is not there", func(t *testing.T) {
		_, err := postgres.Open(t.Context(), "postgres://u:secret@/db?host="+t.TempDir(), nil)
		wantCode(t, "Open", err, bide.CodeStoreUnavailable)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	})
}

// What keeps a store from opening stands first, in words of its own, and what the server said behind it.
func TestOpenSaysWhatIsWrongWithTheAddress(t *testing.T) {
	server := pgtest.NewServer(t)
	for _, c := range []struct{ url, want string }{
		{strings.Replace(server.URL(), "/postgres?", "/nothere?", 1), "does not exist; make it with createdb"},
		{strings.Replace(server.URL(), "://postgres@", "://nobody@", 1), "user"},
		{"postgres://u:p@ss/w@127.0.0.1:5432/db", "%40"},
	} {
		_, err := postgres.Open(t.Context(), c.url, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q) = %v, want it to say %q", c.url, err, c.want)
		}
	}
}

func TestAServerThatTakesNoWritesSaysSo(t *testing.T) {
	url := pgtest.Start(t)
	c := storetest.NewChain("run")
	must(t, open(t, url, nil), c.Next(1))
	name := connect(t, url).Config().Database
	run(t, connect(t, url), "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	s := open(t, url, nil)
	wantCode(t, "Commit", s.Commit(t.Context(), c.Next(1)), bide.CodeStoreReadOnly)
	_, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "w", Now: start, Limit: 1})
	wantCode(t, "Claim", err, bide.CodeStoreReadOnly)
	if got := load(t, s, "run"); got.Seq != 1 {
		t.Errorf("the run is at record %d, want 1", got.Seq)
	}
}

// TestAFullDiskSaysSo lets the server fail as it does when its disk is full.
func TestAFullDiskSaysSo(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, nil)
	conn := connect(t, url)
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	run(t, conn, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$`)
	run(t, conn, `CREATE TRIGGER full_disk BEFORE INSERT ON ledger EXECUTE FUNCTION full_disk()`)
	next := c.Next(1)
	wantCode(t, "Commit", s.Commit(t.Context(), next), bide.CodeStoreFull)
	run(t, conn, `DROP TRIGGER full_disk ON ledger`)
	must(t, s, next)
}

func TestADatabaseThatDoesNotWaitForItsDiskIsCorrected(t *testing.T) {
	url := pgtest.Start(t)
	name := connect(t, url).Config().Database
	run(t, connect(t, url), "ALTER DATABASE "+name+" SET synchronous_commit = off")
	s := open(t, url, &postgres.Options{Committers: 1})
	conn := connect(t, url)
	run(t, conn, "CREATE TABLE seen (setting text)")
	run(t, conn, `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO bide.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$`)
	run(t, conn, `CREATE TRIGGER look AFTER INSERT ON ledger EXECUTE FUNCTION look()`)
	must(t, s, storetest.NewChain("run").Next(1))
	var got string
	if err := conn.QueryRow(t.Context(), "SELECT setting FROM seen").Scan(&got); err != nil || got != "on" {
		t.Errorf("a commit was made with synchronous_commit %q (%v), want on", got, err)
	}
}
