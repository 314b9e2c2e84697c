package sqlite

import (
	"bytes"
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The feed is the ledger in the order of its numbers: commits are made one after
// the other, whatever process makes them, and each gets numbers above all before it.
const (
	// By primary key, and for each row by that of runs. A grave has no run.
	sqlFeed = `SELECT l.id, r.run_id, CASE WHEN ?2 = '' OR r.root = ?2 THEN l.records END, CASE WHEN ?2 = '' OR r.root = ?2 THEN l.body END, l.packed
		FROM ledger l LEFT JOIN runs r ON r.run_no = l.run_no WHERE l.id > ?1 ORDER BY l.id`
	sqlFeedEnd = `SELECT ifnull(max(id), 0) FROM ledger` // by primary key
	// By the index of runs.run_id, and that of ledger (run_no, seq).
	sqlBefore = `SELECT l.id - l.records FROM runs r CROSS JOIN ledger l ON l.run_no = r.run_no WHERE r.run_id = ? ORDER BY l.seq LIMIT 1`
)

// feedBytes is how much text one page of the feed has at most, but for that of its last row.
const feedBytes = 16 << 20

// Feed implements bide.Store. For a tree it skips what was recorded before the tree began.
func (s *Store) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	page := &bide.FeedPage{Next: q.After}
	err := s.read(ctx, "read the feed", func(r *reader) error {
		if q.After == bide.FeedEnd {
			return r.query(sqlFeedEnd).rows(func(row *sqlite3.Stmt) error {
				page.Next = row.ColumnInt64(0)
				return nil
			})
		}
		if q.Root != "" {
			err := r.query(sqlBefore).text(q.Root).rows(func(row *sqlite3.Stmt) error {
				page.Next = max(page.Next, row.ColumnInt64(0))
				return nil
			})
			if err != nil {
				return err
			}
		}
		limit := bide.PageLimit(q.Limit)
		looked, size := 0, 0
		return r.query(sqlFeed).int(page.Next).text(q.Root).rows(func(row *sqlite3.Stmt) error {
			if page.More = looked >= limit || size > feedBytes; page.More {
				return errEnough
			}
			after := page.Next
			page.Next = row.ColumnInt64(0)
			if row.ColumnType(1) == sqlite3.NULL || row.ColumnType(3) == sqlite3.NULL {
				looked++
				return nil
			}
			all, err := r.texts(row, 2)
			if err != nil {
				return err
			}
			runID := row.ColumnText(1)
			for i, text := range all {
				pos := page.Next - int64(len(all)-1-i)
				if pos <= after {
					continue
				}
				looked, size = looked+1, size+len(text)
				page.Records = append(page.Records, bide.FeedRecord{Pos: pos, RunID: runID, Body: bytes.Clone(text)})
			}
			return row.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}
