// Package pgtest gives tests a PostgreSQL server of their own, with durable
// commits as in production: one that all tests of a package share, and private
// ones that a test can stop and start. It must not know what is stored in them.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		s, err := postgres.Open(t.Context(), pgtest.Start(t), nil)
//		...
//	}
//
// The environment variable BIDE_TEST_POSTGRES names a server to share instead
// of starting one; its user must be allowed to create databases.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// env names the server to share.
const env = "BIDE_TEST_POSTGRES"

// shared is the server of the test binary. A server takes a second to make, and
// the packages that use it are many.
var shared struct {
	once   sync.Once
	server *Server // nil when env is set
	url    string
	err    error
}

// databases counts the databases that this process has made.
var databases atomic.Int64

// Main runs a package's tests and then stops the server that they shared. It
// returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if s := shared.server; s != nil {
		if err := s.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

// Start returns the URL of a fresh database on the server that all tests of the
// package share. The database is dropped when the test ends. Without a server
// the test fails: it is not skipped.
func Start(t testing.TB) (url string) {
	t.Helper()
	shared.once.Do(func() {
		if shared.url = os.Getenv(env); shared.url != "" {
			return
		}
		if shared.server, shared.err = Launch(); shared.err == nil {
			shared.url = shared.server.url("postgres")
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return database(t, shared.url)
}

// database creates a database on a server, for the time of a test.
func database(t testing.TB, server string) string {
	t.Helper()
	name := fmt.Sprintf("bide_test_%d_%d", os.Getpid(), databases.Add(1))
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL: %v", env, err)
	}
	u.Path = "/" + name
	return u.String()
}

// admin runs a statement outside of the test's context, which has ended when cleaning up.
func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
