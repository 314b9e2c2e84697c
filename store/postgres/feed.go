package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

const (
	// feedChunk is how many rows are moved to the feed at once.
	feedChunk = 1000

	// Gives positions to what was committed first, some $1 rows. All of it by
	// primary key. The lock is had before the statement looks.
	sqlFeedBegin = `BEGIN ISOLATION LEVEL READ COMMITTED`
	sqlFeedLock  = `SELECT pos FROM feed_end WHERE id = 1 FOR UPDATE`
	sqlFeedMove  = `WITH fresh AS (
		DELETE FROM feed_new WHERE at <= (SELECT max(f.at) FROM (SELECT at FROM feed_new ORDER BY at, txn, part LIMIT $1) AS f)
		RETURNING at, txn, part, size, runs, borns, firsts, lasts
	), moved AS (
		INSERT INTO feed (pos, size, runs, borns, firsts, lasts)
		SELECT (SELECT e.pos FROM feed_end AS e WHERE e.id = 1) + sum(size) OVER (ORDER BY at, txn, part), size, runs, borns, firsts, lasts FROM fresh
	), all_of AS (
		SELECT count(*) AS rows, coalesce(sum(size), 0)::bigint AS size FROM fresh
	) UPDATE feed_end AS e SET pos = e.pos + a.size FROM all_of AS a WHERE e.id = 1 RETURNING e.pos, a.rows`
	sqlFeedEnd = `SELECT pos FROM feed_end WHERE id = 1`
	sqlFeedAny = `SELECT 1 FROM feed_new ORDER BY at, txn, part LIMIT 1`

	// Looks at up to $2 records after position $1; all of it by primary key. Of
	// each row the records are read that are asked for and no others. The row
	// after those that are looked at shows that there is more. A reader of a tree, whose
	// first run is $3, begins where the tree does.
	sqlFeed = `WITH begin AS (
		SELECT greatest($1::bigint, coalesce((SELECT s.fed_since FROM runs AS s WHERE s.run_id = $3), 0)) AS after
	), looked AS (
		SELECT f.*, f.upto - f.pos + f.after AS below FROM (
			SELECT *, (sum(pos - after) OVER (ORDER BY pos))::bigint AS upto FROM (
				SELECT *, greatest(pos - size, (SELECT after FROM begin)) AS after FROM feed WHERE pos > (SELECT after FROM begin) ORDER BY pos LIMIT $2 + 1
			) AS rows
		) AS f WHERE f.upto - f.pos + f.after <= $2
	) SELECT f.pos, f.after, f.below, coalesce(x.pos, 0), coalesce(x.run_id, ''), x.body, x.packed FROM looked AS f
		LEFT JOIN LATERAL (
			SELECT i.zero + l.seq AS pos, l.run_id, l.body, l.packed FROM (
				SELECT *, (f.pos - f.size - firsts + 1 + sum(lasts - firsts + 1) OVER (ORDER BY n) - (lasts - firsts + 1))::bigint AS zero
				FROM unnest(f.runs, f.borns, f.firsts, f.lasts) WITH ORDINALITY AS u (run_id, born, firsts, lasts, n)
			) AS i
			JOIN runs AS r ON r.run_id = i.run_id AND r.born = i.born AND ($3 = '' OR coalesce(r.root, r.run_id) = $3)
			JOIN ledger AS l ON l.run_id = i.run_id AND l.seq >= greatest(i.firsts, f.after - i.zero + 1) AND l.seq <= least(i.lasts, f.after + $2 - f.below - i.zero)
		) AS x ON true ORDER BY f.pos, x.pos`

	// By the primary keys of feed and runs.
	sqlFeedDead = `SELECT f.pos, NOT EXISTS (SELECT 1 FROM unnest(f.runs, f.borns) AS i (run_id, born) JOIN runs AS r ON r.run_id = i.run_id AND r.born = i.born)
		FROM feed AS f WHERE f.pos > $1 ORDER BY f.pos LIMIT $2`
	sqlFeedPrune = `DELETE FROM feed WHERE pos = ANY($1::bigint[])`
)

