package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/postgres"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// What the benchmark in its repository sets is 100 connections, all that a
// PostgreSQL server has by default. Sixty-four leave some to the benchmark itself.
const goWorkflowsConns = 64

var (
	goWorkflowsTuned           = setup{"go-workflows", "tuned", bench.SQLite, "monoprocess backend; executor cache ≥ in flight", openGoWorkflowsTuned}
	goWorkflowsShipped         = setup{"go-workflows", "as shipped", bench.SQLite, "nothing", openGoWorkflowsShipped}
	goWorkflowsPostgresTuned   = setup{"go-workflows", "tuned", bench.Postgres, "monoprocess backend; executor cache ≥ in flight; 64 connections, kept open; 8 pollers of each kind", openGoWorkflowsPostgresTuned}
	goWorkflowsPostgresShipped = setup{"go-workflows", "as shipped", bench.Postgres, "nothing", openGoWorkflowsPostgresShipped}
)

func goWorkflow(ctx workflow.Context) (out string, err error) {
	for range 3 {
		if out, err = workflow.ExecuteActivity[string](ctx, workflow.DefaultActivityOptions, goActivity).Get(ctx); err != nil {
			return "", err
		}
	}
	return out, nil
}

func goActivity(context.Context) (string, error) { return result, nil }

func openGoWorkflowsTuned(ctx context.Context, place *bench.Place, inFlight int) (*system, error) {
	options := worker.DefaultOptions
	options.WorkflowExecutorCacheSize = max(options.WorkflowExecutorCacheSize, inFlight)
	return openGoWorkflowsSQLite(ctx, place, &options, true)
}

func openGoWorkflowsShipped(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	return openGoWorkflowsSQLite(ctx, place, nil, false)
}

// openGoWorkflowsSQLite asks a connection like that of the backend, which leaves
// synchronous at the default of the driver.
func openGoWorkflowsSQLite(ctx context.Context, place *bench.Place, options *worker.Options, mono bool) (*system, error) {
	path := filepath.Join(place.Dir, "goworkflows.db")
	var b backend.Backend = sqlite.NewSqliteBackend(path, sqlite.WithBackendOptions(quiet))
	durability, err := pragmasAt(ctx, "file:"+path+"?_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if mono {
		b = monoprocess.NewMonoprocessBackend(b)
	}
	return openGoWorkflows(ctx, b, options, durability+" (asked by PRAGMA)", b.Close)
}

func openGoWorkflowsPostgresTuned(ctx context.Context, place *bench.Place, inFlight int) (*system, error) {
	options := worker.DefaultOptions
	options.WorkflowExecutorCacheSize = max(options.WorkflowExecutorCacheSize, inFlight)
	options.WorkflowPollers, options.ActivityPollers = 8, 8
	return openGoWorkflowsPostgres(ctx, place, &options, true)
}

func openGoWorkflowsPostgresShipped(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	return openGoWorkflowsPostgres(ctx, place, nil, false)
}

// openGoWorkflowsPostgres opens the pool that NewPostgresBackend would open, by
// URL, so that servers on a socket or with a password can be measured too.
func openGoWorkflowsPostgres(ctx context.Context, place *bench.Place, options *worker.Options, tuned bool) (*system, error) {
	db, err := sql.Open("pgx", place.URL)
	if err != nil {
		return nil, err
	}
	var b backend.Backend = postgres.NewPostgresBackendWithDB(db, postgres.WithApplyMigrations(true), postgres.WithBackendOptions(quiet))
	if tuned {
		db.SetMaxOpenConns(goWorkflowsConns)
		db.SetMaxIdleConns(goWorkflowsConns)
		b = monoprocess.NewMonoprocessBackend(b)
	}
	return openGoWorkflows(ctx, b, options, place.Durability, func() error { return errors.Join(b.Close(), db.Close()) })
}

func quiet(o *backend.Options) { o.Logger = slog.New(slog.DiscardHandler) }

func openGoWorkflows(ctx context.Context, b backend.Backend, options *worker.Options, durability string, closeBackend func() error) (*system, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := worker.New(b, options)
	if err := errors.Join(w.RegisterWorkflow(goWorkflow), w.RegisterActivity(goActivity), w.Start(ctx)); err != nil {
		cancel()
		return nil, err
	}
	c := client.New(b)
	run := func(ctx context.Context) (string, error) {
		instance, err := c.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: uuid.NewString()}, goWorkflow)
		if err != nil {
			return "", err
		}
		return client.GetWorkflowResult[string](ctx, c, instance, time.Minute)
	}
	return &system{durability: durability, run: run, close: func() error {
		cancel()
		return errors.Join(w.WaitForCompletion(), closeBackend())
	}}, nil
}
