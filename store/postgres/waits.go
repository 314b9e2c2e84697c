package postgres

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The listings of waits; each names the index that gives its order. $1 to $3
// restrict, $4 and $5 are the place after which the page begins, $6 the number of rows.
const (
	sqlWaitsWhere = ` WHERE (cardinality($1::text[]) = 0 OR kind = ANY($1)) AND ($2::text = '' OR wait_key = $2) AND ($3::text = '' OR run_id = $3)`
	sqlWaitsPage  = ` AND (created_at, wait_id) > ($4::bigint, $5::text) ORDER BY created_at, wait_id LIMIT $6`

	sqlWaits      = `SELECT body FROM waits` + sqlWaitsWhere + sqlWaitsPage                                           // waits_created
	sqlWaitsByKey = `SELECT body FROM waits` + sqlWaitsWhere + ` AND wait_key = $2 AND wait_key <> ''` + sqlWaitsPage // waits_key
	sqlWaitsOfRun = `SELECT body FROM waits` + sqlWaitsWhere + ` AND run_id = $3` + sqlWaitsPage                      // waits_pkey

	// The first of each kind, and of these the first: waits_kind.
	sqlWaitsByKind = `SELECT body FROM unnest($1::text[]) AS k (of) CROSS JOIN LATERAL (
			SELECT body, created_at, wait_id FROM waits` + sqlWaitsWhere + ` AND kind = k.of` + sqlWaitsPage + `
		) AS w ORDER BY created_at, wait_id LIMIT $6`

	// Those of all runs of a tree: runs_pkey, runs_root and waits_pkey.
	sqlWaitsOfTree = `SELECT body FROM (
			SELECT w.* FROM (SELECT run_id FROM runs WHERE run_id = $7::text AND root IS NULL
				UNION ALL SELECT run_id FROM runs WHERE root = $7 AND root IS NOT NULL) AS t JOIN waits AS w ON w.run_id = t.run_id
		) AS waits` + sqlWaitsWhere + sqlWaitsPage
)

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	at, id, err := after(q.Cursor, math.MinInt64)
	if err != nil {
		return nil, err
	}
	kinds := make([]string, 0, len(q.Kinds))
	for _, k := range q.Kinds {
		kinds = append(kinds, string(k))
	}
	slices.Sort(kinds)
	limit := bide.PageLimit(q.Limit)
	args := []any{planned, slices.Compact(kinds), q.Key, q.Run, at, id, limit + 1}
	sql := sqlWaits
	switch {
	case q.Root != "":
		sql, args = sqlWaitsOfTree, append(args, q.Root)
	case q.Run != "":
		sql = sqlWaitsOfRun
	case q.Key != "":
		sql = sqlWaitsByKey
	case len(kinds) > 0:
		sql = sqlWaitsByKind
	}
	rows, err := collect(ctx, s, "list waits", rowToWait, sql, args...)
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
