package postgres

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The reads of a run. What belongs together is read in one round trip, in a
// transaction that sees one state of the database.
const (
	sqlBegin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	sqlEnd   = `COMMIT`

	// By primary key.
	sqlPosition = `SELECT seq, head, mail_seq, fence FROM runs WHERE run_id = $1`
	// By primary key.
	sqlSnapshot = `SELECT seq, body FROM snapshots WHERE run_id = $1`
	// By primary key.
	sqlRecords = `SELECT body, packed FROM ledger WHERE run_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3`
	// By the primary keys of both tables.
	sqlRecordsAfterSnapshot = `SELECT body, packed FROM ledger WHERE run_id = $1
		AND seq > coalesce((SELECT s.seq FROM snapshots AS s WHERE s.run_id = $1), 0) ORDER BY seq`
	// By primary key.
	sqlCommand = `SELECT fingerprint, seq FROM commands WHERE run_id = $1 AND command_id = $2`

	// The messages that a run can take: to it and to the keys, as far as they match
	// its waits. The primary key of waits gives the keys, the index mail_waiting the messages of each.
	sqlMailColumns = `SELECT m.mailbox, m.id, m.mail_key, m.payload, m.at, m.sent_at, m.ord`
	sqlMailOrder   = ` AND NOT b.taken ORDER BY b.sent_at, b.ord LIMIT $2`
	sqlMail        = sqlMailColumns + ` FROM (
			SELECT wait_key AS key, mailbox FROM waits WHERE run_id = $1 AND mailbox IS NOT NULL AND mailbox_end IS NULL
			UNION SELECT wait_key, $1 FROM waits WHERE run_id = $1 AND mailbox IS NOT NULL AND mailbox_end IS NULL
			UNION SELECT 'cancel:' || $1, $1
		) AS k CROSS JOIN LATERAL (
			SELECT * FROM mail AS b WHERE b.mailbox = k.mailbox AND b.mail_key COLLATE "C" = k.key` + sqlMailOrder + `
		) AS m`
	// All messages to a run. By the index mail_waiting.
	sqlAllMail = sqlMailColumns + ` FROM mail AS m WHERE m.mailbox = $1 AND NOT m.taken`
	// The same for waits on many keys.
	sqlWideMail = sqlMailColumns + ` FROM waits AS w CROSS JOIN LATERAL (
			SELECT * FROM (
				SELECT * FROM mail AS b WHERE b.mailbox >= w.mailbox AND b.mailbox < w.mailbox_end
				UNION ALL
				SELECT * FROM mail AS b WHERE b.mailbox = $1 AND b.mail_key COLLATE "C" >= substr(w.mailbox, 2) AND b.mail_key COLLATE "C" < substr(w.mailbox_end, 2)
			) AS b WHERE true` + sqlMailOrder + `
		) AS m WHERE w.run_id = $1 AND w.mailbox_end IS NOT NULL`
)

// maxMail is how many messages a load gives at most.
const maxMail = 100

// Load implements bide.Store.
func (s *Store) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	var out *bide.Stored
	var head []byte
	var mail []mailRow
	err := s.view(ctx, "load a run", func(b *pgx.Batch) {
		out, head, mail = &bide.Stored{}, nil, nil
		b.Queue(sqlPosition, runID).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&out.Seq, &head, &out.MailSeq, &out.Fence}, func() error { return nil })
			return err
		})
		body := func(rows pgx.Rows) (err error) { out.Records, err = pgx.CollectRows(rows, s.rowToBody); return err }
		if have.Seq == 0 {
			b.Queue(sqlSnapshot, runID).Query(func(rows pgx.Rows) error {
				_, err := pgx.ForEachRow(rows, []any{&out.SnapshotSeq, &out.Snapshot}, func() error { return nil })
				return err
			})
			b.Queue(sqlRecordsAfterSnapshot, runID).Query(body)
		} else {
			b.Queue(sqlRecords, runID, have.Seq+1, int64(math.MaxInt64)).Query(body)
		}
		for _, sql := range []string{sqlMail, sqlWideMail} {
			b.Queue(sql, runID, maxMail+1).Query(func(rows pgx.Rows) error {
				more, err := pgx.CollectRows(rows, rowToMail)
				mail = append(mail, more...)
				return err
			})
		}
	})
	switch {
	case err != nil:
		return nil, err
	case out.Seq == 0:
		return nil, noRun(runID)
	}
	copy(out.Head[:], head)
	out.Mail = messages(runID, mail)
	if out.MailMore = len(out.Mail) > maxMail; out.MailMore {
		out.Mail = out.Mail[:maxMail]
	}
	return out, nil
}

