package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/sqlite"
)

// The stores that can be measured.
const (
	Memory       = "mem"
	File         = "file"
	SQLite       = "sqlite"
	SQLiteNormal = "sqlite-normal" // with sqlite.DurabilityNormal
	Postgres     = "postgres"
)

// All lists them.
var All = []string{Memory, File, SQLite, SQLiteNormal, Postgres}

// durability is what a commit survives, by store. PostgreSQL is asked.
var durability = map[string]string{
	Memory: "none", File: "full: flushed", SQLite: "synchronous=FULL", SQLiteNormal: "synchronous=NORMAL",
}

// Stores returns the stores to measure, as -stores has them.
func (b *Bench) Stores() ([]string, error) {
	stores := strings.Split(b.stores, ",")
	for _, s := range stores {
		if !slices.Contains(b.allowed, s) {
			return nil, fmt.Errorf("-stores: %q is none of %s", s, strings.Join(b.allowed, ", "))
		}
	}
	return stores, nil
}

// A Place is somewhere for a store that nobody has used: a folder, or a database of a server.
type Place struct {
	// Store is one of All; Dir is a folder for files; URL is what package
	// engine takes, with which SQLiteNormal is SQLite: use Open.
	Store, Dir, URL string
	Durability      string
	drop            func() error
}

// Place makes one. Drop it at the end.
func (b *Bench) Place(ctx context.Context, store string) (*Place, error) {
	p := &Place{Store: store, Durability: durability[store]}
	if store == Postgres {
		return p, b.database(ctx, p)
	}
	if b.folder == "" {
		dir, err := os.MkdirTemp("", "bide-bench-")
		if err != nil {
			return nil, err
		}
		b.folder = dir
	}
	b.places++
	p.Dir = filepath.Join(b.folder, fmt.Sprint(b.places))
	if err := os.Mkdir(p.Dir, 0o755); err != nil {
		return nil, err
	}
	p.drop = func() error { return os.RemoveAll(p.Dir) }
	switch store {
	case Memory:
		p.URL = "mem:"
	case File:
		p.URL = "file:" + filepath.Join(p.Dir, "runs")
	default:
		p.URL = "sqlite:" + filepath.Join(p.Dir, "bide.db")
	}
	return p, nil
}

// PostgresServer returns the URL of the server to use, and starts one when none was named.
func (b *Bench) PostgresServer() (string, error) {
	if b.postgres != "" {
		return b.postgres, nil
	}
	if b.server == nil {
		s, err := pgtest.Launch()
		if err != nil {
			return "", fmt.Errorf("%w; leave it out with -stores, or name a server with -postgres", err)
		}
		b.server = s
	}
	return b.server.URL(), nil
}

// database makes a database, and asks the server what a commit survives.
func (b *Bench) database(ctx context.Context, p *Place) error {
	server, err := b.PostgresServer()
	if err != nil {
		return err
	}
	u, err := url.Parse(server)
	if err != nil {
		return fmt.Errorf("-postgres: %w", err)
	}
	b.places++
	name := fmt.Sprintf("bide_bench_%d_%d", os.Getpid(), b.places)
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	end := context.WithoutCancel(ctx) // an interrupted benchmark leaves no database behind
	p.drop = func() error {
		_, err := conn.Exec(end, "DROP DATABASE "+name+" WITH (FORCE)")
		return errors.Join(err, conn.Close(end))
	}
	u.Path = "/" + name
	p.URL = u.String()
	var fsync, commit string
	err = conn.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('synchronous_commit')").Scan(&fsync, &commit)
	p.Durability = fmt.Sprintf("fsync=%s, synchronous_commit=%s", fsync, commit)
	return err
}

// PostgresVersion is the version of the server that is started when none is named.
func PostgresVersion() (string, error) { return pgtest.Version() }

// At makes a place for the time of a function.
func (b *Bench) At(ctx context.Context, store string, do func(*Place) error) error {
	p, err := b.Place(ctx, store)
	if err != nil {
		return err
	}
	return errors.Join(do(p), p.Drop())
}

// Drop removes the place and all that is kept there.
func (p *Place) Drop() error { return p.drop() }

// Open opens the store at the place.
func (p *Place) Open(ctx context.Context) (engine.Store, error) {
	if path, ok := strings.CutPrefix(p.URL, "sqlite:"); ok && p.Store == SQLiteNormal {
		return sqlite.Open(ctx, path, &sqlite.Options{Durability: sqlite.DurabilityNormal})
	}
	return engine.OpenStore(ctx, p.URL)
}

// Settle lets an engine do now what it would do in the background after much was written: PostgreSQL cleans up and looks at its tables.
func (p *Place) Settle(ctx context.Context) error {
	if p.Store != Postgres {
		return nil
	}
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "VACUUM ANALYZE")
	return err
}

// Bytes is the size of all that is kept: files, or tables with their indexes.
func (p *Place) Bytes(ctx context.Context) (n int64, err error) {
	if p.Store == Postgres {
		conn, err := pgx.Connect(ctx, p.URL)
		if err != nil {
			return 0, err
		}
		defer conn.Close(ctx)
		return n, conn.QueryRow(ctx, `SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c
			JOIN pg_namespace AS s ON s.oid = c.relnamespace WHERE s.nspname = 'bide' AND c.relkind = 'r'`).Scan(&n)
	}
	err = filepath.WalkDir(p.Dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
