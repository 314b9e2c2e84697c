package postgres

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The listings of runs. A listing reads from one of several sources, each with
// the indexes that give its orders; of its conditions only those remain, when the statement is
// planned for its values, that restrict.
const (
	sqlRunShown = `run_id, seq, head, status, wake_at, node, step, version, definition, updated_at, ended_at,
		workflow, run_key, session, actor, parent, root, origin, labels, created_at, set_aside`

	// All runs: runs_created; or, as the planner sees fit, runs_status,
	// runs_workflow, runs_session, runs_parent, runs_origin or runs_aside.
	sqlRunsAll = `SELECT ` + sqlRunShown + ` FROM (SELECT *, updated_at AS changed_at FROM runs) AS runs`
	// Those of a tree: runs_pkey and runs_root.
	sqlRunRoot   = `SELECT *, updated_at AS changed_at FROM runs WHERE run_id = $5`
	sqlRunsBelow = `SELECT *, updated_at AS changed_at FROM runs WHERE root = $5 AND root IS NOT NULL`
	// By the time of their last change: those that run, which are few, by
	// runs_status; the others by runs_settled. So no index changes with every step.
	sqlRunsRunning = `SELECT *, updated_at AS changed_at FROM runs WHERE status = 'running'`
	sqlRunsSettled = `SELECT *, settled_at AS changed_at FROM runs WHERE settled_at IS NOT NULL`
	// Those with a label: labels_label.
	sqlRunsLabelled = `SELECT ` + sqlRunShown + ` FROM (SELECT r.*, r.updated_at AS changed_at, l.created_at AS begun_at, l.run_id AS id
		FROM labels AS l JOIN runs AS r ON r.run_id = l.run_id WHERE l.label = $17) AS runs`
	// Those that wait, when they are few: waits_kind and runs_pkey.
	sqlRunsWaiting = `SELECT ` + sqlRunShown + ` FROM (SELECT r.*, r.updated_at AS changed_at
		FROM (SELECT DISTINCT run_id FROM waits WHERE kind = $8) AS w JOIN runs AS r ON r.run_id = w.run_id) AS runs`

	sqlRunsWhere = ` WHERE ($1::text = '' OR status = $1) AND ($2::text = '' OR workflow = $2) AND ($3::text = '' OR session = $3)
		AND ($4::text = '' OR parent = $4) AND ($5::text = '' OR coalesce(root, run_id) = $5) AND ($6::text = '' OR origin = $6)
		AND (cardinality($7::text[]) = 0 OR NOT EXISTS (SELECT 1 FROM unnest($7::text[]) AS i (label)
			WHERE NOT EXISTS (SELECT 1 FROM labels AS l WHERE l.run_id = runs.run_id AND l.label = i.label)))
		AND ($8::text = '' OR (SELECT true FROM waits AS w WHERE w.run_id = runs.run_id AND w.kind = $8 LIMIT 1))
		AND (NOT $9::boolean OR set_aside <> '')
		AND ($10::bigint IS NULL OR created_at >= $10) AND ($11::bigint IS NULL OR created_at < $11)
		AND ($12::bigint IS NULL OR changed_at >= $12) AND ($13::bigint IS NULL OR changed_at < $13)`

	sqlAfterCreated  = ` AND (created_at, run_id) < ($14::bigint, $15::text)` + sqlByCreated
	sqlAfterLabelled = ` AND (begun_at, id) < ($14::bigint, $15::text) ORDER BY begun_at DESC, id DESC LIMIT $16`
	sqlAfterChanged  = ` AND (changed_at, run_id) < ($14::bigint, $15::text)` + sqlByChanged
	sqlByCreated     = ` ORDER BY created_at DESC, run_id DESC LIMIT $16`
	sqlByChanged     = ` ORDER BY changed_at DESC, run_id DESC LIMIT $16`

	// Of two sources, each in its order, the first of both.
	sqlFirstOf = `SELECT ` + sqlRunShown + ` FROM ((SELECT * FROM (`
	sqlAndOf   = `) UNION ALL (SELECT * FROM (`

	sqlRuns             = sqlRunsAll + sqlRunsWhere + sqlAfterCreated
	sqlWaiting          = sqlRunsWaiting + sqlRunsWhere + sqlAfterCreated
	sqlLabelled         = sqlRunsLabelled + sqlRunsWhere + sqlAfterLabelled
	sqlLabelledChanged  = sqlRunsLabelled + sqlRunsWhere + sqlAfterChanged
	sqlTree             = sqlFirstOf + sqlRunRoot + sqlCreatedPage + sqlAndOf + sqlRunsBelow + sqlCreatedPage + `)) AS runs` + sqlByCreated
	sqlTreeChanged      = sqlFirstOf + sqlRunRoot + sqlChangedPage + sqlAndOf + sqlRunsBelow + sqlChangedPage + `)) AS runs` + sqlByChanged
	sqlChanged          = sqlFirstOf + sqlRunsRunning + sqlChangedPage + sqlAndOf + sqlRunsSettled + sqlChangedPage + `)) AS runs` + sqlByChanged
	sqlChangedByCreated = sqlFirstOf + sqlRunsRunning + sqlCreatedPage + sqlAndOf + sqlRunsSettled + sqlCreatedPage + `)) AS runs` + sqlByCreated
	sqlCreatedPage      = `) AS runs` + sqlRunsWhere + sqlAfterCreated
	sqlChangedPage      = `) AS runs` + sqlRunsWhere + sqlAfterChanged

	// The index runs_wake serves it.
	sqlRunsDue = sqlRunsAll + sqlRunsWhere + ` AND status IN ('running', 'waiting') AND wake_at <= $17::bigint
		AND (wake_at, run_id) > ($14::bigint, $15::text) ORDER BY wake_at, run_id LIMIT $16`

	// Whether few waits are of a kind: waits_kind.
	sqlFewWait = `SELECT count(*) < 1000 FROM (SELECT 1 FROM waits WHERE kind = $1 LIMIT 1000) AS w`

	// Of some labels the one that the fewest runs have, as far as it matters: labels_label.
	sqlRarest = `SELECT i.label FROM unnest($1::text[]) AS i (label)
		ORDER BY (SELECT count(*) FROM (SELECT 1 FROM labels AS l WHERE l.label = i.label LIMIT 1000) AS few) LIMIT 1`
)

