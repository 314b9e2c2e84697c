package main

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/store/mem"
)

// record makes n runs in memory and keeps their commits: the rows to write raw.
func record(ctx context.Context, n, inFlight int) ([]*bide.Commit, error) {
	rec := &load.Recorder{Store: mem.New()}
	_, _, err := load.Drive(ctx, rec, n, inFlight)
	return rec.Commits, err
}

// raw writes the rows of commits straight to SQLite, so many commits in a
// transaction, by one goroutine: what the engine allows.
func raw(path, fs string, commits []*bide.Commit, group int) (time.Duration, error) {
	db, err := sqlite3.Open("file:" + path + "?vfs=" + fs)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.Exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=8000;
		CREATE TABLE runs (run_no INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, node TEXT NOT NULL,
			step INTEGER NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL, updated_at INTEGER NOT NULL) STRICT;
		CREATE TABLE ledger (id INTEGER PRIMARY KEY, run_no INTEGER NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
		CREATE UNIQUE INDEX ledger_run ON ledger (run_no, seq)`)
	if err != nil {
		return 0, err
	}
	w := rawWriter{numbers: map[string]int64{}}
	for _, p := range []struct {
		stmt **sqlite3.Stmt
		sql  string
	}{
		{&w.begin, `BEGIN IMMEDIATE`},
		{&w.commit, `COMMIT`},
		{&w.insert, `INSERT INTO runs (run_no, run_id, status, node, step, seq, head, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`},
		{&w.update, `UPDATE runs SET status=?3, node=?4, step=?5, seq=?6, head=?7, updated_at=?8 WHERE run_no=?1 AND run_id=?2`},
		{&w.ledger, `INSERT INTO ledger (run_no, seq, body) VALUES (?1, ?2, ?3)`},
	} {
		if *p.stmt, _, err = db.Prepare(p.sql); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	for len(commits) > 0 {
		n := min(group, len(commits))
		if err := w.write(commits[:n]); err != nil {
			return 0, err
		}
		commits = commits[n:]
	}
	return time.Since(start), nil
}

type rawWriter struct {
	begin, commit, insert, update, ledger *sqlite3.Stmt
	numbers                               map[string]int64
}

func (w *rawWriter) write(commits []*bide.Commit) error {
	if err := w.begin.Exec(); err != nil {
		return err
	}
	for _, c := range commits {
		stmt := w.update
		no, ok := w.numbers[c.RunID]
		if !ok {
			no = int64(len(w.numbers) + 1)
			w.numbers[c.RunID], stmt = no, w.insert
		}
		err := firstError(stmt.BindInt64(1, no), stmt.BindText(2, c.RunID), stmt.BindText(3, string(c.Info.Status)), stmt.BindText(4, c.Info.Node),
			stmt.BindInt64(5, c.Info.Step), stmt.BindInt64(6, c.Info.Seq), stmt.BindBlob(7, c.Info.Head[:]), stmt.BindInt64(8, c.Info.UpdatedAt.UnixMicro()))
		if err == nil {
			err = stmt.Exec()
		}
		if err != nil {
			return err
		}
		for _, r := range c.Records {
			err := firstError(w.ledger.BindInt64(1, no), w.ledger.BindInt64(2, r.Seq), w.ledger.BindRawText(3, r.Raw))
			if err == nil {
				err = w.ledger.Exec()
			}
			if err != nil {
				return err
			}
		}
	}
	return w.commit.Exec()
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
