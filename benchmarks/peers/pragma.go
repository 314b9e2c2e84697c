package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

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
