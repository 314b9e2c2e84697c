package sqlite

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The parts of a count of what a listing gives, which they enclose. ?20 is the length of a span
// in microseconds, ?21 the name of a label, ?22 whether spans are of the time of the last change. The time of
// a span is that of its first run; where it begins is computed from it.
const (
	sqlCount = `SELECT workflow, status, min(at), value, count(*) FROM (SELECT counted.workflow, counted.status,
			CASE WHEN ?20 = 0 THEN 0 WHEN ?22 THEN counted.updated_at ELSE counted.created_at END AS at,
			CASE WHEN ?21 = '' THEN '' ELSE coalesce(
				CASE WHEN counted.labels IS NOT NULL THEN (SELECT e.value FROM json_each(counted.labels) e WHERE e.key = ?21) END,
				CASE WHEN counted.root <> counted.run_id THEN (SELECT e.value FROM runs t, json_each(t.labels) e WHERE t.run_id = counted.root AND e.key = ?21) END, '') END AS value
		FROM (`
	sqlCounted = `) AS counted) GROUP BY workflow, status, CASE WHEN ?20 = 0 THEN 0 ELSE (at - ((at % ?20) + ?20) % ?20) END, value`
)

// Count implements bide.Counter.
func (s *Store) Count(ctx context.Context, q bide.CountQuery) (*bide.RunCounts, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	q.Cursor = ""
	l, err := newListing(q.RunQuery, bide.CountLimit(q.Limit))
	if err != nil {
		return nil, err
	}
	out, total := map[bide.RunCount]int64{}, int64(0)
	err = s.read(ctx, "count runs", func(r *reader) error {
		sql, way, err := l.choose(r)
		if err != nil {
			return err
		}
		c := l.bind(r.query(sqlCount+sql+sqlCounted), way, l.limit).int(q.Every.Microseconds()).text(q.Label).bool(q.Order.ByChange())
		return c.rows(func(row *sqlite3.Stmt) error {
			at := time.UnixMicro(row.ColumnInt64(2))
			key := bide.RunCount{Workflow: row.ColumnText(0), Status: bide.Status(row.ColumnText(1)),
				At: q.Of(&bide.RunInfo{CreatedAt: at, UpdatedAt: at}), Label: row.ColumnText(3)}
			out[key] += row.ColumnInt64(4)
			total += row.ColumnInt64(4)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return &bide.RunCounts{Counts: bide.SortCounts(out), Partial: total >= int64(l.limit)}, nil
}
