package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The parts of the listings of runs. ?1 to ?13 are the fields of the query, ?14 and
// ?15 the label that a listing goes along, ?16 what is due, ?17 and ?18 the place after
// which the page begins, ?19 the number of rows.
const (
	sqlRunColumns = `SELECT r.run_id, r.seq, r.head, r.status, r.wake_at, r.node, r.step, r.version, r.definition, r.updated_at, r.ended_at,
		r.workflow, r.run_key, r.session, r.actor, r.parent, r.labels, r.created_at, r.set_aside, r.root, r.origin`

	// What a query asks for, apart from the index that serves it. A plus keeps SQLite from choosing
	// another one. A label is found by primary key, a wait by the index waits_run_kind.
	sqlRunFilter = `(?1 = '' OR +r.status = ?1) AND (?2 = '' OR +r.workflow = ?2) AND (?3 = '' OR +r.session = ?3)
		AND (?4 = '' OR +r.parent = ?4) AND (?5 = '' OR +r.root = ?5) AND (?6 = '' OR +r.origin = ?6)
		AND (?7 = '{}' OR NOT EXISTS (SELECT 1 FROM json_each(?7) q WHERE NOT EXISTS (SELECT 1 FROM labels l
			WHERE l.name = q.key AND l.value = q.value AND l.created_at = r.created_at AND l.run_id = r.run_id)))
		AND (?8 = '' OR EXISTS (SELECT 1 FROM waits w WHERE w.kind = ?8 AND w.run_created = r.created_at AND w.run_id = r.run_id))
		AND (NOT ?9 OR +r.set_aside IS NOT NULL)
		AND +r.created_at >= ?10 AND +r.created_at < ?11 AND +r.updated_at >= ?12 AND +r.updated_at < ?13`

	// The index runs_wake serves it, once for each status.
	sqlRunsDue = sqlRunColumns + ` FROM runs r WHERE r.status = 'waiting'` + sqlDuePage + ` UNION ALL ` +
		sqlRunColumns + ` FROM runs r WHERE r.status = 'running'` + sqlDuePage + ` ORDER BY wake_at, run_id LIMIT ?19`
	sqlDuePage = ` AND r.wake_at <= ?16 AND (r.wake_at, r.run_id) > (?17, ?18) AND ` + sqlRunFilter
)

// direction is that of an order: the comparison of what follows a place, how to sort, and the end of
// spans of the times of creation and of change.
type direction struct{ beyond, sort, created, changed string }

var (
	downwards = direction{"<", " DESC", ">= ?10", ">= ?12"}
	upwards   = direction{">", "", "< ?11", "< ?13"}
)

// runsUpdated lists runs in the order of change: those that rest by the index runs_rested, those that run by runs_status.
func runsUpdated(d direction) string {
	return sqlRunColumns + `, r.rested_at AS changed FROM runs r
			WHERE r.rested_at IS NOT NULL AND (r.rested_at, r.run_id) ` + d.beyond + ` (?17, ?18) AND r.rested_at ` + d.changed + ` AND ` + sqlRunFilter + `
		UNION ALL ` + sqlRunColumns + `, r.updated_at AS changed FROM runs r
			WHERE r.status = 'running' AND (r.updated_at, r.run_id) ` + d.beyond + ` (?17, ?18) AND ` + sqlRunFilter + `
		ORDER BY changed` + d.sort + `, run_id` + d.sort + ` LIMIT ?19`
}

// runIndex is an index that leads to some runs in the order of their creation:
// those for which where holds, which names it and repeats its condition, so that SQLite knows.
type runIndex struct {
	from, where string
	at, id      string // the columns that the index is in the order of
}

// The indexes of runs.
var (
	runsCreated  = runIndex{"runs r", "TRUE", "r.created_at", "r.run_id"}                               // runs_created
	runsStatus   = runIndex{"runs r", "r.status = ?1", "r.created_at", "r.run_id"}                      // runs_status
	runsWorkflow = runIndex{"runs r", "r.workflow = ?2", "r.created_at", "r.run_id"}                    // runs_workflow
	runsSession  = runIndex{"runs r", "r.session = ?3 AND r.session <> ''", "r.created_at", "r.run_id"} // runs_session
	runsParent   = runIndex{"runs r", "r.parent = ?4 AND r.parent <> ''", "r.created_at", "r.run_id"}   // runs_parent
	runsRoot     = runIndex{"runs r", "r.root = ?5", "r.created_at", "r.run_id"}                        // runs_root
	runsOrigin   = runIndex{"runs r", "r.origin = ?6 AND r.origin <> ''", "r.created_at", "r.run_id"}   // runs_origin
	runsAside    = runIndex{"runs r", "r.set_aside IS NOT NULL", "r.created_at", "r.run_id"}            // runs_aside
	// The primary key of labels, and of each the index of runs.run_id.
	runsLabel = runIndex{"labels b CROSS JOIN runs r ON r.run_id = b.run_id", "b.name = ?14 AND b.value = ?15", "b.created_at", "b.run_id"}
	// The index waits_run_kind, and of each the primary key of runs. Of several waits the first counts.
	runsWaiting = runIndex{"waits b CROSS JOIN runs r ON r.run_no = b.run_no", `b.kind = ?8 AND NOT EXISTS (SELECT 1 FROM waits o
		WHERE o.kind = b.kind AND o.run_created = b.run_created AND o.run_id = b.run_id AND o.id < b.id)`, "b.run_created", "b.run_id"}
	// The indexes runs_rested and runs_status; not in order.
	runsChanged = runIndex{"runs r", `r.run_no IN (SELECT run_no FROM runs WHERE rested_at >= ?12 AND rested_at < ?13
		UNION ALL SELECT run_no FROM runs WHERE status = 'running' AND updated_at >= ?12 AND updated_at < ?13)`, "r.created_at", "r.run_id"}
)

