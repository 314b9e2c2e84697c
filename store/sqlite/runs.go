package sqlite

import (
	"context"
	"encoding/json"
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The listings. ?1 to ?6 are the filters, ?7 and ?8 the place after which the
// page begins, ?9 the number of rows. The filter that an index is for is
// repeated with the index's condition, so that SQLite knows.
const (
	sqlRunColumns = `SELECT run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at,
		workflow, run_key, session, actor, parent, labels, created_at, set_aside FROM runs`
	sqlRunFilter = `(?1 = '' OR +status = ?1) AND (?2 = '' OR +workflow = ?2) AND (?3 = '' OR +session = ?3) AND (?4 = '' OR +parent = ?4)
		AND (NOT ?5 OR set_aside IS NOT NULL)`
	sqlRunPage = sqlRunFilter + ` AND (created_at, run_id) < (?7, ?8) ORDER BY created_at DESC, run_id DESC LIMIT ?9`

	// The indexes runs_created, runs_status and so on serve them.
	sqlRuns           = sqlRunColumns + ` WHERE ` + sqlRunPage
	sqlRunsByStatus   = sqlRunColumns + ` WHERE status = ?1 AND ` + sqlRunPage
	sqlRunsByWorkflow = sqlRunColumns + ` WHERE workflow = ?2 AND ` + sqlRunPage
	sqlRunsBySession  = sqlRunColumns + ` WHERE session = ?3 AND session <> '' AND ` + sqlRunPage
	sqlRunsByParent   = sqlRunColumns + ` WHERE parent = ?4 AND parent <> '' AND ` + sqlRunPage
	sqlRunsAside      = sqlRunColumns + ` WHERE set_aside IS NOT NULL AND ` + sqlRunPage
	// The index runs_wake serves it, once for each status.
	sqlRunsDue = sqlRunColumns + ` WHERE status = 'waiting'` + sqlDuePage + ` UNION ALL ` +
		sqlRunColumns + ` WHERE status = 'running'` + sqlDuePage + ` ORDER BY wake_at, run_id LIMIT ?9`
	sqlDuePage = ` AND wake_at <= ?6 AND (wake_at, run_id) > (?7, ?8) AND ` + sqlRunFilter

	sqlWaitColumns = `SELECT body FROM waits`
	sqlWaitPage    = `(created_at, wait_id) > (?3, ?4) ORDER BY created_at, wait_id LIMIT ?5`

	// The index waits_created serves it.
	sqlWaits = sqlWaitColumns + ` WHERE ` + sqlWaitPage
	// The index waits_kind serves it.
	sqlWaitsByKind = sqlWaitColumns + ` WHERE kind = ?1 AND ` + sqlWaitPage
	// The index waits_key serves it; its condition is repeated, so that SQLite knows.
	sqlWaitsByKey = sqlWaitColumns + ` WHERE (?1 = '' OR kind = ?1) AND wait_key = ?2 AND wait_key <> '' AND ` + sqlWaitPage
)

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	due := !q.WakeBefore.IsZero()
	first := int64(math.MaxInt64)
	if due {
		first = math.MinInt64
	}
	at, id, err := after(q.Cursor, first)
	if err != nil {
		return nil, err
	}
	limit := bide.PageLimit(q.Limit)
	page := &bide.RunPage{}
	err = s.read(ctx, "list runs", func(r *reader) error {
		c := r.query(runsQuery(&q)).text(string(q.Status)).text(q.Workflow).text(q.Session).text(q.Parent).bool(q.SetAside).
			time(q.WakeBefore).int(at).text(id).int(int64(limit) + 1)
		return c.rows(func(stmt *sqlite3.Stmt) error {
			info, err := scanRun(stmt)
			page.Runs = append(page.Runs, info)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if len(page.Runs) > limit {
		page.Runs = page.Runs[:limit]
		last := &page.Runs[limit-1]
		page.Next = bide.Cursor{At: last.CreatedAt, ID: last.ID}.String()
		if due {
			page.Next = bide.Cursor{At: last.WakeAt, ID: last.ID}.String()
		}
	}
	return page, nil
}

// runsQuery chooses the index that leaves the fewest runs to look at. There are
// fewer runs in one status, the completed aside, than of one workflow.
func runsQuery(q *bide.RunQuery) string {
	switch {
	case !q.WakeBefore.IsZero():
		return sqlRunsDue
	case q.Parent != "":
		return sqlRunsByParent
	case q.SetAside:
		return sqlRunsAside
	case q.Session != "":
		return sqlRunsBySession
	case q.Status != "":
		return sqlRunsByStatus
	case q.Workflow != "":
		return sqlRunsByWorkflow
	}
	return sqlRuns
}

// scanRun reads a row of sqlRunColumns.
func scanRun(stmt *sqlite3.Stmt) (info bide.RunInfo, err error) {
	info = bide.RunInfo{
		ID: stmt.ColumnText(0), Seq: stmt.ColumnInt64(1), Status: bide.Status(stmt.ColumnText(3)), WakeAt: columnTime(stmt, 4),
		Node: stmt.ColumnText(5), Step: stmt.ColumnInt64(6), Version: stmt.ColumnText(7), Definition: stmt.ColumnText(8),
		UpdatedAt: columnTime(stmt, 9), EndedAt: columnTime(stmt, 10), Workflow: stmt.ColumnText(11), Key: stmt.ColumnText(12),
		Session: stmt.ColumnText(13), Actor: stmt.ColumnText(14), Parent: stmt.ColumnText(15), CreatedAt: columnTime(stmt, 17),
		SetAside: stmt.ColumnText(18),
	}
	copy(info.Head[:], stmt.ColumnRawBlob(2))
	if labels := stmt.ColumnRawText(16); labels != nil {
		if err := json.Unmarshal(labels, &info.Labels); err != nil {
			return info, bide.Errorf(bide.CodeCorrupt, "labels of run %s: %w", info.ID, err)
		}
	}
	return info, stmt.Err()
}

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	sql := sqlWaits
	switch {
	case q.Key != "":
		sql = sqlWaitsByKey
	case q.Kind != "":
		sql = sqlWaitsByKind
	}
	at, id, err := after(q.Cursor, math.MinInt64)
	if err != nil {
		return nil, err
	}
	limit := bide.PageLimit(q.Limit)
	page := &bide.WaitPage{}
	err = s.read(ctx, "list waits", func(r *reader) error {
		return r.query(sql).text(string(q.Kind)).text(q.Key).int(at).text(id).int(int64(limit) + 1).rows(func(stmt *sqlite3.Stmt) error {
			var w bide.Wait
			if err := json.Unmarshal(stmt.ColumnRawText(0), &w); err != nil {
				return bide.Errorf(bide.CodeCorrupt, "an open wait: %w", err)
			}
			page.Waits = append(page.Waits, w)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if len(page.Waits) > limit {
		page.Waits = page.Waits[:limit]
		last := &page.Waits[limit-1]
		page.Next = bide.Cursor{At: last.CreatedAt, ID: last.ID}.String()
	}
	return page, nil
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
