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
	// By primary key, and for each record by that of runs. A grave has no run.
	sqlFeed = `SELECT l.id, r.run_id, CASE WHEN ?2 = '' OR r.root = ?2 THEN l.body END
		FROM ledger l LEFT JOIN runs r ON r.run_no = l.run_no WHERE l.id > ?1 ORDER BY l.id LIMIT ?3`
	sqlFeedEnd = `SELECT ifnull(max(id), 0) FROM ledger` // by primary key
	// By the index of runs.run_id, and that of ledger (run_no, seq).
	sqlFirstOf = `SELECT l.id FROM runs r CROSS JOIN ledger l ON l.run_no = r.run_no AND l.seq = 1 WHERE r.run_id = ?`
)

// feedBytes is how much text one page of the feed has at most, but for its last record.
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
			err := r.query(sqlFirstOf).text(q.Root).rows(func(row *sqlite3.Stmt) error {
				page.Next = max(page.Next, row.ColumnInt64(0)-1)
				return nil
			})
			if err != nil {
				return err
			}
		}
		limit := bide.PageLimit(q.Limit)
		looked, size := 0, 0
		return r.query(sqlFeed).int(page.Next).text(q.Root).int(int64(limit) + 1).rows(func(row *sqlite3.Stmt) error {
			if page.More = looked == limit || size > feedBytes; page.More {
				return nil
			}
			looked++
			page.Next = row.ColumnInt64(0)
			if row.ColumnType(1) == sqlite3.NULL || row.ColumnType(2) == sqlite3.NULL {
				return nil
			}
			body := bytes.Clone(row.ColumnRawText(2))
			size += len(body)
			page.Records = append(page.Records, bide.FeedRecord{Pos: page.Next, RunID: row.ColumnText(1), Body: body})
			return row.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}
