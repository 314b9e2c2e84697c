package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// Migrations are an ordered list of files, and not a library's, because the
// whole of it is one loop: each statement runs by itself, outside of a
// transaction, since not every database can undo them, and can run again.
//
//go:embed migrations/*.sql
var migrations embed.FS

// lease is how long a process may be silent while it migrates, before another one takes over.
const lease = "30 seconds"

// The statements that keep the version. The row is also the lock: a process
// holds it by its name, until a time.
const (
	sqlVersion    = `SELECT version FROM bide_schema WHERE id = 1` // by primary key
	sqlForeign    = `SELECT count(*) FROM information_schema.tables WHERE table_schema = $1 AND table_name IN ('runs', 'ledger', 'waits', 'mail')`
	sqlSchema     = `CREATE SCHEMA IF NOT EXISTS `
	sqlSchemaRow  = `CREATE TABLE IF NOT EXISTS bide_schema (id integer NOT NULL PRIMARY KEY, version integer NOT NULL, locked_by text NOT NULL, locked_until timestamptz NOT NULL)`
	sqlFirst      = `INSERT INTO bide_schema (id, version, locked_by, locked_until) VALUES (1, 0, '', now()) ON CONFLICT (id) DO NOTHING`
	sqlLock       = `UPDATE bide_schema SET locked_by = $1, locked_until = now() + interval '` + lease + `' WHERE id = 1 AND (locked_by IN ('', $1) OR locked_until < now())`
	sqlSetVersion = `UPDATE bide_schema SET version = $2, locked_until = now() + interval '` + lease + `' WHERE id = 1 AND locked_by = $1`
	sqlUnlock     = `UPDATE bide_schema SET locked_by = '' WHERE id = 1 AND locked_by = $1`
)

// errLockLost is returned when a migration took longer than its lease.
var errLockLost = errors.New("another process took over the migration")

// migrate brings the tables to the version of this package. Workers of the
// version before may be at work meanwhile, and other processes may do the same.
func (s *Store) migrate(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	version, err := s.version(ctx, conn)
	if err == nil && version == 0 {
		err = s.found(ctx, conn)
	}
	me := rand.Text()
	for err == nil && version < len(steps) {
		if err = s.upgrade(ctx, conn, me, steps); errors.Is(err, errLockLost) {
			err = nil
		}
		if err == nil {
			version, err = s.version(ctx, conn)
		}
	}
	if err == nil && version > len(steps) {
		return bide.Errorf(bide.CodeStoreTooNew, "the tables in schema %s of %s have version %d, and this program knows up to %d; use a newer one", s.opts.Schema, s.server, version, len(steps))
	}
	return err
}

// version returns the number of migrations that were made; 0 when there is nothing yet.
func (s *Store) version(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	err = conn.QueryRow(ctx, sqlVersion).Scan(&version)
	if state := sqlState(err); state == "42P01" || state == "3F000" || errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return version, err
}

// found creates the schema and the table of the version.
func (s *Store) found(ctx context.Context, conn *pgx.Conn) error {
	if err := define(ctx, conn, sqlSchema+pgx.Identifier{s.opts.Schema}.Sanitize()); err != nil {
		return err
	}
	var foreign, version int
	if err := conn.QueryRow(ctx, sqlForeign, s.opts.Schema).Scan(&foreign); err != nil {
		return err
	}
	err := conn.QueryRow(ctx, sqlVersion).Scan(&version)
	if foreign > 0 && sqlState(err) == "42P01" {
		return bide.Errorf(bide.CodeStoreForeign, "schema %s of %s has tables that are not a bide store's; choose another schema", s.opts.Schema, s.server)
	}
	if err := define(ctx, conn, sqlSchemaRow); err != nil {
		return err
	}
	return define(ctx, conn, sqlFirst)
}

// upgrade makes the migrations that are missing, or waits a moment when another process does.
func (s *Store) upgrade(ctx context.Context, conn *pgx.Conn, me string, steps []string) error {
	tag, err := conn.Exec(ctx, sqlLock, me)
	if err != nil || tag.RowsAffected() == 0 {
		return pause(ctx, 20*time.Millisecond, err)
	}
	defer conn.Exec(ctx, sqlUnlock, me) // when that fails, the lease ends
	done, err := s.version(ctx, conn)
	if err != nil {
		return err
	}
	for i := done; i < len(steps); i++ {
		text, err := migrations.ReadFile(steps[i])
		if err != nil {
			return err
		}
		for statement := range strings.SplitSeq(strings.TrimSpace(string(text)), ";\n") {
			if err := define(ctx, conn, statement); err != nil {
				return fmt.Errorf("%s: %w", steps[i], err)
			}
		}
		tag, err := conn.Exec(ctx, sqlSetVersion, me, i+1)
		switch {
		case err != nil:
			return err
		case tag.RowsAffected() == 0:
			return errLockLost
		}
		s.log.Info("migrated", "server", s.server, "schema", s.opts.Schema, "version", i+1)
	}
	return nil
}

// define runs a statement that makes something unless it is there. Two that make
// it at the same time can collide, and then the other one has made it.
func define(ctx context.Context, conn *pgx.Conn, sql string) (err error) {
	for range retries {
		_, err = conn.Exec(ctx, sql)
		switch sqlState(err) {
		case "23505", "42P06", "42P07", "42710", "40001", "40P01", "XX000":
			if pause(ctx, 5*time.Millisecond, nil) != nil {
				return err
			}
		default:
			return err
		}
	}
	return err
}

// pause waits, unless there is an error already or ctx ends.
func pause(ctx context.Context, d time.Duration, err error) error {
	if err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
