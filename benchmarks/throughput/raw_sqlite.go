package main

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// sqliteDB writes a group in a transaction, over one connection with the
// settings of the store, and in its rows: one for the run, and one for the records of a commit. Of the tables
// there is the least: no index but that of the keys.
type sqliteDB struct {
	begin, commit, insert, update, ledger *sqlite3.Stmt
	numbers                               map[string]int64
	body                                  []byte
}

func rawSQLite(p *bench.Place, commits []*bide.Commit, group int) (took time.Duration, err error) {
	conn, err := sqlite3.Open("file:" + filepath.Join(p.Dir, "raw.db"))
	if err != nil {
		return 0, err
	}
	db := &sqliteDB{numbers: map[string]int64{}}
	defer func() {
		for _, s := range []*sqlite3.Stmt{db.begin, db.commit, db.insert, db.update, db.ledger} {
			err = errors.Join(err, s.Close())
		}
		err = errors.Join(err, conn.Close())
	}()
	if err := db.prepare(conn, p.Durability); err != nil {
		return 0, err
	}
	return writeAll(db, commits, group)
}

func (db *sqliteDB) prepare(conn *sqlite3.Conn, durability string) error {
	err := conn.Exec(`PRAGMA journal_mode=WAL; PRAGMA ` + durability + `; PRAGMA wal_autocheckpoint=8000;
		CREATE TABLE runs (run_no INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, node TEXT NOT NULL,
			step INTEGER NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL, updated_at INTEGER NOT NULL) STRICT;
		CREATE TABLE ledger (id INTEGER PRIMARY KEY, run_no INTEGER NOT NULL, seq INTEGER NOT NULL, records INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
		CREATE UNIQUE INDEX ledger_run ON ledger (run_no, seq)`)
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&db.begin, `BEGIN IMMEDIATE`},
		{&db.commit, `COMMIT`},
		{&db.insert, `INSERT INTO runs (run_no, run_id, status, node, step, seq, head, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`},
		{&db.update, `UPDATE runs SET status=?3, node=?4, step=?5, seq=?6, head=?7, updated_at=?8 WHERE run_no=?1 AND run_id=?2`},
		{&db.ledger, `INSERT INTO ledger (run_no, seq, records, body) VALUES (?1, ?2, ?3, ?4)`},
	} {
		if err == nil {
			*p.stmt, _, err = conn.Prepare(p.sql)
		}
	}
	return err
}

func (db *sqliteDB) write(group []*bide.Commit) error {
	if err := db.begin.Exec(); err != nil {
		return err
	}
	for _, c := range group {
		if err := db.put(c); err != nil {
			return err
		}
	}
	return db.commit.Exec()
}

func (db *sqliteDB) put(c *bide.Commit) error {
	stmt := db.update
	no, ok := db.numbers[c.RunID]
	if !ok {
		no = int64(len(db.numbers) + 1)
		db.numbers[c.RunID], stmt = no, db.insert
	}
	err := firstError(stmt.BindInt64(1, no), stmt.BindText(2, c.RunID), stmt.BindText(3, string(c.Info.Status)), stmt.BindText(4, c.Info.Node),
		stmt.BindInt64(5, c.Info.Step), stmt.BindInt64(6, c.Info.Seq), stmt.BindBlob(7, c.Info.Head[:]), stmt.BindInt64(8, c.Info.UpdatedAt.UnixMicro()))
	if err == nil {
		err = stmt.Exec()
	}
	if err != nil {
		return err
	}
	db.body = db.body[:0]
	for i := range c.Records {
		if i > 0 {
			db.body = append(db.body, '\n')
		}
		db.body = append(db.body, c.Records[i].Raw...)
	}
	err = firstError(db.ledger.BindInt64(1, no), db.ledger.BindInt64(2, c.Info.Seq), db.ledger.BindInt64(3, int64(len(c.Records))), db.ledger.BindRawText(4, db.body))
	if err != nil {
		return err
	}
	return db.ledger.Exec()
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
