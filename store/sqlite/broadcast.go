package sqlite

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements of broadcasts.
const (
	// By the index waits_key.
	sqlListeners = `SELECT wait_id, run_id FROM waits WHERE wait_key IN (SELECT value FROM json_each(?1)) AND wait_key <> ''`

	// One that is over does not stand in the way of another with its id.
	sqlKeepBroadcast = `INSERT INTO broadcasts (msg_id, msg_key, payload, at, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT (msg_id, msg_key)
		DO UPDATE SET payload = excluded.payload, at = excluded.at, until = excluded.until WHERE until <= excluded.at`
	// By the index broadcasts_until, and by primary key.
	sqlPruneBroadcasts = `DELETE FROM broadcasts WHERE id IN (SELECT id FROM broadcasts WHERE until <= ? ORDER BY until LIMIT 100)`
	// By the index broadcasts_key.
	sqlBroadcasts = `SELECT msg_id, msg_key, payload, at FROM broadcasts
		WHERE msg_key BETWEEN ?1 AND ?2 AND at >= ?3 AND until > ?4 ORDER BY at, id`
)

// pruneAfter is how long a broadcast stays after it is over, for commits that were
// made before that and come late. The time is that of a newer broadcast.
const pruneAfter = time.Hour

// broadcast puts a message into the mailboxes of those who listen, and keeps it for
// those who will, if it says so.
func (s *statements) broadcast(m *bide.Message) error {
	var copies []outgoing
	err := s.query(sqlListeners).texts(matchingKeys(m.Key)).rows(func(row *sqlite3.Stmt) error {
		copies = append(copies, copyFor(m, row.ColumnText(0), row.ColumnText(1)))
		return nil
	})
	if err == nil {
		err = s.sendCopies(copies)
	}
	if m.Until.IsZero() || err != nil {
		return err
	}
	if err := s.query(sqlPruneBroadcasts).int(m.At.Add(-pruneAfter).UnixMicro()).exec(); err != nil {
		return err
	}
	return s.query(sqlKeepBroadcast).text(m.ID).text(m.Key).raw(m.Payload).int(m.At.UnixMicro()).int(m.Until.UnixMicro()).exec()
}

// copyKept gives the run of a wait that the entry opened its copies of kept broadcasts.
func (s *statements) copyKept(e *entry, w *entryWait) error {
	var copies []outgoing
	first, last := keySpan(w.key)
	err := s.query(sqlBroadcasts).text(first).text(last).int(w.since.UnixMicro()).int(e.info.UpdatedAt.UnixMicro()).rows(func(row *sqlite3.Stmt) error {
		m := bide.Message{ID: row.ColumnText(0), Key: row.ColumnText(1), At: columnTime(row, 3)}
		if row.ColumnType(2) != sqlite3.NULL {
			m.Payload = row.ColumnBlob(2, nil)
		}
		copies = append(copies, copyFor(&m, w.id, e.runID))
		return row.Err()
	})
	if err != nil {
		return err
	}
	return s.sendCopies(copies)
}

// copyFor is the copy of a broadcast that a wait gets.
func copyFor(m *bide.Message, waitID, runID string) outgoing {
	return outgoing{Message: bide.Message{ID: m.ID + "/" + waitID, To: runID, Key: m.Key, Payload: m.Payload, At: m.At}}
}

func (s *statements) sendCopies(copies []outgoing) error {
	for i := range copies {
		if err := s.send(&copies[i]); err != nil {
			return err
		}
	}
	return nil
}
