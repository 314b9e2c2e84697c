package sqlite

import "github.com/bide-dev/bide"

// The statements that remove a run, each by an index that begins with its column.
var sqlDeleteRun = []string{
	// The primary key of labels.
	`DELETE FROM labels WHERE (name, value, created_at, run_id) IN
		(SELECT l.key, l.value, r.created_at, r.run_id FROM runs r, json_each(r.labels) l WHERE r.run_no = ?)`,
	`DELETE FROM snapshots WHERE run_no = ?`,
	`DELETE FROM commands  WHERE run_no = ?`,
	`DELETE FROM waits     WHERE run_no = ?`, // an ended run has none; a damaged one may
	`DELETE FROM runs      WHERE run_no = ?`,
	// The newest record of the ledger stays as a grave, of no run, until there is a newer
	// one: SQLite gives its number plus one to the next, and no position of the feed comes twice.
	`DELETE FROM ledger WHERE run_no IN (0, ?) AND id < (SELECT max(id) FROM ledger)`,
	`UPDATE ledger SET run_no = 0, seq = 0, records = 1, body = '', packed = NULL WHERE run_no = ?`,
}

// By the index messages_box. The ids of what was sent to it go as well.
const sqlDeleteMail = `DELETE FROM messages WHERE mailbox = ? AND direct = 1`

// deleteRun is a commit that removes its run.
type deleteRun struct {
	runID  string
	expect bide.Position
}

func (d deleteRun) apply(s *statements) (outcome, err error) {
	p, err := s.find(d.runID)
	switch {
	case err != nil:
		return nil, err
	case p.runNo == 0:
		return nil, nil // sent again
	case p.at != d.expect:
		return bide.Errorf(bide.CodeConflict, "run %s is at record %d, not %d", d.runID, p.at.Seq, d.expect.Seq), nil
	}
	delete(s.known, d.runID)
	err = s.query(sqlDeleteMail).text(d.runID).exec()
	for _, sql := range sqlDeleteRun {
		if err == nil {
			err = s.query(sql).int(p.runNo).exec()
		}
	}
	return nil, err
}
