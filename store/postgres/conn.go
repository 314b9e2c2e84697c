package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bide-dev/bide"
)

// The settings of a connection. Every statement is served by indexes, in their
// order, also on a table that has just been made and of which the server knows nothing
// yet: it is told not to guess otherwise, since a plan outlives the guess.
const sqlSettings = `SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`

// sqlKeepPlans is for connections that commit. Planning a statement of theirs
// costs as much as carrying it out, and the plan is always the same.
const sqlKeepPlans = `SET plan_cache_mode = force_generic_plan`

// sqlDurable undoes a default of the database by which commits would be
// acknowledged before they are durable (K2).
const sqlDurable = `SET synchronous_commit = on`

// configure reads a connection string.
func configure(url string, o *Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the address of the PostgreSQL server cannot be read; it is like postgres://user@host:5432/database: %w", err)
	}
	if strings.ContainsAny(config.ConnConfig.Database, "@/") { // the rest of a password
		return nil, bide.Errorf(bide.CodeInvalidInput, "the address of the PostgreSQL server has a user or a password with @, / or : in it; write these as %%40, %%2F and %%3A")
	}
	config.MaxConns = int32(o.Conns)
	c := config.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	c.RuntimeParams["search_path"] = o.Schema
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(o.Timeout.Milliseconds(), 10)
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "bide"
	}
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error { return prepareSession(ctx, conn, sqlSettings) }
	return config, nil
}

// configureCommitter makes the configuration of a connection that commits.
func configureCommitter(c *pgx.ConnConfig) *pgx.ConnConfig {
	c = c.Copy()
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return prepareSession(ctx, conn, sqlSettings+"; "+sqlKeepPlans)
	}
	return c
}

// prepareSession sets up a connection. Databases that only speak like
// PostgreSQL need not know its settings.
func prepareSession(ctx context.Context, conn *pgconn.PgConn, settings string) error {
	if _, err := conn.Exec(ctx, settings).ReadAll(); err != nil && sqlState(err) == "" {
		return err
	}
	results, err := conn.Exec(ctx, "SHOW synchronous_commit").ReadAll()
	if err == nil && len(results) == 1 && len(results[0].Rows) == 1 && string(results[0].Rows[0][0]) == "off" {
		_, err = conn.Exec(ctx, sqlDurable).ReadAll()
	} else if sqlState(err) != "" {
		err = nil
	}
	return err
}

// exec runs a statement that changes something, again when the server chose it
// to fail for the sake of another transaction.
func (s *Store) exec(ctx context.Context, doing, sql string, args ...any) (n int64, err error) {
	var tag pgconn.CommandTag
	err = s.retry(ctx, doing, func() error {
		tag, err = s.pool.Exec(ctx, sql, args...)
		return err
	})
	return tag.RowsAffected(), err
}

// collect runs a statement and reads its rows, again when the server chose it to
// fail for the sake of another transaction.
func collect[T any](ctx context.Context, s *Store, doing string, row pgx.RowToFunc[T], sql string, args ...any) (out []T, err error) {
	err = s.retry(ctx, doing, func() error {
		rows, err := s.pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, row)
		return err
	})
	return out, err
}

// retry calls f until it succeeds or fails for another reason than a conflict
// between transactions or a connection that broke, of which the pool may hold as many
// as it has; f may so be carried out twice. It does not wait for a server that is gone.
func (s *Store) retry(ctx context.Context, doing string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return s.errClosed()
	}
	var err error
	for range max(retries, s.opts.Conns+1) {
		err = f()
		if kind := kindOf(err); kind != failedConflict && kind != failedConnection || isUnreachable(err) || ctx.Err() != nil || s.closed.Load() {
			break
		}
	}
	return s.asked(ctx, doing, err)
}
