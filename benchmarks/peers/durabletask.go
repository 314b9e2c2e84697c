package main

import (
	"context"
	"encoding/json"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/backend/postgres"
	"github.com/microsoft/durabletask-go/backend/sqlite"
	"github.com/microsoft/durabletask-go/task"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// durabletaskConns replaces the default, one connection.
const durabletaskConns = 32

var (
	durabletaskTuned           = setup{"durabletask-go", "tuned", bench.SQLite, "journal_mode=WAL by the file's URL; WithMaxParallelism(in flight)", openDurabletaskTuned}
	durabletaskShipped         = setup{"durabletask-go", "as shipped", bench.SQLite, "nothing", openDurabletaskShipped}
	durabletaskPostgresTuned   = setup{"durabletask-go", "tuned", bench.Postgres, "32 connections; WithMaxParallelism(in flight)", openDurabletaskPostgresTuned}
	durabletaskPostgresShipped = setup{"durabletask-go", "as shipped", bench.Postgres, "nothing", openDurabletaskPostgresShipped}
)

func durabletaskOrchestrator(ctx *task.OrchestrationContext) (any, error) {
	var out string
	for range 3 {
		if err := ctx.CallActivity(durabletaskActivity).Await(&out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func durabletaskActivity(task.ActivityContext) (any, error) { return result, nil }

func openDurabletaskTuned(ctx context.Context, place *bench.Place, inFlight int) (*system, error) {
	return openDurabletaskSQLite(ctx, "file:"+filepath.Join(place.Dir, "durabletask.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)", inFlight)
}

func openDurabletaskShipped(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	return openDurabletaskSQLite(ctx, "file:"+filepath.Join(place.Dir, "durabletask.db"), 0)
}

func openDurabletaskSQLite(ctx context.Context, dsn string, parallel int) (*system, error) {
	durability, err := pragmasAt(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return openDurabletask(ctx, sqlite.NewSqliteBackend(sqlite.NewSqliteOptions(dsn), silent{}), durability+" (asked by PRAGMA)", parallel)
}

func openDurabletaskPostgresTuned(ctx context.Context, place *bench.Place, inFlight int) (*system, error) {
	return openDurabletaskPostgres(ctx, place, durabletaskConns, inFlight)
}

func openDurabletaskPostgresShipped(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	return openDurabletaskPostgres(ctx, place, 0, 0)
}

// openDurabletaskPostgres takes the default options, and replaces only where the
// server is, so that servers on a socket can be measured too. Zero conns and
// zero parallel keep the defaults.
func openDurabletaskPostgres(ctx context.Context, place *bench.Place, conns, parallel int) (*system, error) {
	options := postgres.NewPostgresOptions("localhost", 5432, "postgres", "postgres", "postgres")
	server, err := pgxpool.ParseConfig(place.URL)
	if err != nil {
		return nil, err
	}
	defaults := options.PgOptions
	options.PgOptions = server
	options.PgOptions.ConnConfig.ConnectTimeout = defaults.ConnConfig.ConnectTimeout
	options.PgOptions.MaxConnLifetime, options.PgOptions.MaxConnIdleTime = defaults.MaxConnLifetime, defaults.MaxConnIdleTime
	options.PgOptions.MaxConns = defaults.MaxConns
	if conns > 0 {
		options.PgOptions.MaxConns = int32(conns)
	}
	return openDurabletask(ctx, postgres.NewPostgresBackend(options, silent{}), place.Durability, parallel)
}

func openDurabletask(ctx context.Context, be backend.Backend, durability string, parallel int) (*system, error) {
	r := task.NewTaskRegistry()
	if err := r.AddOrchestrator(durabletaskOrchestrator); err != nil {
		return nil, err
	}
	if err := r.AddActivity(durabletaskActivity); err != nil {
		return nil, err
	}
	var options []backend.NewTaskWorkerOptions
	if parallel > 0 {
		options = append(options, backend.WithMaxParallelism(int32(parallel)))
	}
	executor := task.NewTaskExecutor(r)
	w := backend.NewTaskHubWorker(be,
		backend.NewOrchestrationWorker(be, executor, silent{}, options...),
		backend.NewActivityTaskWorker(be, executor, silent{}, options...), silent{})
	if err := w.Start(ctx); err != nil {
		return nil, err
	}
	c := backend.NewTaskHubClient(be)
	run := func(ctx context.Context) (out string, err error) {
		id, err := c.ScheduleNewOrchestration(ctx, durabletaskOrchestrator)
		if err != nil {
			return "", err
		}
		end, err := c.WaitForOrchestrationCompletion(ctx, id)
		if err != nil {
			return "", err
		}
		return out, json.Unmarshal([]byte(end.SerializedOutput), &out)
	}
	return &system{durability: durability, run: run, close: func() error { return w.Shutdown(ctx) }}, nil
}

// silent is a logger that drops everything.
type silent struct{}

func (silent) Debug(...any)          {}
func (silent) Debugf(string, ...any) {}
func (silent) Info(...any)           {}
func (silent) Infof(string, ...any)  {}
func (silent) Warn(...any)           {}
func (silent) Warnf(string, ...any)  {}
func (silent) Error(...any)          {}
func (silent) Errorf(string, ...any) {}