// ascending makes a listing by creation or change one from early to late: what follows the place is
// what is after it, and nothing is sorted downwards.
var ascending = strings.NewReplacer("< ($14", "> ($14", " DESC", "")

// planned lets the server plan a listing for the values it is asked for: which
// index is best depends on them, and a plan that is kept would be for all values.
const planned = pgx.QueryExecModeCacheDescribe

// listing is how a query of runs is carried out.
type listing struct {
	sql  string
	key  func(*bide.RunInfo) bide.Cursor // by which it is sorted
	up   bool
	more []any // parameters from $17 on
}

// listingOf chooses the source of which the indexes leave the fewest rows to check.
func (s *Store) listingOf(ctx context.Context, q *bide.RunQuery, labels []string) (l listing, err error) {
	if err := q.Order.Check(); err != nil {
		return l, err
	}
	changed := q.Order.ByChange()
	l.key = q.Order.Place
	either := func(byChanged, byCreated string) string {
		if changed {
			return byChanged
		}
		return byCreated
	}
	switch {
	case !q.WakeBefore.IsZero():
		l.sql, l.up, l.more = sqlRunsDue, true, []any{q.WakeBefore.UnixMicro()}
		l.key = func(r *bide.RunInfo) bide.Cursor { return bide.Cursor{At: r.WakeAt, ID: r.ID} }
	case q.Root != "":
		l.sql = either(sqlTreeChanged, sqlTree)
	case len(labels) > 0:
		l.sql = either(sqlLabelledChanged, sqlLabelled)
		rarest := labels
		if len(labels) > 1 {
			rarest, err = collect(ctx, s, "list runs", pgx.RowTo[string], sqlRarest, labels)
		}
		if err == nil {
			l.more = []any{rarest[0]}
		}
	case changed || !q.UpdatedFrom.IsZero() || !q.UpdatedTo.IsZero():
		l.sql = either(sqlChanged, sqlChangedByCreated)
	default:
		l.sql = sqlRuns
		if q.Waiting != "" {
			few, err := collect(ctx, s, "list runs", pgx.RowTo[bool], sqlFewWait, string(q.Waiting))
			if err != nil {
				return l, err
			}
			if few[0] {
				l.sql = sqlWaiting
			}
		}
	}
	if q.Order.Ascending() && !l.up {
		l.sql, l.up = ascending.Replace(l.sql), true
	}
	return l, err
}

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	limit := bide.PageLimit(q.Limit)
	l, args, err := s.prepare(ctx, &q, limit+1)
	if err != nil {
		return nil, err
	}
	rows, err := collect(ctx, s, "list runs", rowToRun, l.sql, args...)
	if err != nil {
		return nil, err
	}
	page := &bide.RunPage{Runs: rows}
	if len(rows) > limit {
		page.Runs = rows[:limit]
		last := &rows[limit-1]
		page.Next = l.key(last).String()
	}
	return page, nil
}

// prepare returns the listing of a query with its parameters, for a number of rows.
func (s *Store) prepare(ctx context.Context, q *bide.RunQuery, rows int) (l listing, args []any, err error) {
	labels, err := labelRows(q.Labels)
	if err != nil {
		return l, nil, err
	}
	if l, err = s.listingOf(ctx, q, labels); err != nil {
		return l, nil, err
	}
	first := int64(math.MaxInt64)
	if l.up {
		first = math.MinInt64
	}
	at, id, err := after(q.Cursor, first)
	if err != nil {
		return l, nil, err
	}
	args = []any{planned, string(q.Status), q.Workflow, q.Session, q.Parent, q.Root, q.Origin, append([]string{}, labels...), string(q.Waiting), q.SetAside,
		bound(q.CreatedFrom), bound(q.CreatedTo), bound(q.UpdatedFrom), bound(q.UpdatedTo), at, id, rows}
	return l, append(args, l.more...), nil
}

// bound is a bound of a span of time; null is none.
func bound(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	at := t.UnixMicro()
	return &at
}

// rowToRun reads a row of sqlRunShown.
func rowToRun(row pgx.CollectableRow) (i bide.RunInfo, err error) {
	var head, labels []byte
	var wake, ended *int64
	var root *string
	var updated, created int64
	err = row.Scan(&i.ID, &i.Seq, &head, &i.Status, &wake, &i.Node, &i.Step, &i.Version, &i.Definition, &updated, &ended,
		&i.Workflow, &i.Key, &i.Session, &i.Actor, &i.Parent, &root, &i.Origin, &labels, &created, &i.SetAside)
	if err != nil {
		return i, err
	}
	if i.Root = i.ID; root != nil {
		i.Root = *root
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