// Feed implements bide.Store. What was committed and has no position yet gets
// one first, so that what is acknowledged is there.
func (s *Store) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	page, fresh, err := s.feed(ctx, q)
	if err != nil || !fresh || page.More {
		return page, err
	}
	if err := s.moveToFeed(ctx); err != nil {
		return nil, err
	}
	page, _, err = s.feed(ctx, q)
	return page, err
}

// feed reads what has positions, and whether there is something that has not.
func (s *Store) feed(ctx context.Context, q bide.FeedQuery) (page *bide.FeedPage, fresh bool, err error) {
	limit := int64(bide.PageLimit(q.Limit))
	err = s.view(ctx, "read the feed", func(b *pgx.Batch) {
		page, fresh = &bide.FeedPage{Next: q.After}, false
		if q.After == bide.FeedEnd {
			b.Queue(sqlFeedEnd).QueryRow(func(row pgx.Row) error { return row.Scan(&page.Next) })
		} else {
			b.Queue(sqlFeed, q.After, limit, q.Root).Query(func(rows pgx.Rows) error { return s.readFeed(rows, limit, page) })
		}
		b.Queue(sqlFeedAny).Query(func(rows pgx.Rows) error {
			fresh = rows.Next()
			rows.Close()
			return rows.Err()
		})
	})
	return page, fresh, err
}

// readFeed reads rows of sqlFeed: of each row of the feed its position, that
// after which it was looked at, how many records were looked at before, and its records.
func (s *Store) readFeed(rows pgx.Rows, limit int64, page *bide.FeedPage) error {
	var pos, after, below int64
	var r bide.FeedRecord
	var body, packed []byte
	_, err := pgx.ForEachRow(rows, []any{&pos, &after, &below, &r.Pos, &r.RunID, &body, &packed}, func() (err error) {
		page.More = below+pos-after > limit
		if below < limit {
			page.Next = min(pos, after+limit-below)
		}
		if r.Pos > 0 {
			if r.Body, err = s.unpacked(body, packed); err != nil {
				return err
			}
			page.Records = append(page.Records, r)
		}
		return nil
	})
	return err
}

// moveToFeed gives positions to all that was committed before. It holds a lock
// that only others who do the same wait for.
func (s *Store) moveToFeed(ctx context.Context) error {
	select {
	case <-s.moving:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.moving <- struct{}{} }()
	for moved := feedChunk; moved >= feedChunk; {
		err := s.retry(ctx, "number the feed", func() error {
			var end int64
			b := &pgx.Batch{}
			b.Queue(sqlFeedBegin)
			b.Queue(sqlFeedLock)
			b.Queue(sqlFeedMove, feedChunk).QueryRow(func(row pgx.Row) error { return row.Scan(&end, &moved) })
			b.Queue("COMMIT")
			err := s.pool.SendBatch(ctx, b).Close()
			if err == nil {
				s.fed.Store(end)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneFeed removes rows of the feed all of whose runs are gone. It looks at
// about as many as it is told to, from a position on, and returns the one to go on from.
func (s *Store) pruneFeed(ctx context.Context, from int64, rows int) (int64, error) {
	type looked struct {
		pos  int64
		dead bool
	}
	for ; rows > 0; rows -= sweepRows {
		found, err := collect(ctx, s, "look through the feed", func(row pgx.CollectableRow) (l looked, err error) {
			return l, row.Scan(&l.pos, &l.dead)
		}, sqlFeedDead, from, sweepRows)
		if err != nil {
			return from, err
		}
		var dead []int64
		for _, l := range found {
			if from = l.pos; l.dead {
				dead = append(dead, l.pos)
			}
		}
		if len(dead) > 0 {
			if _, err := s.exec(ctx, "prune the feed", sqlFeedPrune, dead); err != nil {
				return from, err
			}
		}
		if len(found) < sweepRows {
			return 0, nil // from the beginning, the next time
		}
	}
	return from, nil
}
