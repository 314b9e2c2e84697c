package sqlite

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements of a commit. What it does to mailboxes is in mail.go.
const (
	// It touches the indexes of what the run has.
	sqlInsertRun = `INSERT INTO runs (run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at,
		workflow, run_key, session, actor, parent, root, origin, labels, created_at, mail_seen, ready_at, rested_at, owner, driven, fence, claim_mail)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?10,
		CASE WHEN ?4 <> 'running' THEN ?10 END, ?22, ?22 <> '', ?22 <> '', ?21) ON CONFLICT (run_id) DO NOTHING`

	// By primary key, for a run that goes on running. No column that it names is in an index, so that none is touched.
	sqlAdvanceRun = `UPDATE runs SET seq = ?, head = ?, node = ?, step = ?, definition = ?, updated_at = ?, ended_at = ? WHERE run_no = ?`

	// By primary key; moves the run in most indexes of runs.
	sqlUpdateRun = `UPDATE runs SET seq = ?1, head = ?2, node = ?3, step = ?4, definition = ?5, updated_at = ?6, ended_at = ?7,
		status = ?9, wake_at = ?10, version = ?11, driven = ?12, mail_seen = max(mail_seen, ?13),
		ready_at = CASE WHEN status = ?9 THEN ready_at ELSE ?6 END, rested_at = CASE WHEN ?9 <> 'running' THEN ?6 END,
		owner = ifnull(?14, owner), fence = fence + (?14 IS NOT NULL), claim_mail = CASE WHEN ?14 IS NULL THEN claim_mail ELSE ?13 END WHERE run_no = ?8`

	sqlInsertWait = `INSERT INTO waits (wait_id, run_no, kind, wait_key, created_at, body, run_id, run_created, root)
		SELECT ?1, run_no, ?3, ?4, ?5, ?6, run_id, created_at, root FROM runs WHERE run_no = ?2` // by primary key
	sqlDeleteWait  = `DELETE FROM waits WHERE wait_id = ?` // by the index of waits.wait_id
	sqlPutCommand  = `INSERT OR REPLACE INTO commands (run_no, command_id, fingerprint, seq) VALUES (?, ?, ?, ?)`
	sqlPutSnapshot = `INSERT OR REPLACE INTO snapshots (run_no, seq, body) VALUES (?, ?, ?)`

	// By primary key of runs; a run that is new has labels.
	sqlInsertLabels = `INSERT INTO labels (name, value, created_at, run_id)
		SELECT l.key, l.value, r.created_at, r.run_id FROM runs r, json_each(r.labels) l WHERE r.run_no = ?`

	sqlOwner = `SELECT owner FROM runs WHERE run_no = ?` // by primary key
)

// apply does one piece of work within the transaction. The outcome is the
// work's own, nil or why it was refused; then nothing was written. An error
// means that the transaction cannot go on.
func (s *statements) apply(e *entry) (outcome, err error) {
	switch {
	case e.request != nil:
		return e.request.apply(s)
	case e.runID == "":
		return nil, s.sendAll(e)
	}
	p, err := s.find(e.runID)
	if err != nil {
		return nil, err
	}
	if p.at == e.info.Position() {
		return nil, nil // sent again
	}
	if outcome, err := s.refuse(e, &p); outcome != nil || err != nil {
		return outcome, err
	}
	took, fault, err := s.findMail(e, p.runNo)
	if err != nil {
		return nil, err
	}
	if fault != "" {
		return refusal(bide.CodeConflict, e, "%s", fault), nil
	}
	return nil, s.write(e, &p, took)
}

// refuse says why a commit does not fit where the run is.
func (s *statements) refuse(e *entry, p *place) (outcome, err error) {
	switch {
	case p.at != e.expect:
		return refusal(bide.CodeConflict, e, "it is at record %d, and not where the commit expects it, at record %d", p.at.Seq, e.expect.Seq), nil
	case e.claims() && e.claimed != p.fence+1:
		return refusal(bide.CodeConflict, e, "its last claim is number %d; claim number %d does not follow it", p.fence, e.claimed), nil
	case e.fence == 0 || e.fence == p.fence:
		return nil, nil
	}
	owner := ""
	err = s.query(sqlOwner).int(p.runNo).rows(func(row *sqlite3.Stmt) error {
		owner = row.ColumnText(0)
		return nil
	})
	return refusal(bide.CodeFenced, e, "its last claim is number %d, by %q; the commit is made under number %d", p.fence, owner, e.fence), err
}

func refusal(code bide.Code, e *entry, format string, args ...any) error {
	return &bide.Error{Code: code, Run: e.runID, Message: "run " + e.runID + ": " + fmt.Sprintf(format, args...)}
}

