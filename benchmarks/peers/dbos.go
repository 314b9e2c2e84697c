package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

var (
	dbosFull     = setup{"DBOS", "FULL", bench.SQLite, "SQLiteSystemDB: a pool as its own, but synchronous=FULL", openDBOSFull}
	dbosShipped  = setup{"DBOS", "as shipped", bench.SQLite, "nothing", openDBOSShipped}
	dbosPostgres = setup{"DBOS", "as shipped", bench.Postgres, "nothing", openDBOSPostgres}
)

func dbosWorkflow(ctx dbos.Context, _ string) (out string, err error) {
	for range 3 {
		if out, err = dbos.RunAsStep(ctx, dbosStep); err != nil {
			return "", err
		}
	}
	return out, nil
}

func dbosStep(context.Context) (string, error) { return result, nil }

// openDBOSFull gives DBOS a pool like the one it makes for itself in all but
// synchronous. A URL cannot say that: DBOS makes one of its connections NORMAL whatever the URL says.
func openDBOSFull(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	db, err := sql.Open("sqlite", filepath.Join(place.Dir, "dbos.db")+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(4)
	durability, err := pragmas(ctx, db)
	if err != nil {
		return nil, err
	}
	sys, err := openDBOS(ctx, dbos.Config{SQLiteSystemDB: db}, durability+" (asked by PRAGMA)")
	if err != nil {
		return nil, err
	}
	shutdown := sys.close
	sys.close = func() error { return errors.Join(shutdown(), db.Close()) }
	return sys, nil
}

// openDBOSShipped follows the README. The level is what its OpenSQLitePool sets.
func openDBOSShipped(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	return openDBOS(ctx, dbos.Config{DatabaseURL: "sqlite:" + filepath.Join(place.Dir, "dbos.db")}, "NORMAL, journal WAL (by its source)")
}

func openDBOSPostgres(ctx context.Context, place *bench.Place, _ int) (*system, error) {
	return openDBOS(ctx, dbos.Config{DatabaseURL: place.URL}, place.Durability)
}

func openDBOS(ctx context.Context, config dbos.Config, durability string) (*system, error) {
	config.AppName, config.Logger = "peers", slog.New(slog.DiscardHandler)
	c, err := dbos.NewContext(ctx, config)
	if err != nil {
		return nil, err
	}
	dbos.RegisterWorkflow(c, dbosWorkflow)
	if err := dbos.Launch(c); err != nil {
		return nil, err
	}
	run := func(context.Context) (string, error) {
		handle, err := dbos.RunWorkflow(c, dbosWorkflow, "")
		if err != nil {
			return "", err
		}
		return handle.GetResult()
	}
	return &system{durability: durability, run: run, close: func() error { return dbos.Shutdown(c, 10*time.Second) }}, nil
}
