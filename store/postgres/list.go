package postgres

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The listings. Each names the index that gives its order; the other filters
// are checked row by row. $6 and $7 are the place after which the page begins, $8 the number of rows.
const (
	sqlRunColumns = `SELECT run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at,
		workflow, run_key, session, actor, parent, labels, created_at, set_aside FROM runs
		WHERE ($1::text = '' OR status = $1) AND ($2::text = '' OR workflow = $2) AND ($3::text = '' OR session = $3)
		AND ($4::text = '' OR parent = $4) AND (NOT $5::boolean OR set_aside <> '')`
	sqlRunPage = ` AND (created_at, run_id) < ($6::bigint, $7::text) ORDER BY created_at DESC, run_id DESC LIMIT $8`

	sqlRuns           = sqlRunColumns + sqlRunPage                                         // runs_created
	sqlRunsByStatus   = sqlRunColumns + ` AND status = $1` + sqlRunPage                    // runs_status
	sqlRunsByWorkflow = sqlRunColumns + ` AND workflow = $2` + sqlRunPage                  // runs_workflow
	sqlRunsBySession  = sqlRunColumns + ` AND session = $3 AND session <> ''` + sqlRunPage // runs_session
	sqlRunsByParent   = sqlRunColumns + ` AND parent = $4 AND parent <> ''` + sqlRunPage   // runs_parent
	sqlRunsAside      = sqlRunColumns + ` AND set_aside <> ''` + sqlRunPage                // runs_aside
	sqlRunsDue        = sqlRunColumns + ` AND status IN ('running', 'waiting') AND wake_at <= $9::bigint
		AND (wake_at, run_id) > ($6::bigint, $7::text) ORDER BY wake_at, run_id LIMIT $8` // runs_wake

	sqlWaitColumns = `SELECT body, created_at, wait_id FROM waits WHERE ($1::text = '' OR kind = $1) AND ($2::text = '' OR wait_key = $2)`
	sqlWaitPage    = ` AND (created_at, wait_id) > ($3::bigint, $4::text) ORDER BY created_at, wait_id LIMIT $5`

	sqlWaits       = sqlWaitColumns + sqlWaitPage                                           // waits_created
	sqlWaitsByKind = sqlWaitColumns + ` AND kind = $1` + sqlWaitPage                        // waits_kind
	sqlWaitsByKey  = sqlWaitColumns + ` AND wait_key = $2 AND wait_key <> ''` + sqlWaitPage // waits_key
)

// planned lets the server plan a listing for the values it is asked for: which
// index is best depends on them, and a plan that is kept would be for all values.
const planned = pgx.QueryExecModeCacheDescribe

// runsQuery chooses the statement of which the index leaves the fewest rows to check.
func runsQuery(q *bide.RunQuery) string {
	switch {
	case !q.WakeBefore.IsZero():
		return sqlRunsDue
	case q.Parent != "":
		return sqlRunsByParent
	case q.Session != "":
		return sqlRunsBySession
	case q.SetAside:
		return sqlRunsAside
	case q.Status != "":
		return sqlRunsByStatus
	case q.Workflow != "":
		return sqlRunsByWorkflow
	}
	return sqlRuns
}

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
	args := []any{planned, string(q.Status), q.Workflow, q.Session, q.Parent, q.SetAside, at, id, limit + 1}
	if due {
		args = append(args, q.WakeBefore.UnixMicro())
	}
	rows, err := collect(ctx, s, "list runs", rowToRun, runsQuery(&q), args...)
	if err != nil {
		return nil, err
	}
	page := &bide.RunPage{Runs: rows}
	if len(rows) > limit {
		page.Runs = rows[:limit]
		last := &rows[limit-1]
		page.Next = bide.Cursor{At: last.CreatedAt, ID: last.ID}.String()
		if due {
			page.Next = bide.Cursor{At: last.WakeAt, ID: last.ID}.String()
		}
	}
	return page, nil
}

// rowToRun reads a row of sqlRunColumns.
func rowToRun(row pgx.CollectableRow) (i bide.RunInfo, err error) {
	var head, labels []byte
	var wake, ended *int64
	var updated, created int64
	err = row.Scan(&i.ID, &i.Seq, &head, &i.Status, &wake, &i.Node, &i.Step, &i.Version, &i.Definition, &updated, &ended,
		&i.Workflow, &i.Key, &i.Session, &i.Actor, &i.Parent, &labels, &created, &i.SetAside)
	if err != nil {
		return i, err
	}
	copy(i.Head[:], head)
	i.WakeAt, i.EndedAt = instant(wake), instant(ended)
	i.UpdatedAt, i.CreatedAt = time.UnixMicro(updated).UTC(), time.UnixMicro(created).UTC()
	if labels != nil {
		if err := json.Unmarshal(labels, &i.Labels); err != nil {
			return i, bide.Errorf(bide.CodeCorrupt, "labels of run %s: %w", i.ID, err)
		}
	}
	return i, nil
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
	rows, err := collect(ctx, s, "list waits", rowToWait, sql, planned, string(q.Kind), q.Key, at, id, limit+1)
	if err != nil {
		return nil, err
	}
	page := &bide.WaitPage{Waits: rows}
	if len(rows) > limit {
		page.Waits = rows[:limit]
		last := &rows[limit-1]
		page.Next = bide.Cursor{At: last.CreatedAt, ID: last.ID}.String()
	}
	return page, nil
}

func rowToWait(row pgx.CollectableRow) (w bide.Wait, err error) {
	if err := json.Unmarshal(row.RawValues()[0], &w); err != nil {
		return w, bide.Errorf(bide.CodeCorrupt, "an open wait: %w", err)
	}
	return w, nil
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
