package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sqliteStore   = "SQLite"
	postgresStore = "PostgreSQL"
)

// emptyPlace makes a folder or a database that nobody has used. drop removes it.
func emptyPlace(ctx context.Context, store, postgres string) (place string, drop func(), err error) {
	if store == sqliteStore {
		dir, err := os.MkdirTemp("", "peers")
		return dir, func() { os.RemoveAll(dir) }, err
	}
	u, err := url.Parse(postgres)
	if err != nil {
		return "", nil, err
	}
	server, err := pgx.Connect(ctx, postgres)
	if err != nil {
		return "", nil, err
	}
	name := fmt.Sprintf("peers_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := server.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		server.Close(ctx)
		return "", nil, err
	}
	u.Path = "/" + name
	end := context.WithoutCancel(ctx) // an interrupted benchmark leaves no database behind
	return u.String(), func() {
		if _, err := server.Exec(end, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		server.Close(end)
	}, nil
}

func serverVersion(ctx context.Context, url string) (v string, err error) {
	server, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer server.Close(ctx)
	return v, server.QueryRow(ctx, "SHOW server_version").Scan(&v)
}

// serverDurability asks the server what a commit survives. No library changes that for its connections.
func serverDurability(ctx context.Context, url string) (string, error) {
	server, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer server.Close(ctx)
	var fsync, commit string
	err = server.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('synchronous_commit')").Scan(&fsync, &commit)
	return fmt.Sprintf("fsync=%s, synchronous_commit=%s", fsync, commit), err
}

// pragmas asks a connection of db, or of the driver that db uses, what a commit survives.
func pragmas(ctx context.Context, db *sql.DB) (string, error) {
	var journal string
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return "", err
	}
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return "", err
	}
	if synchronous < 0 || synchronous > 3 {
		return "", fmt.Errorf("PRAGMA synchronous = %d", synchronous)
	}
	return fmt.Sprintf("%s, journal %s", [...]string{"OFF", "NORMAL", "FULL", "EXTRA"}[synchronous], strings.ToUpper(journal)), nil
}

// pragmasAt is pragmas of a connection of its own to dsn, for libraries that open theirs themselves with the same dsn.
func pragmasAt(ctx context.Context, dsn string) (string, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return pragmas(ctx, db)
}
