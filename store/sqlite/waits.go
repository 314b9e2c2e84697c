package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The listings of waits. ?1 is a kind, ?2 to ?5 are the fields of the query, ?6 and ?7 the
// place after which the page begins, ?8 the number of rows.
const (
	sqlWaitColumns = `SELECT created_at, wait_id, body FROM waits`
	sqlWaitFilter  = `(?2 = '[]' OR +kind IN (SELECT value FROM json_each(?2))) AND (?3 = '' OR +wait_key = ?3)
		AND (?4 = '' OR +run_id = ?4) AND (?5 = '' OR +root = ?5)`
	sqlWaitPage = sqlWaitFilter + ` AND (created_at, wait_id) > (?6, ?7) ORDER BY created_at, wait_id LIMIT ?8`

	// The index waits_created serves it.
	sqlWaits = sqlWaitColumns + ` WHERE ` + sqlWaitPage
	// The index waits_kind serves it.
	sqlWaitsByKind = sqlWaitColumns + ` WHERE kind = ?1 AND ` + sqlWaitPage
	// The index waits_key serves it; its condition is repeated, so that SQLite knows.
	sqlWaitsByKey = sqlWaitColumns + ` WHERE wait_key = ?3 AND wait_key <> '' AND ` + sqlWaitPage
	// The index waits_run serves it, after that of runs.run_id. It sorts the waits of the run.
	sqlWaitsByRun = sqlWaitColumns + ` WHERE run_no = (SELECT run_no FROM runs WHERE run_id = ?4) AND ` + sqlWaitPage
	// The index waits_root serves it.
	sqlWaitsByRoot = sqlWaitColumns + ` WHERE root = ?5 AND ` + sqlWaitPage
)

// waitRow is a row of sqlWaitColumns.
type waitRow struct {
	created int64
	id      string
	body    []byte
}

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	at, id, err := after(q.Cursor, math.MinInt64)
	if err != nil {
		return nil, err
	}
	kinds := []bide.WaitKind{""} // the listing is made once
	sql := sqlWaits
	switch {
	case q.Run != "":
		sql = sqlWaitsByRun
	case q.Key != "":
		sql = sqlWaitsByKey
	case q.Root != "":
		sql = sqlWaitsByRoot
	case len(q.Kinds) > 0: // once for each, which are few
		sql, kinds = sqlWaitsByKind, slices.Compact(slices.Sorted(slices.Values(q.Kinds)))
	}
	among, err := encode(append([]bide.WaitKind{}, q.Kinds...))
	if err != nil {
		return nil, err
	}
	limit := bide.PageLimit(q.Limit)
	var found []waitRow
	err = s.read(ctx, "list waits", func(r *reader) error {
		for _, kind := range kinds {
			c := r.query(sql).text(string(kind)).raw(among).text(q.Key).text(q.Run).text(q.Root).int(at).text(id).int(int64(limit) + 1)
			err := c.rows(func(row *sqlite3.Stmt) error {
				found = append(found, waitRow{row.ColumnInt64(0), row.ColumnText(1), row.ColumnBlob(2, nil)})
				return row.Err()
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b waitRow) int { return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id)) })
	page := &bide.WaitPage{Waits: make([]bide.Wait, min(len(found), limit))}
	for i := range page.Waits {
		if err := json.Unmarshal(found[i].body, &page.Waits[i]); err != nil {
			return nil, bide.Errorf(bide.CodeCorrupt, "wait %s: %w", found[i].id, err)
		}
	}
	if len(found) > limit {
		last := &page.Waits[limit-1]
		page.Next = bide.Cursor{At: last.CreatedAt, ID: last.ID}.String()
	}
	return page, nil
}