// Mail implements bide.Mailer.
func (s *Store) Mail(ctx context.Context, runID string) ([]bide.Message, error) {
	found, mail := false, []mailRow(nil)
	err := s.view(ctx, "read mail", func(b *pgx.Batch) {
		b.Queue(sqlPosition, runID).Query(func(rows pgx.Rows) error {
			found = rows.Next()
			rows.Close()
			return rows.Err()
		})
		b.Queue(sqlAllMail, runID).Query(func(rows pgx.Rows) (err error) {
			mail, err = pgx.CollectRows(rows, rowToMail)
			return err
		})
	})
	if err == nil && !found {
		err = noRun(runID)
	}
	if err != nil {
		return nil, err
	}
	return messages(runID, mail), nil
}

// view reads what f asks for, from one state of the database.
func (s *Store) view(ctx context.Context, doing string, f func(*pgx.Batch)) error {
	return s.retry(ctx, doing, func() error {
		b := &pgx.Batch{}
		b.Queue(sqlBegin)
		f(b)
		b.Queue(sqlEnd)
		return s.pool.SendBatch(ctx, b).Close()
	})
}

func noRun(runID string) error {
	return &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + runID, Run: runID}
}

// rowToBody returns the text of a record, given its columns body and packed.
func (s *Store) rowToBody(row pgx.CollectableRow) ([]byte, error) {
	if row.RawValues()[1] == nil {
		return bytes.Clone(row.RawValues()[0]), nil
	}
	var body, packed []byte
	if err := row.Scan(&body, &packed); err != nil {
		return nil, err
	}
	return s.unpacked(body, packed)
}

// unpacked is the text of a record, which is in one of the columns body and packed.
func (s *Store) unpacked(body, packed []byte) ([]byte, error) {
	if packed == nil {
		return body, nil
	}
	text, err := s.packer.Unpack(packed)
	if err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "a record cannot be read: %w", err)
	}
	return text, nil
}

// mailRow is a message and its place in the order of sending.
type mailRow struct {
	letter
	key      string
	payload  *string
	at, sent int64
	ord      int32
}

func rowToMail(row pgx.CollectableRow) (m mailRow, err error) {
	return m, row.Scan(&m.mailbox, &m.id, &m.key, &m.payload, &m.at, &m.sent, &m.ord)
}

// messages puts the messages for a run in the order of sending. A message that
// matches several waits counts once.
func messages(runID string, mail []mailRow) (out []bide.Message) {
	slices.SortFunc(mail, func(a, b mailRow) int {
		return cmp.Or(cmp.Compare(a.sent, b.sent), cmp.Compare(a.ord, b.ord), cmp.Compare(a.mailbox, b.mailbox), cmp.Compare(a.id, b.id))
	})
	mail = slices.CompactFunc(mail, func(a, b mailRow) bool { return a.letter == b.letter })
	for _, m := range mail {
		msg := bide.Message{ID: m.id, Key: m.key, At: time.UnixMicro(m.at).UTC()}
		if m.payload != nil {
			msg.Payload = bide.JSON(*m.payload)
		}
		if m.mailbox == runID {
			msg.To = runID
		}
		out = append(out, msg)
	}
	return out
}

// Records implements bide.Store.
func (s *Store) Records(ctx context.Context, runID string, from int64, limit int) (out [][]byte, err error) {
	found := false
	err = s.view(ctx, "read records", func(b *pgx.Batch) {
		b.Queue(sqlPosition, runID).Query(func(rows pgx.Rows) error {
			found = rows.Next()
			rows.Close()
			return rows.Err()
		})
		b.Queue(sqlRecords, runID, from, max(limit, 0)).Query(func(rows pgx.Rows) (err error) {
			out, err = pgx.CollectRows(rows, s.rowToBody)
			return err
		})
	})
	if err == nil && !found {
		err = noRun(runID)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Command implements bide.Store.
func (s *Store) Command(ctx context.Context, runID, commandID string) (*bide.CommandRecord, error) {
	found, err := collect(ctx, s, "read a command", func(row pgx.CollectableRow) (*bide.CommandRecord, error) {
		var print []byte
		c := &bide.CommandRecord{ID: commandID}
		err := row.Scan(&print, &c.Seq)
		copy(c.Fingerprint[:], print)
		return c, err
	}, sqlCommand, runID, commandID)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, &bide.Error{Code: bide.CodeNotFound, Message: "run " + runID + " has seen no command " + commandID, Run: runID}
	}
	return found[0], nil
}
