package sqlite

import (
	"context"
	"encoding/json"
	"math"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The listings. ?1 and ?2 are the filters, ?3 and ?4 the place after which the
// page begins, ?5 the number of rows.
const (
	sqlRunColumns = `SELECT run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at,
		workflow, run_key, session, actor, parent, labels, created_at FROM runs`
	sqlRunPage = `(created_at, run_id) < (?3, ?4) ORDER BY created_at DESC, run_id DESC LIMIT ?5`

	// The index runs_created serves it.
	sqlRuns = sqlRunColumns + ` WHERE ` + sqlRunPage
	// The index runs_status serves it.
	sqlRunsByStatus = sqlRunColumns + ` WHERE status = ?1 AND ` + sqlRunPage
	// The index runs_workflow serves it.
	sqlRunsByWorkflow = sqlRunColumns + ` WHERE workflow = ?2 AND ` + sqlRunPage
	// The index runs_status serves it: there are fewer runs in one status, the
	// completed aside, than of one workflow.
	sqlRunsByBoth = sqlRunColumns + ` WHERE status = ?1 AND +workflow = ?2 AND ` + sqlRunPage
	// The index runs_wake serves it.
	sqlRunsDue = sqlRunColumns + ` WHERE (?1 = '' OR status = ?1) AND (?2 = '' OR workflow = ?2)
		AND wake_at <= ?6 AND (wake_at, run_id) > (?3, ?4) ORDER BY wake_at, run_id LIMIT ?5`

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
	if q.Session != "" || q.Parent != "" || q.SetAside {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the SQLite store does not list runs by session, parent or being set aside yet")
	}
	due := !q.WakeBefore.IsZero()
	sql := sqlRuns
	switch {
	case due:
		sql = sqlRunsDue
	case q.Status != "" && q.Workflow != "":
		sql = sqlRunsByBoth
	case q.Status != "":
		sql = sqlRunsByStatus
	case q.Workflow != "":
		sql = sqlRunsByWorkflow
	}
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
		c, err := r.query(sql)
		if err != nil {
			return err
		}
		c.text(string(q.Status)).text(q.Workflow).int(at).text(id).int(int64(limit) + 1)
		if due {
			c.int(q.WakeBefore.UnixMicro())
		}
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

// scanRun reads a row of sqlRunColumns.
func scanRun(stmt *sqlite3.Stmt) (info bide.RunInfo, err error) {
	info = bide.RunInfo{
		ID: stmt.ColumnText(0), Seq: stmt.ColumnInt64(1), Status: bide.Status(stmt.ColumnText(3)), WakeAt: columnTime(stmt, 4),
		Node: stmt.ColumnText(5), Step: stmt.ColumnInt64(6), Version: stmt.ColumnText(7), Definition: stmt.ColumnText(8),
		UpdatedAt: columnTime(stmt, 9), EndedAt: columnTime(stmt, 10), Workflow: stmt.ColumnText(11), Key: stmt.ColumnText(12),
		Session: stmt.ColumnText(13), Actor: stmt.ColumnText(14), Parent: stmt.ColumnText(15), CreatedAt: columnTime(stmt, 17),
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
		c, err := r.query(sql)
		if err != nil {
			return err
		}
		return c.text(string(q.Kind)).text(q.Key).int(at).text(id).int(int64(limit) + 1).rows(func(stmt *sqlite3.Stmt) error {
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
