package sqlite

import "github.com/bide-dev/bide"

// The statements that remove a run, each by an index that begins with its column.
var sqlDeleteRun = []string{
	`DELETE FROM ledger    WHERE run_no = ?`,
	`DELETE FROM snapshots WHERE run_no = ?`,
	`DELETE FROM commands  WHERE run_no = ?`,
	`DELETE FROM waits     WHERE run_no = ? AND wait_key <> ''`, // an ended run has none; a damaged one may
	`DELETE FROM runs      WHERE run_no = ?`,
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
