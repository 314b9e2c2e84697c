package sqlite

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements for mailboxes. A message is to a run (direct) or to a key.
const (
	sqlInsertMessage = `INSERT INTO messages (msg_id, direct, mailbox, msg_key, payload, at, taken) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (msg_id, direct, mailbox) DO NOTHING`

	// Telling a run counts one more message, and since when it can proceed if
	// that was the first. By the index of runs.run_id, and by primary key.
	sqlTell    = `UPDATE runs SET mail_seq = mail_seq + 1, ready_at = CASE WHEN timed THEN max(ready_at, ?1) ELSE ready_at END`
	sqlTellRun = sqlTell + ` WHERE run_id = ?2`
	sqlTellNo  = sqlTell + ` WHERE run_no = ?2`
	// By primary key, and by the index waits_key: ?2 lists the keys of waits
	// that match the message's.
	sqlTellWaiting = sqlTell + ` WHERE run_no IN (SELECT run_no FROM waits WHERE wait_key IN (SELECT value FROM json_each(?2)) AND wait_key <> '')`

	// Whether message m matches a wait of run ?2, from wait number ?3 on. By the index waits_run, and by
	// waits_star, which holds the waits for many keys.
	sqlWanted = `(EXISTS (SELECT 1 FROM waits w WHERE w.run_no = ?2 AND w.wait_key = ifnull(m.msg_key, m.mailbox) AND w.wait_key <> '' AND w.id >= ?3)
		OR EXISTS (SELECT 1 FROM waits w WHERE w.run_no = ?2 AND substr(w.wait_key, -2) = ':*'
			AND ifnull(m.msg_key, m.mailbox) BETWEEN w.key_first AND w.key_last AND w.id >= ?3))`

	// By the unique index of messages (msg_id, direct, mailbox).
	sqlSent       = `SELECT 1 FROM messages WHERE msg_id = ?1 AND direct = ?2 AND mailbox = ?3`
	sqlFindDirect = `SELECT id FROM messages WHERE msg_id = ?1 AND direct = 1 AND mailbox = ?2 AND taken = 0`
	sqlFindKeyed  = `SELECT m.id FROM messages m WHERE m.msg_id = ?1 AND m.direct = 0 AND m.taken = 0 AND ` + sqlWanted + ` ORDER BY m.id LIMIT 1`
	sqlTake       = `UPDATE messages SET taken = 1, payload = NULL WHERE id = ?` // by primary key

	// All by the index messages_open.
	sqlKeptDirect = `SELECT 1 FROM messages m WHERE m.taken = 0 AND m.direct = 1 AND m.mailbox = ?1 AND ` + sqlWanted + ` LIMIT 1`
	sqlKeptKeyed  = `SELECT 1 FROM messages WHERE taken = 0 AND direct = 0 AND mailbox BETWEEN ?1 AND ?2 LIMIT 1`
	sqlDirect     = `SELECT m.id FROM messages m WHERE m.taken = 0 AND m.direct = 1 AND m.mailbox = ?1
		AND (m.msg_key = 'cancel:' || ?1 OR ` + sqlWanted + `) ORDER BY m.id LIMIT ?4`
	sqlAllDirect   = `SELECT id FROM messages WHERE taken = 0 AND direct = 1 AND mailbox = ?1 ORDER BY id`
	sqlNextMailbox = `SELECT mailbox FROM messages WHERE taken = 0 AND direct = 0 AND mailbox >= ?1 AND mailbox <= ?2 ORDER BY mailbox LIMIT 1`
	sqlMailbox     = `SELECT id FROM messages WHERE taken = 0 AND direct = 0 AND mailbox = ?1 ORDER BY id LIMIT ?2`
	// By the index waits_run, between the first and the last key that there is mail for: the ends of
	// ten thousand children are not among them.
	sqlMailboxes = `SELECT w.wait_key FROM waits w WHERE w.run_no = ?1
		AND w.wait_key >= (SELECT mailbox FROM messages WHERE taken = 0 AND direct = 0 ORDER BY mailbox LIMIT 1)
		AND w.wait_key <= (SELECT mailbox FROM messages WHERE taken = 0 AND direct = 0 ORDER BY mailbox DESC LIMIT 1)
		AND EXISTS (SELECT 1 FROM messages m WHERE m.taken = 0 AND m.direct = 0 AND m.mailbox = w.wait_key)`
	sqlStars   = `SELECT key_first, key_last FROM waits WHERE run_no = ?1 AND substr(wait_key, -2) = ':*'` // waits_star
	sqlMessage = `SELECT msg_id, direct, mailbox, msg_key, payload, at FROM messages WHERE id = ?`         // by primary key
)