// sqlCountChanged is what count is for others.
const sqlCountChanged = `SELECT count(*) FROM (SELECT 1 FROM runs WHERE rested_at >= ?12 AND rested_at < ?13
	UNION ALL SELECT 1 FROM runs WHERE status = 'running' LIMIT ?19)`

// count counts the runs that the index leads to, up to a number.
func (x *runIndex) count() string {
	if x == &runsChanged {
		return sqlCountChanged
	}
	return `SELECT count(*) FROM (SELECT 1 FROM ` + x.from + ` WHERE ` + x.where + ` LIMIT ?19)`
}

// created lists runs in the order of creation.
func (x *runIndex) created(d direction) string {
	return sqlRunColumns + ` FROM ` + x.from + ` WHERE ` + x.where + ` AND (` + x.at + `, ` + x.id + `) ` + d.beyond + ` (?17, ?18) AND ` + x.at + ` ` + d.created + ` AND ` +
		sqlRunFilter + ` ORDER BY ` + x.at + d.sort + `, ` + x.id + d.sort + ` LIMIT ?19`
}

// updated lists runs in the order of change; it looks at all that the index leads to.
func (x *runIndex) updated(d direction) string {
	return sqlRunColumns + ` FROM ` + x.from + ` WHERE ` + x.where + ` AND (r.updated_at, r.run_id) ` + d.beyond + ` (?17, ?18) AND ` +
		sqlRunFilter + ` ORDER BY r.updated_at` + d.sort + `, r.run_id` + d.sort + ` LIMIT ?19`
}

// due lists runs that are due; it looks at all that the index leads to.
func (x *runIndex) due(direction) string {
	return sqlRunColumns + ` FROM ` + x.from + ` WHERE ` + x.where + ` AND +r.status IN ('waiting', 'running')
		AND +r.wake_at <= ?16 AND (r.wake_at, r.run_id) > (?17, ?18) AND ` + sqlRunFilter + ` ORDER BY r.wake_at, r.run_id LIMIT ?19`
}

// fewRuns is how many runs are looked at and sorted rather than walking along the
// order of the listing until the page is full.
const fewRuns = 1000

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	l, err := newListing(q, bide.PageLimit(q.Limit))
	if err != nil {
		return nil, err
	}
	page := &bide.RunPage{}
	if err := s.read(ctx, "list runs", func(r *reader) error { return l.read(r, page) }); err != nil {
		return nil, err
	}
	if len(page.Runs) > l.limit {
		page.Runs = page.Runs[:l.limit]
		last := &page.Runs[l.limit-1]
		page.Next = l.place(last).String()
	}
	return page, nil
}

// listing is a query for runs on its way.
type listing struct {
	bide.RunQuery
	direction
	labels []byte
	limit  int
	at     int64 // the place after which the page begins
	id     string
	place  func(*bide.RunInfo) bide.Cursor
}

func newListing(q bide.RunQuery, limit int) (l *listing, err error) {
	l = &listing{RunQuery: q, limit: limit, direction: downwards, at: math.MaxInt64, place: q.Order.Place}
	if err := q.Order.Check(); err != nil {
		return nil, err
	}
	if q.Order.Ascending() || !q.WakeBefore.IsZero() {
		l.direction, l.at = upwards, math.MinInt64
	}
	var from, to time.Time // the span that goes with the order
	switch {
	case !q.WakeBefore.IsZero():
		l.place = func(i *bide.RunInfo) bide.Cursor { return bide.Cursor{At: i.WakeAt, ID: i.ID} }
	case q.Order.ByChange():
		from, to = q.UpdatedFrom, q.UpdatedTo
	default:
		from, to = q.CreatedFrom, q.CreatedTo
	}
	if l.at, l.id, err = after(q.Cursor, l.at); err != nil {
		return nil, err
	}
	switch first, end := micros(from, math.MinInt64), micros(to, math.MaxInt64); { // begin where the span does
	case l.direction == upwards && first > l.at:
		l.at, l.id = first, ""
	case l.direction == downwards && end <= l.at:
		l.at, l.id = end, ""
	}
	if len(q.Labels) == 0 {
		l.labels = []byte("{}")
		return l, nil
	}
	l.labels, err = encode(q.Labels)
	return l, err
}

