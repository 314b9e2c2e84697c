package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The parts of a count of what a listing gives, which they enclose. The parameters follow those of the listing: the length
// of a span in microseconds, the name of a label, and whether spans are of the time of the last change. The time of a span
// is that of its first run; where it begins is computed from it. A root is found by primary key.
const (
	sqlCount = `SELECT workflow, status, min(at), label, count(*) FROM (SELECT c.workflow, c.status,
			CASE WHEN $%[1]d::bigint = 0 THEN 0 WHEN $%[3]d::boolean THEN c.updated_at ELSE c.created_at END AS at,
			CASE WHEN $%[2]d::text = '' THEN '' ELSE coalesce(c.labels::json ->> $%[2]d::text,
				(SELECT t.labels::json ->> $%[2]d::text FROM runs AS t WHERE t.run_id = c.root), '') END AS label
		FROM (%[4]s) AS c) AS counted
		GROUP BY workflow, status, CASE WHEN $%[1]d::bigint = 0 THEN 0 ELSE at - ((at %% $%[1]d::bigint) + $%[1]d::bigint) %% $%[1]d::bigint END, label`
)

// Count implements bide.Counter.
func (s *Store) Count(ctx context.Context, q bide.CountQuery) (*bide.RunCounts, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	q.Cursor = ""
	limit := bide.CountLimit(q.Limit)
	l, args, err := s.prepare(ctx, &q.RunQuery, limit)
	if err != nil {
		return nil, err
	}
	n := len(args) // the first is no parameter
	args = append(args, q.Every.Microseconds(), q.Label, q.Order.ByChange())
	rows, err := collect(ctx, s, "count runs", func(row pgx.CollectableRow) (c bide.RunCount, err error) {
		var first int64
		err = row.Scan(&c.Workflow, &c.Status, &first, &c.Label, &c.Runs)
		at := time.UnixMicro(first)
		c.At = q.Of(&bide.RunInfo{CreatedAt: at, UpdatedAt: at})
		return c, err
	}, fmt.Sprintf(sqlCount, n, n+1, n+2, l.sql), args...)
	if err != nil {
		return nil, err
	}
	counts, total := map[bide.RunCount]int64{}, int64(0)
	for _, c := range rows {
		total += c.Runs
		c.Runs, n = 0, int(c.Runs)
		counts[c] += int64(n)
	}
	return &bide.RunCounts{Counts: bide.SortCounts(counts), Partial: total >= int64(limit)}, nil
}