// outgoing is a message that a commit sends.
type outgoing struct {
	bide.Message
	taken bool // by the same commit
}

// box is the mailbox that a message is for, and whether it is a run's.
func (m *outgoing) box() (box string, direct bool) { return cmp.Or(m.To, m.Key), m.To != "" }

// findMail returns the numbers of the messages that a commit takes, or what is
// wrong with one. Of two with the same id it is the one sent first.
func (s *statements) findMail(e *entry, runNo int64) (took []int64, fault string, err error) {
	for _, id := range e.took {
		if m := e.sends(id); m != nil {
			box, direct := m.box()
			sent, err := s.query(sqlSent).text(id).bool(direct).text(box).any()
			if sent || err != nil {
				return nil, "message " + id + ", which it sends and takes, was sent before", err
			}
			m.taken = true
			continue
		}
		no := int64(0)
		found := func(row *sqlite3.Stmt) error {
			if n := row.ColumnInt64(0); no == 0 || n < no {
				no = n
			}
			return nil
		}
		err := s.query(sqlFindDirect).text(id).text(e.runID).rows(found)
		if err == nil {
			err = s.query(sqlFindKeyed).text(id).int(runNo).int(0).rows(found)
		}
		if err != nil {
			return nil, "", err
		}
		if no == 0 || slices.Contains(took, no) {
			return nil, "message " + id + " is not there for it to take", nil
		}
		took = append(took, no)
	}
	return took, "", nil
}

// sends returns the message with an id that the entry sends to where its run could take it.
func (e *entry) sends(id string) *outgoing {
	for i := range e.send {
		if m := &e.send[i]; m.ID == id && !m.Copies && (m.To == "" || m.To == e.runID) {
			return m
		}
	}
	return nil
}

func (s *statements) takeMail(took []int64) error {
	for _, no := range took {
		if err := s.query(sqlTake).int(no).exec(); err != nil {
			return err
		}
	}
	return nil
}

// bringMail gives a run what was sent before the commit opened waits for it: it is told of
// kept messages, and gets its copies of kept broadcasts.
func (s *statements) bringMail(e *entry, runNo int64) error {
	if len(e.opened) == 0 {
		return nil
	}
	kept, err := s.hasMail(e, runNo)
	if kept && err == nil {
		err = s.query(sqlTellNo).int(e.info.UpdatedAt.UnixMicro()).int(runNo).exec()
	}
	for i := range e.opened {
		if w := &e.opened[i]; err == nil && !w.since.IsZero() && w.key != "" {
			err = s.copyKept(e, w)
		}
	}
	return err
}

