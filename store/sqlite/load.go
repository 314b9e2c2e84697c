package sqlite

import (
	"cmp"
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The queries for one run.
const (
	// By the index of runs.run_id; whether there is mail and are waits by messages_open and waits_run.
	sqlPosition = `SELECT run_no, seq, head, mail_seq, fence, EXISTS (SELECT 1 FROM messages m WHERE m.taken = 0 AND m.direct = 1 AND m.mailbox = r.run_id),
		EXISTS (SELECT 1 FROM waits w WHERE w.run_no = r.run_no AND w.wait_key > '') FROM runs r WHERE run_id = ?`
	sqlSnapshot = `SELECT seq, body FROM snapshots WHERE run_no = ?`                          // by primary key
	sqlCommand  = `SELECT fingerprint, seq FROM commands WHERE run_no = ? AND command_id = ?` // by primary key
)

// row is what is read of a run first.
type row struct {
	no             int64
	at             bide.Position
	mailSeq, fence int64
	mail, waits    bool // whether there may be messages to it, and are open waits on keys
}

// view gives f a run's number and position. Everything that f reads is of the
// same state of the file, since the query for the position is still open.
func (s *Store) view(ctx context.Context, runID string, f func(*reader, row) error) error {
	return s.read(ctx, "read run "+runID, func(r *reader) (err error) {
		q := r.query(sqlPosition)
		defer func() { err = cmp.Or(err, q.reset()) }()
		found, err := q.text(runID).step()
		if err != nil {
			return err
		}
		if !found {
			return notFound(runID)
		}
		run := row{no: q.stmt.ColumnInt64(0), at: bide.Position{Seq: q.stmt.ColumnInt64(1)}, mailSeq: q.stmt.ColumnInt64(3),
			fence: q.stmt.ColumnInt64(4), mail: q.stmt.ColumnBool(5), waits: q.stmt.ColumnBool(6)}
		copy(run.at.Head[:], q.stmt.ColumnRawBlob(2))
		return f(r, run)
	})
}

func notFound(runID string) error {
	return &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + runID, Run: runID}
}

// Load implements bide.Store.
func (s *Store) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	out := &bide.Stored{}
	err := s.view(ctx, runID, func(r *reader, run row) (err error) {
		out.Position, out.MailSeq, out.Fence = run.at, run.mailSeq, run.fence
		after := have.Seq
		if have.Seq == 0 {
			if out.Snapshot, out.SnapshotSeq, err = r.snapshot(run.no); err != nil {
				return err
			}
			after = out.SnapshotSeq
		}
		if after < run.at.Seq {
			if out.Records, err = r.records(run.no, after+1, run.at.Seq-after); err != nil {
				return err
			}
		}
		out.Mail, out.MailMore, err = r.mail(runID, &run)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Records implements bide.Store.
func (s *Store) Records(ctx context.Context, runID string, from int64, limit int) (out [][]byte, err error) {
	err = s.view(ctx, runID, func(r *reader, run row) (err error) {
		from := max(from, 1)
		if n := min(int64(limit), run.at.Seq-from+1); n > 0 {
			out, err = r.records(run.no, from, n)
		}
		return err
	})
	return out, err
}

// Command implements bide.Store.
func (s *Store) Command(ctx context.Context, runID, commandID string) (out *bide.CommandRecord, err error) {
	err = s.view(ctx, runID, func(r *reader, run row) error {
		err := r.query(sqlCommand).int(run.no).text(commandID).rows(func(stmt *sqlite3.Stmt) error {
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
	err = r.query(sqlSnapshot).int(runNo).rows(func(stmt *sqlite3.Stmt) error {
		seq, body = stmt.ColumnInt64(0), stmt.ColumnBlob(1, []byte{})
		return nil
	})
	return body, seq, err
}
