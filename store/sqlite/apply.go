package sqlite

import (
	"cmp"
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements of a commit.
const (
	// The index of runs.run_id serves it.
	sqlFindRun = `SELECT run_no, seq, head, status, wake_at FROM runs WHERE run_id = ?`

	sqlInsertRun = `INSERT INTO runs (run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at,
		workflow, run_key, session, actor, parent, labels, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// By primary key. It names no indexed column, so that no index is touched.
	sqlAdvanceRun = `UPDATE runs SET seq = ?, head = ?, node = ?, step = ?, version = ?, definition = ?, updated_at = ?, ended_at = ? WHERE run_no = ?`

	// By primary key; moves the run in runs_status and runs_wake.
	sqlUpdateRun = `UPDATE runs SET seq = ?, head = ?, node = ?, step = ?, version = ?, definition = ?, updated_at = ?, ended_at = ?,
		status = ?, wake_at = ? WHERE run_no = ?`

	sqlInsertRecord = `INSERT INTO ledger (run_no, seq, body) VALUES (?, ?, ?)`
	sqlInsertWait   = `INSERT INTO waits (wait_id, kind, wait_key, created_at, body) VALUES (?, ?, ?, ?, ?)`
	sqlDeleteWait   = `DELETE FROM waits WHERE wait_id = ?` // by the index of waits.wait_id
	sqlPutCommand   = `INSERT OR REPLACE INTO commands (run_no, command_id, fingerprint, seq) VALUES (?, ?, ?, ?)`
	sqlPutSnapshot  = `INSERT OR REPLACE INTO snapshots (run_no, seq, body) VALUES (?, ?, ?)`
)

// statements are those of one commit, prepared on the writer's connection.
type statements struct {
	findRun, insertRun, advanceRun, updateRun        *sqlite3.Stmt
	insertRecord, insertWait, deleteWait, putCommand *sqlite3.Stmt
	putSnapshot                                      *sqlite3.Stmt
}

func (s *statements) prepare(conn *sqlite3.Conn) error {
	return errors.Join(
		prepare(conn, &s.findRun, sqlFindRun),
		prepare(conn, &s.insertRun, sqlInsertRun),
		prepare(conn, &s.advanceRun, sqlAdvanceRun),
		prepare(conn, &s.updateRun, sqlUpdateRun),
		prepare(conn, &s.insertRecord, sqlInsertRecord),
		prepare(conn, &s.insertWait, sqlInsertWait),
		prepare(conn, &s.deleteWait, sqlDeleteWait),
		prepare(conn, &s.putCommand, sqlPutCommand),
		prepare(conn, &s.putSnapshot, sqlPutSnapshot),
	)
}

func (s *statements) all() []*sqlite3.Stmt {
	return []*sqlite3.Stmt{s.findRun, s.insertRun, s.advanceRun, s.updateRun, s.insertRecord, s.insertWait, s.deleteWait, s.putCommand, s.putSnapshot}
}

// place is where a run is in the file.
type place struct {
	runNo    int64
	at       bide.Position
	status   bide.Status
	wakeAt   int64
	hasTimer bool
}

// apply writes one commit within the transaction. The outcome is the commit's
// own, nil or a conflict; an error means that the transaction cannot go on.
func (s *statements) apply(e *entry) (outcome, err error) {
	p, err := s.find(e.runID)
	if err != nil {
		return nil, err
	}
	switch p.at {
	case e.info.Position():
		return nil, nil // sent again
	case e.expect:
	default:
		return conflict(e, p.at), nil
	}
	if err := s.putRun(e, &p); err != nil {
		return nil, err
	}
	for _, r := range e.records {
		if err := with(s.insertRecord).int(p.runNo).int(r.seq).raw(r.raw).exec(); err != nil {
			return nil, err
		}
	}
	return nil, s.putRest(e, p.runNo)
}

func (s *statements) find(runID string) (p place, err error) {
	defer func() { err = cmp.Or(err, s.findRun.Reset()) }()
	found, err := with(s.findRun).text(runID).step()
	if !found || err != nil {
		return p, err
	}
	p.runNo = s.findRun.ColumnInt64(0)
	p.at.Seq = s.findRun.ColumnInt64(1)
	copy(p.at.Head[:], s.findRun.ColumnRawBlob(2))
	p.status = bide.Status(s.findRun.ColumnRawText(3))
	p.hasTimer = s.findRun.ColumnType(4) != sqlite3.NULL
	p.wakeAt = s.findRun.ColumnInt64(4)
	return p, nil
}

// putRun inserts or changes the run's row.
func (s *statements) putRun(e *entry, p *place) error {
	i := &e.info
	if p.runNo == 0 {
		err := with(s.insertRun).text(e.runID).int(i.Seq).blob(i.Head[:]).text(string(i.Status)).time(i.WakeAt).
			text(i.Node).int(i.Step).text(i.Version).text(i.Definition).int(i.UpdatedAt.UnixMicro()).time(i.EndedAt).
			text(i.Workflow).text(i.Key).text(i.Session).text(i.Actor).text(i.Parent).raw(e.labels).int(i.CreatedAt.UnixMicro()).exec()
		p.runNo = s.insertRun.Conn().LastInsertRowID()
		return err
	}
	sameTimer := p.hasTimer != i.WakeAt.IsZero() && (!p.hasTimer || p.wakeAt == i.WakeAt.UnixMicro())
	stmt := s.updateRun
	if sameTimer && p.status == i.Status {
		stmt = s.advanceRun
	}
	c := with(stmt).int(i.Seq).blob(i.Head[:]).text(i.Node).int(i.Step).text(i.Version).text(i.Definition).
		int(i.UpdatedAt.UnixMicro()).time(i.EndedAt)
	if stmt == s.updateRun {
		c = c.text(string(i.Status)).time(i.WakeAt)
	}
	return c.int(p.runNo).exec()
}

// putRest writes what most commits do not have.
func (s *statements) putRest(e *entry, runNo int64) error {
	for _, id := range e.closed {
		if err := with(s.deleteWait).text(id).exec(); err != nil {
			return err
		}
	}
	for i := range e.opened {
		w := &e.opened[i]
		if err := with(s.insertWait).text(w.id).text(w.kind).text(w.key).int(w.created).raw(w.body).exec(); err != nil {
			return err
		}
	}
	if c := e.command; c != nil {
		if err := with(s.putCommand).int(runNo).text(c.ID).blob(c.Fingerprint[:]).int(c.Seq).exec(); err != nil {
			return err
		}
	}
	if e.snapshot != nil {
		return with(s.putSnapshot).int(runNo).int(e.info.Seq).blob(e.snapshot).exec()
	}
	return nil
}