// hasMail reports whether there is a message for a wait that the commit opened.
func (s *statements) hasMail(e *entry, runNo int64) (kept bool, err error) {
	keyed := false
	for i := range e.opened {
		w := &e.opened[i]
		if w.key == "" {
			continue
		}
		keyed = true
		first, last := keySpan(w.key)
		if kept, err = s.query(sqlKeptKeyed).text(first).text(last).any(); kept || err != nil {
			return kept, err
		}
	}
	if !keyed {
		return false, nil
	}
	return s.query(sqlKeptDirect).text(e.runID).int(runNo).int(e.opened[0].no).any()
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
func (s *statements) send(m *outgoing) error {
	if m.Copies {
		return s.broadcast(&m.Message)
	}
	box, direct := m.box()
	at := m.At.UnixMicro()
	insert := s.query(sqlInsertMessage).text(m.ID).bool(direct).text(box)
	if direct {
		insert = insert.text(m.Key)
	} else {
		insert = insert.raw(nil)
	}
	payload := m.Payload
	if m.taken {
		payload = nil
	}
	fresh, err := insert.raw(payload).int(at).bool(m.taken).changes()
	switch {
	case err != nil || !fresh || m.taken:
		return err
	case direct:
		return s.query(sqlTellRun).int(at).text(m.To).exec()
	}
	return s.query(sqlTellWaiting).int(at).texts(matchingKeys(m.Key)).exec()
}

// keySpan are the first and the last of the keys that a wait's matches.
func keySpan(waitKey string) (first, last string) {
	if stem, ok := strings.CutSuffix(waitKey, ":*"); ok {
		return stem + ":", stem + ":\U0010FFFF"
	}
	return waitKey, waitKey
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

// maxMail is how many messages a load gives at most.
const maxMail = 100

// mail reads the messages that a run can take, in the order of sending.
func (s *statements) mail(runID string, run *row) (out []bide.Message, more bool, err error) {
	var found []int64
	collect := func(row *sqlite3.Stmt) error {
		found = append(found, row.ColumnInt64(0))
		return nil
	}
	if run.mail {
		if err := s.query(sqlDirect).text(runID).int(run.no).int(0).int(maxMail + 1).rows(collect); err != nil {
			return nil, false, err
		}
	}
	if run.waits {
		boxes, err := s.mailboxes(run.no)
		if err != nil {
			return nil, false, err
		}
		for _, box := range boxes {
			if err := s.query(sqlMailbox).text(box).int(maxMail + 1).rows(collect); err != nil {
				return nil, false, err
			}
		}
	}
	slices.Sort(found)
	more = len(found) > maxMail
	for _, no := range found[:min(len(found), maxMail)] {
		m, err := s.message(no)
		if err != nil {
			return nil, false, err
		}
		out = append(out, m)
	}
	return out, more, nil
}

// mailboxes lists the keys with mail that a run has waits on.
func (s *statements) mailboxes(runNo int64) (boxes []string, err error) {
	err = s.query(sqlMailboxes).int(runNo).rows(func(row *sqlite3.Stmt) error {
		boxes = append(boxes, row.ColumnText(0))
		return nil
	})
	type span struct{ first, last string }
	var stars []span
	if err == nil {
		err = s.query(sqlStars).int(runNo).rows(func(row *sqlite3.Stmt) error {
			stars = append(stars, span{row.ColumnText(0), row.ColumnText(1)})
			return nil
		})
	}
	for _, keys := range stars {
		for box := keys.first; err == nil; box += "\x00" {
			next := ""
			err = s.query(sqlNextMailbox).text(box).text(keys.last).rows(func(row *sqlite3.Stmt) error {
				next = row.ColumnText(0)
				return nil
			})
			if next == "" {
				break
			}
			box, boxes = next, append(boxes, next)
		}
	}
	slices.Sort(boxes)
	return slices.Compact(boxes), err
}

func (s *statements) message(no int64) (m bide.Message, err error) {
	err = s.query(sqlMessage).int(no).rows(func(row *sqlite3.Stmt) error {
		m = bide.Message{ID: row.ColumnText(0), Key: row.ColumnText(2), At: columnTime(row, 5)}
		if row.ColumnBool(1) {
			m.To, m.Key = m.Key, row.ColumnText(3)
		}
		if row.ColumnType(4) != sqlite3.NULL {
			m.Payload = row.ColumnBlob(4, nil)
		}
		return row.Err()
	})
	return m, err
}

// Mail implements bide.Mailer.
func (s *Store) Mail(ctx context.Context, runID string) (out []bide.Message, err error) {
	err = s.view(ctx, runID, func(r *reader, _ row) error {
		out = nil
		var found []int64
		err := r.query(sqlAllDirect).text(runID).rows(func(row *sqlite3.Stmt) error {
			found = append(found, row.ColumnInt64(0))
			return nil
		})
		if err != nil {
			return err
		}
		for _, no := range found {
			m, err := r.message(no)
			if err != nil {
				return err
			}
			out = append(out, m)
		}
		return nil
	})
	return out, err
}
