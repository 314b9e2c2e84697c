package sqlite

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements for mailboxes. A message is to a run (direct) or to a key.
const (
	sqlInsertMessage = `INSERT INTO messages (msg_id, direct, mailbox, msg_key, payload, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (msg_id, direct, mailbox) DO NOTHING`

	// Telling a run counts one more message, and since when it can proceed if
	// that was the first. By the index of runs.run_id, and by primary key.
	sqlTell    = `UPDATE runs SET mail_seq = mail_seq + 1, ready_at = CASE WHEN timed THEN ?1 ELSE ready_at END`
	sqlTellRun = sqlTell + ` WHERE run_id = ?2`
	sqlTellNo  = sqlTell + ` WHERE run_no = ?2`
	// By primary key, and by the index waits_key: ?2 lists the keys of waits
	// that match the message's.
	sqlTellWaiting = sqlTell + ` WHERE run_no IN (SELECT run_no FROM waits WHERE wait_key IN (SELECT value FROM json_each(?2)) AND wait_key <> '')`

	// By the index waits_key, and the primary key of runs.
	sqlListeners = `SELECT w.wait_id, r.run_id FROM waits w JOIN runs r ON r.run_no = w.run_no
		WHERE w.wait_key IN (SELECT value FROM json_each(?1)) AND w.wait_key <> ''`

	// By the unique index of messages (msg_id, direct, mailbox).
	sqlFindDirect = `SELECT id FROM messages WHERE msg_id = ?1 AND direct = 1 AND mailbox = ?2 AND taken = 0`
	// By the index waits_run, and for each wait as sqlFindDirect, unless there is
	// no message to a key with this id: a run may have very many waits.
	sqlFindKeyed = `SELECT m.id FROM waits w CROSS JOIN messages m ON m.msg_id = ?1 AND m.direct = 0
		AND m.mailbox BETWEEN w.key_first AND w.key_last AND m.taken = 0
		WHERE w.run_no = ?2 AND w.wait_key <> '' AND EXISTS (SELECT 1 FROM messages k WHERE k.msg_id = ?1 AND k.direct = 0) ORDER BY m.id LIMIT 1`
	sqlTake = `UPDATE messages SET taken = 1, payload = NULL WHERE id = ?` // by primary key

	// By the index of waits.wait_id, and the index messages_open.
	sqlKept = `SELECT 1 FROM waits w WHERE w.wait_id = ?1
		AND EXISTS (SELECT 1 FROM messages m WHERE m.taken = 0 AND m.direct = 0 AND m.mailbox BETWEEN w.key_first AND w.key_last)`
	// By the index waits_run, and for each wait by the index messages_open.
	sqlMailboxes = `SELECT w.key_first, w.key_last FROM waits w WHERE w.run_no = ?1 AND w.wait_key <> ''
		AND EXISTS (SELECT 1 FROM messages m WHERE m.taken = 0 AND m.direct = 0 AND m.mailbox BETWEEN w.key_first AND w.key_last)`
	// Both by the index messages_open.
	sqlNextMailbox = `SELECT mailbox FROM messages WHERE taken = 0 AND direct = 0 AND mailbox >= ?1 AND mailbox <= ?2 ORDER BY mailbox LIMIT 1`
	sqlMail        = `SELECT id, msg_id, direct, mailbox, msg_key, payload, at FROM messages
		WHERE taken = 0 AND direct = ?1 AND mailbox = ?2 ORDER BY id LIMIT 100`
)

// findMail returns the numbers of the messages that a commit takes, or the id
// of one that is in no mailbox of the run. Of two with the same id it is the one sent first.
func (s *statements) findMail(e *entry, runNo int64) (took []int64, missing string, err error) {
	for _, id := range e.took {
		no := int64(0)
		found := func(row *sqlite3.Stmt) error {
			if n := row.ColumnInt64(0); no == 0 || n < no {
				no = n
			}
			return nil
		}
		err := s.query(sqlFindDirect).text(id).text(e.runID).rows(found)
		if err == nil {
			err = s.query(sqlFindKeyed).text(id).int(runNo).rows(found)
		}
		if err != nil {
			return nil, "", err
		}
		if no == 0 || slices.Contains(took, no) {
			return nil, id, nil
		}
		took = append(took, no)
	}
	return took, "", nil
}

func (s *statements) takeMail(took []int64) error {
	for _, no := range took {
		if err := s.query(sqlTake).int(no).exec(); err != nil {
			return err
		}
	}
	return nil
}

