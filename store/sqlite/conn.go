package sqlite

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// applicationID marks the file as a bide store: "bide" in ASCII.
const applicationID = 0x62696465

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations are the steps from one version of the layout to the next, in order.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	out := make([]string, len(names))
	for i, name := range names {
		sql, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out[i] = string(sql)
	}
	return out, nil
}

// uri names the file for SQLite, with the parameters of a connection.
func (s *Store) uri(params url.Values) string {
	path := filepath.ToSlash(s.path)
	if !strings.HasPrefix(path, "/") { // a drive letter
		path = "/" + path
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: params.Encode()}
	return u.String()
}

// dial opens a connection that shares the file with others.
func (s *Store) dial(flags sqlite3.OpenFlag) (*sqlite3.Conn, error) {
	return s.dialWith(flags, url.Values{"vfs": {s.disk}})
}

func (s *Store) dialWith(flags sqlite3.OpenFlag, params url.Values) (*sqlite3.Conn, error) {
	conn, err := sqlite3.OpenFlags(s.uri(params), flags|sqlite3.OPEN_URI)
	if err != nil {
		return nil, s.explain("open", err)
	}
	if err := conn.BusyHandler(s.patience()); err != nil {
		return nil, cmp.Or(s.explain("open", err), conn.Close())
	}
	return conn, nil
}

// A connection looks again for a lock after a time up to firstNap, and then up to twice as long each
// time: another process has the lock for as long as a flush takes, which the driver's own pause of up to 2 ms may far exceed.
const (
	firstNap = 100 * time.Microsecond
	lastNap  = 2 * time.Millisecond
)

// patience waits for another process that holds the file.
func (s *Store) patience() func(ctx context.Context, count int) bool {
	var since time.Time
	return func(_ context.Context, count int) bool {
		if count == 0 {
			since = time.Now()
		}
		if time.Since(since) >= s.opts.BusyTimeout {
			return false
		}
		time.Sleep(rand.N(min(firstNap<<min(count, 5), lastNap)))
		return true
	}
}

// openFirst opens the store's first connection, the writer's.
func (s *Store) openFirst(ctx context.Context) (*sqlite3.Conn, error) {
	conn, err := s.dial(sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, err
	}
	conn.SetInterrupt(ctx)
	err = s.bringUp(conn)
	conn.SetInterrupt(context.Background())
	if err != nil {
		return nil, cmp.Or(err, conn.Close())
	}
	return conn, nil
}

// bringUp checks that the file is a bide store, or empty, and brings it to the
// current layout.
func (s *Store) bringUp(conn *sqlite3.Conn) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	version, err := s.layout(conn, len(steps))
	if err != nil {
		return err
	}
	if err := s.tune(conn); err != nil {
		return s.explain("open", err)
	}
	for version < len(steps) {
		if version, err = s.migrate(conn, steps); err != nil {
			return err
		}
	}
	return nil
}

// layout is identify at one moment: another process may be creating the store, and all or nothing of that is seen.
func (s *Store) layout(conn *sqlite3.Conn, known int) (version int, err error) {
	if err := conn.Exec("BEGIN"); err != nil {
		return 0, s.explain("open", err)
	}
	version, err = s.identify(conn, known)
	return version, cmp.Or(err, s.explain("open", conn.Exec("COMMIT")))
}

// identify returns the version of the file's layout, 0 when the file is empty.
// It changes nothing, since the file may be somebody else's.
func (s *Store) identify(conn *sqlite3.Conn, known int) (version int, err error) {
	var app, objects int64
	for _, q := range []struct {
		sql  string
		into *int64
	}{
		{"PRAGMA application_id", &app},
		{"SELECT count(*) FROM sqlite_schema", &objects},
	} {
		if *q.into, err = scalar(conn, q.sql); err != nil {
			return 0, s.explain("open", err)
		}
	}
	v, err := scalar(conn, "PRAGMA user_version")
	switch {
	case err != nil:
		return 0, s.explain("open", err)
	case app == 0 && v == 0 && objects == 0:
		return 0, nil
	case app != applicationID:
		return 0, bide.Errorf(bide.CodeStoreForeign, "%s is a SQLite file of another application (id %d); choose another path", s.path, app)
	case v > int64(known):
		return 0, bide.Errorf(bide.CodeStoreTooNew, "the store %s has layout %d, this version of bide knows layouts up to %d; use a newer bide", s.path, v, known)
	}
	return int(v), nil
}

// tune sets what holds for the writer's connection. The checkpoint flushes what
// a process left in the log when it died: it may be there without having reached
// the disk, and a commit that is sent again must not be acknowledged on its strength.
func (s *Store) tune(conn *sqlite3.Conn) error {
	pragmas := fmt.Sprintf(`
		PRAGMA journal_mode = wal;
		PRAGMA synchronous = %s;
		PRAGMA wal_autocheckpoint = %d;
		PRAGMA cache_size = -32768;
		PRAGMA temp_store = memory;
		PRAGMA wal_checkpoint(passive);`, s.opts.Durability, s.opts.CheckpointPages)
	// Of several processes that make a new file one with a log, SQLite refuses some at once.
	for deadline := time.Now().Add(s.opts.BusyTimeout); ; time.Sleep(time.Millisecond) {
		if err := conn.Exec(pragmas); code(err) != sqlite3.BUSY || time.Now().After(deadline) {
			return err
		}
	}
}

// migrate makes the next step from one layout to another, in one transaction.
func (s *Store) migrate(conn *sqlite3.Conn, steps []string) (version int, err error) {
	if err := conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return 0, s.explain("migrate", err)
	}
	defer func() {
		if err != nil && !conn.GetAutocommit() {
			conn.SetInterrupt(context.Background())
			err = cmp.Or(err, conn.Exec("ROLLBACK"))
		}
	}()
	if version, err = s.identify(conn, len(steps)); err != nil { // another process may have been first
		return 0, err
	}
	if version == len(steps) {
		return version, conn.Exec("COMMIT")
	}
	if err := conn.Exec(steps[version]); err != nil {
		return 0, s.explain(fmt.Sprintf("migrate to layout %d", version+1), err)
	}
	version++
	if err := conn.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", applicationID, version)); err != nil {
		return 0, s.explain(fmt.Sprintf("migrate to layout %d", version), err)
	}
	return version, nil
}

// scalar returns the one number that a query gives.
func scalar(conn *sqlite3.Conn, sql string) (n int64, err error) {
	stmt, _, err := conn.Prepare(sql)
	if err != nil {
		return 0, err
	}
	if stmt.Step() {
		n = stmt.ColumnInt64(0)
	}
	return n, cmp.Or(stmt.Err(), stmt.Close())
}
