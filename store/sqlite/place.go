package sqlite

import (
	"cmp"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

const (
	// The index of runs.run_id serves it.
	sqlFindRun = `SELECT run_no, seq, head, status, wake_at, version, driven, fence, mail_seen FROM runs WHERE run_id = ?`

	// It differs from the last time when another connection has written meanwhile.
	sqlDataVersion = `PRAGMA data_version`
)

// place is where a run is in the file, and what of it decides how a commit is written.
type place struct {
	runNo    int64 // 0 when there is no such run
	at       bide.Position
	status   bide.Status
	wakeAt   int64
	hasTimer bool
	version  string
	driven   bool
	fence    int64
	mailSeen int64
}

// after is the place of a run after a commit.
func (p place) after(e *entry) place {
	i := &e.info
	p.at, p.status, p.version, p.driven, p.mailSeen = i.Position(), i.Status, i.Version, e.drives(&p), max(p.mailSeen, e.mailSeen)
	if e.claims() {
		p.fence = e.claimed
	}
	p.wakeAt, p.hasTimer = 0, !i.WakeAt.IsZero()
	if p.hasTimer {
		p.wakeAt = i.WakeAt.UnixMicro()
	}
	return p
}

// places remembers where runs are, as of what the transaction at work has
// written: to find a run takes as long as to write a record. All is forgotten
// when a transaction fails and when another connection has written.
type places struct {
	known       map[string]place // by the id of the run
	dataVersion int64
}

const maxPlaces = 10_000

func (p *places) keep(runID string, at place) {
	if len(p.known) >= maxPlaces {
		clear(p.known)
	}
	p.known[runID] = at
}

func (p *places) forget() { clear(p.known) }

// refresh begins a transaction's use of what is remembered, and reports whether another connection has written.
func (s *statements) refresh() (others bool, err error) {
	was := s.dataVersion
	err = s.query(sqlDataVersion).rows(func(row *sqlite3.Stmt) error {
		s.dataVersion = row.ColumnInt64(0)
		return nil
	})
	if others = s.dataVersion != was; others {
		s.forget()
	}
	return others, err
}

func (s *statements) find(runID string) (p place, err error) {
	if p, ok := s.known[runID]; ok {
		return p, nil
	}
	q := s.query(sqlFindRun).text(runID)
	defer func() { err = cmp.Or(err, q.reset()) }()
	found, err := q.step()
	if !found || err != nil {
		return p, err
	}
	row := q.stmt
	p = place{runNo: row.ColumnInt64(0), at: bide.Position{Seq: row.ColumnInt64(1)}, status: bide.Status(row.ColumnText(3)),
		wakeAt: row.ColumnInt64(4), hasTimer: row.ColumnType(4) != sqlite3.NULL, version: row.ColumnText(5),
		driven: row.ColumnBool(6), fence: row.ColumnInt64(7), mailSeen: row.ColumnInt64(8)}
	copy(p.at.Head[:], row.ColumnRawBlob(2))
	s.keep(runID, p)
	return p, nil
}