func (l *listing) read(r *reader, page *bide.RunPage) error {
	sql, way, err := l.choose(r)
	if err != nil {
		return err
	}
	return l.bind(r.query(sql), way, l.limit+1).rows(func(row *sqlite3.Stmt) error {
		info, err := scanRun(row)
		page.Runs = append(page.Runs, info)
		return err
	})
}

// way is an index that may serve a listing, and the label when it is that of labels.
type way struct {
	*runIndex
	label, value string
}

// ways lists the indexes that serve a field of the query.
func (l *listing) ways() (out []way) {
	for name, value := range l.Labels {
		out = append(out, way{&runsLabel, name, value})
	}
	for _, f := range []struct {
		given bool
		index *runIndex
	}{
		{l.Parent != "", &runsParent}, {l.Root != "", &runsRoot}, {l.Origin != "", &runsOrigin}, {l.SetAside, &runsAside},
		{l.Session != "", &runsSession}, {l.Waiting != "", &runsWaiting}, {l.Status != "", &runsStatus}, {l.Workflow != "", &runsWorkflow},
		{!l.UpdatedFrom.IsZero() || !l.UpdatedTo.IsZero(), &runsChanged},
	} {
		if f.given {
			out = append(out, way{runIndex: f.index})
		}
	}
	return out
}

// choose returns the query that looks at the fewest runs: along the index that leads to a few,
// if one does; else along one in the order of the listing, where a page is soon full.
func (l *listing) choose(r *reader) (sql string, along way, err error) {
	ways := l.ways()
	sql, few := runsCreated.created(l.direction), (*runIndex).created
	switch {
	case !l.WakeBefore.IsZero():
		sql, few = sqlRunsDue, (*runIndex).due
	case l.Order.ByChange():
		sql, few = runsUpdated(l.direction), (*runIndex).updated
	case len(ways) > 0 && ways[0].runIndex != &runsChanged: // it is in the order of creation
		sql, along = ways[0].created(l.direction), ways[0]
		if len(ways) == 1 {
			return sql, along, nil
		}
	}
	least := int64(fewRuns)
	for _, w := range ways {
		n := int64(0)
		err := l.bind(r.query(w.count()), w, fewRuns).rows(func(row *sqlite3.Stmt) error {
			n = row.ColumnInt64(0)
			return nil
		})
		if err != nil {
			return "", w, err
		}
		if n < least {
			least, along, sql = n, w, few(w.runIndex, l.direction)
		}
	}
	return sql, along, nil
}

// bind binds what every query for runs has.
func (l *listing) bind(c *call, w way, limit int) *call {
	from := func(t time.Time) int64 { return micros(t, math.MinInt64) }
	to := func(t time.Time) int64 { return micros(t, math.MaxInt64) }
	return c.text(string(l.Status)).text(l.Workflow).text(l.Session).text(l.Parent).text(l.Root).text(l.Origin).raw(l.labels).
		text(string(l.Waiting)).bool(l.SetAside).int(from(l.CreatedFrom)).int(to(l.CreatedTo)).int(from(l.UpdatedFrom)).int(to(l.UpdatedTo)).
		text(w.label).text(w.value).int(from(l.WakeBefore)).int(l.at).text(l.id).int(int64(limit))
}

// micros is an instant as it is stored; none is the value of the zero time.
func micros(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixMicro()
}

// scanRun reads a row of sqlRunColumns.
func scanRun(stmt *sqlite3.Stmt) (info bide.RunInfo, err error) {
	info = bide.RunInfo{
		ID: stmt.ColumnText(0), Seq: stmt.ColumnInt64(1), Status: bide.Status(stmt.ColumnText(3)), WakeAt: columnTime(stmt, 4),
		Node: stmt.ColumnText(5), Step: stmt.ColumnInt64(6), Version: stmt.ColumnText(7), Definition: stmt.ColumnText(8),
		UpdatedAt: columnTime(stmt, 9), EndedAt: columnTime(stmt, 10), Workflow: stmt.ColumnText(11), Key: stmt.ColumnText(12),
		Session: stmt.ColumnText(13), Actor: stmt.ColumnText(14), Parent: stmt.ColumnText(15), CreatedAt: columnTime(stmt, 17),
		SetAside: stmt.ColumnText(18), Root: stmt.ColumnText(19), Origin: stmt.ColumnText(20),
	}
	copy(info.Head[:], stmt.ColumnRawBlob(2))
	if labels := stmt.ColumnRawText(16); labels != nil {
		if err := json.Unmarshal(labels, &info.Labels); err != nil {
			return info, &bide.Error{Code: bide.CodeCorrupt, Run: info.ID, Err: err,
				Message: fmt.Sprintf("the row of run %s is damaged: its labels are no JSON; restore the store from a backup", info.ID)}
		}
	}
	return info, stmt.Err()
}

// after returns the sort key after which a page begins; first is the one before the first row.
func after(cursor string, first int64) (at int64, id string, err error) {
	if cursor == "" {
		return first, "", nil
	}
	c, err := bide.ParseCursor(cursor)
	if err != nil {
		return 0, "", err
	}
	return c.At.UnixMicro(), c.ID, nil
}
