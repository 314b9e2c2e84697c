package sqlite

import (
	"bytes"
	"cmp"
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The queries for one run.
const (
	sqlPosition = `SELECT run_no, seq, head FROM runs WHERE run_id = ?`                        // by the index of runs.run_id
	sqlSnapshot = `SELECT seq, body FROM snapshots WHERE run_no = ?`                           // by primary key
	sqlRecords  = `SELECT body FROM ledger WHERE run_no = ? AND seq >= ? ORDER BY seq LIMIT ?` // by the index of ledger (run_no, seq)
	sqlCommand  = `SELECT fingerprint, seq FROM commands WHERE run_no = ? AND command_id = ?`  // by primary key
)

// view gives f a run's number and position. Everything that f reads is of the
// same state of the file, since the query for the position is still open.
func (s *Store) view(ctx context.Context, runID string, f func(r *reader, runNo int64, at bide.Position) error) error {
	return s.read(ctx, "read run "+runID, func(r *reader) (err error) {
		q, err := r.query(sqlPosition)
		if err != nil {
			return err
		}
		defer func() { err = cmp.Or(err, q.stmt.Reset()) }()
		found, err := q.text(runID).step()
		if err != nil {
			return err
		}
		if !found {
			return &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + runID, Run: runID}
		}
		at := bide.Position{Seq: q.stmt.ColumnInt64(1)}
		copy(at.Head[:], q.stmt.ColumnRawBlob(2))
		return f(r, q.stmt.ColumnInt64(0), at)
	})
}

// Load implements bide.Store.
func (s *Store) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	out := &bide.Stored{}
	err := s.view(ctx, runID, func(r *reader, runNo int64, at bide.Position) (err error) {
		out.Position = at
		after := have.Seq
		if have.Seq == 0 {
			if out.Snapshot, out.SnapshotSeq, err = r.snapshot(runNo); err != nil {
				return err
			}
			after = out.SnapshotSeq
		}
		if after < at.Seq {
			out.Records, err = r.records(runNo, after+1, at.Seq-after)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Records implements bide.Store.
func (s *Store) Records(ctx context.Context, runID string, from int64, limit int) (out [][]byte, err error) {
	err = s.view(ctx, runID, func(r *reader, runNo int64, at bide.Position) (err error) {
		from := max(from, 1)
		if n := min(int64(limit), at.Seq-from+1); n > 0 {
			out, err = r.records(runNo, from, n)
		}
		return err
	})
	return out, err
}

// Command implements bide.Store.
func (s *Store) Command(ctx context.Context, runID, commandID string) (out *bide.CommandRecord, err error) {
	err = s.view(ctx, runID, func(r *reader, runNo int64, _ bide.Position) error {
		q, err := r.query(sqlCommand)
		if err != nil {
			return err
		}
		err = q.int(runNo).text(commandID).rows(func(stmt *sqlite3.Stmt) error {
			out = &bide.CommandRecord{ID: commandID, Seq: stmt.ColumnInt64(1)}
			copy(out.Fingerprint[:], stmt.ColumnRawBlob(0))
			return nil
		})
		if err == nil && out == nil {
			return &bide.Error{Code: bide.CodeNotFound, Message: "run " + runID + " has seen no command " + commandID, Run: runID}
		}
		return err
	})
	return out, err
}

func (r *reader) snapshot(runNo int64) (body []byte, seq int64, err error) {
	q, err := r.query(sqlSnapshot)
	if err != nil {
		return nil, 0, err
	}
	err = q.int(runNo).rows(func(stmt *sqlite3.Stmt) error {
		seq, body = stmt.ColumnInt64(0), stmt.ColumnBlob(1, []byte{})
		return nil
	})
	return body, seq, err
}

func (r *reader) records(runNo, from, limit int64) ([][]byte, error) {
	q, err := r.query(sqlRecords)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, 0, min(limit, 1000))
	err = q.int(runNo).int(from).int(limit).rows(func(stmt *sqlite3.Stmt) error {
		out = append(out, bytes.Clone(stmt.ColumnRawText(0)))
		return stmt.Err()
	})
	return out, err
}