// write writes a commit that fits.
func (s *statements) write(e *entry, p *place, took []int64) error {
	if p.runNo == 0 {
		if _, err := s.insert(e, p); err != nil {
			return err
		}
	} else if err := s.update(e, p); err != nil {
		return err
	}
	s.keep(e.runID, p.after(e))
	if err := s.putParts(e, p.runNo); err != nil {
		return err
	}
	if err := s.takeMail(took); err != nil {
		return err
	}
	if err := s.bringMail(e, p.runNo); err != nil {
		return err
	}
	for _, child := range e.starts {
		if err := s.start(child); err != nil {
			return fmt.Errorf("start run %s: %w", child.runID, err)
		}
	}
	return s.sendAll(e)
}

// start writes the first commit of a run, unless the run is there already.
func (s *statements) start(e *entry) error {
	p := place{}
	inserted, err := s.insert(e, &p)
	if !inserted || err != nil {
		return err
	}
	if err := s.putParts(e, p.runNo); err != nil {
		return err
	}
	return s.bringMail(e, p.runNo)
}

// insert puts a run's row, unless there is one.
func (s *statements) insert(e *entry, p *place) (inserted bool, err error) {
	i := &e.info
	inserted, err = s.query(sqlInsertRun).text(e.runID).int(i.Seq).blob(i.Head[:]).text(string(i.Status)).time(i.WakeAt).
		text(i.Node).int(i.Step).text(i.Version).text(i.Definition).int(i.UpdatedAt.UnixMicro()).time(i.EndedAt).
		text(i.Workflow).text(i.Key).text(i.Session).text(i.Actor).text(i.Parent).text(i.Root).text(i.Origin).raw(e.labels).
		int(i.CreatedAt.UnixMicro()).int(e.mailSeen).text(e.claimer()).changes()
	p.runNo = s.conn.LastInsertRowID()
	if inserted && e.labels != nil {
		err = s.query(sqlInsertLabels).int(p.runNo).exec()
	}
	return inserted, err
}

// update changes a run's row, and no index when it need not.
func (s *statements) update(e *entry, p *place) error {
	i := &e.info
	driven := e.drives(p)
	sameTimer := p.hasTimer != i.WakeAt.IsZero() && (!p.hasTimer || p.wakeAt == i.WakeAt.UnixMicro())
	same := i.Status == bide.StatusRunning && p.status == i.Status && !e.claims() && sameTimer && p.version == i.Version && p.driven == driven && p.mailSeen >= e.mailSeen
	sql := sqlUpdateRun
	if same {
		sql = sqlAdvanceRun
	}
	c := s.query(sql).int(i.Seq).blob(i.Head[:]).text(i.Node).int(i.Step).text(i.Definition).
		int(i.UpdatedAt.UnixMicro()).time(i.EndedAt).int(p.runNo)
	if !same {
		c = c.text(string(i.Status)).time(i.WakeAt).text(i.Version).bool(driven).int(e.mailSeen)
		if e.claims() {
			c = c.text(e.owner)
		} else {
			c = c.raw(nil)
		}
	}
	return c.exec()
}

// claims reports whether the commit claims its run.
func (e *entry) claims() bool { return e.owner != "" && e.info.Status == bide.StatusRunning }

// claimer is who claims the run, if the commit does.
func (e *entry) claimer() string {
	if e.claims() {
		return e.owner
	}
	return ""
}

// drives reports whether the run's last claim lasts after the commit. It ends
// and goes on with commits made under it, and ends with one made without it
// that lets the run go on.
func (e *entry) drives(p *place) bool {
	running := e.info.Status == bide.StatusRunning
	switch {
	case e.fence != 0 || e.claims():
		return running
	case running && p.status != bide.StatusRunning:
		return false
	}
	return p.driven
}

// putParts writes what a commit adds to a run.
func (s *statements) putParts(e *entry, runNo int64) error {
	for i := range e.ledger {
		r := &e.ledger[i]
		if err := s.query(sqlInsertRecords).int(runNo).int(r.seq).int(r.records).raw(r.body).blob(r.packed).exec(); err != nil {
			return err
		}
	}
	for _, id := range e.closed {
		if err := s.query(sqlDeleteWait).text(id).exec(); err != nil {
			return err
		}
	}
	for i := range e.opened {
		w := &e.opened[i]
		if err := s.query(sqlInsertWait).text(w.id).int(runNo).text(w.kind).text(w.key).int(w.created).raw(w.body).exec(); err != nil {
			return err
		}
		w.no = s.conn.LastInsertRowID()
	}
	if c := e.command; c != nil {
		if err := s.query(sqlPutCommand).int(runNo).text(c.ID).blob(c.Fingerprint[:]).int(c.Seq).exec(); err != nil {
			return err
		}
	}
	if e.snapshot == nil {
		return nil
	}
	return s.query(sqlPutSnapshot).int(runNo).int(e.info.Seq).blob(e.snapshot).exec()
}