// tellOfKept tells a run of mail that was kept before the commit opened a wait on its key.
func (s *statements) tellOfKept(e *entry, runNo int64) error {
	for i := range e.opened {
		w := &e.opened[i]
		if w.key == "" {
			continue
		}
		kept := false
		err := s.query(sqlKept).text(w.id).rows(func(*sqlite3.Stmt) error {
			kept = true
			return nil
		})
		if err != nil {
			return err
		}
		if kept {
			return s.query(sqlTellNo).int(e.info.UpdatedAt.UnixMicro()).int(runNo).exec()
		}
	}
	return nil
}

func (s *statements) sendAll(e *entry) error {
	for i := range e.send {
		if err := s.send(&e.send[i]); err != nil {
			return err
		}
	}
	return nil
}

// send puts a message where it belongs and tells the runs concerned.
func (s *statements) send(m *bide.Message) error {
	if m.Copies {
		return s.sendCopies(m)
	}
	at := m.At.UnixMicro()
	insert := s.query(sqlInsertMessage).text(m.ID).bool(m.To != "").text(cmp.Or(m.To, m.Key))
	if m.To == "" {
		insert = insert.raw(nil)
	} else {
		insert = insert.text(m.Key)
	}
	fresh, err := insert.raw(m.Payload).int(at).changes()
	switch {
	case err != nil || !fresh:
		return err
	case m.To != "":
		return s.query(sqlTellRun).int(at).text(m.To).exec()
	}
	return s.query(sqlTellWaiting).int(at).texts(matchingKeys(m.Key)).exec()
}

// sendCopies puts a broadcast into the mailboxes of those who listen.
func (s *statements) sendCopies(m *bide.Message) error {
	var copies []bide.Message
	err := s.query(sqlListeners).texts(matchingKeys(m.Key)).rows(func(row *sqlite3.Stmt) error {
		copies = append(copies, bide.Message{ID: m.ID + "/" + row.ColumnText(0), To: row.ColumnText(1), Key: m.Key, Payload: m.Payload, At: m.At})
		return nil
	})
	for i := range copies {
		err = cmp.Or(err, s.send(&copies[i]))
	}
	return err
}

// matchingKeys are the keys of waits that match a message's: its own, and those
// that end in a star after one of its colons.
func matchingKeys(key string) []string {
	out := []string{key}
	for i := range len(key) {
		if star := key[:i] + ":*"; key[i] == ':' && star != key {
			out = append(out, star)
		}
	}
	return out
}

// mail reads the messages that a run can take, in the order of sending: the
// first hundred of each of its mailboxes.
func (s *statements) mail(runID string, runNo int64) ([]bide.Message, error) {
	var found mailReader
	if err := found.read(s, true, runID); err != nil {
		return nil, err
	}
	type span struct{ first, last string }
	var spans []span
	err := s.query(sqlMailboxes).int(runNo).rows(func(row *sqlite3.Stmt) error {
		spans = append(spans, span{row.ColumnText(0), row.ColumnText(1)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, keys := range spans {
		for from := keys.first; ; {
			box := ""
			err := s.query(sqlNextMailbox).text(from).text(keys.last).rows(func(row *sqlite3.Stmt) error {
				box = row.ColumnText(0)
				return nil
			})
			if err == nil && box != "" && !seen[box] {
				err = found.read(s, false, box)
			}
			if err != nil {
				return nil, err
			}
			if box == "" {
				break
			}
			seen[box], from = true, box+"\x00"
		}
	}
	return found.inOrder(), nil
}

// mailReader gathers messages of several mailboxes.
type mailReader struct{ found []numbered }

type numbered struct {
	no  int64
	msg bide.Message
}

func (r *mailReader) read(s *statements, direct bool, box string) error {
	return s.query(sqlMail).bool(direct).text(box).rows(func(row *sqlite3.Stmt) error {
		m := bide.Message{ID: row.ColumnText(1), Key: row.ColumnText(3), At: columnTime(row, 6)}
		if direct {
			m.To, m.Key = box, row.ColumnText(4)
		}
		if row.ColumnType(5) != sqlite3.NULL {
			m.Payload = bide.JSON(strings.Clone(row.ColumnText(5)))
		}
		r.found = append(r.found, numbered{row.ColumnInt64(0), m})
		return row.Err()
	})
}

func (r *mailReader) inOrder() (out []bide.Message) {
	slices.SortFunc(r.found, func(a, b numbered) int { return cmp.Compare(a.no, b.no) })
	for _, f := range r.found {
		out = append(out, f.msg)
	}
	return out
}
