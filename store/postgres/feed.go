package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

const (
	// feedChunk is how many rows are moved to the feed at once.
	feedChunk = 1000
	// feedEntries is how many runs a row of the feed holds at most.
	feedEntries = 256

	// By primary key.
	sqlFeedLock = `SELECT pos FROM feed_end WHERE id = 1 FOR UPDATE`
	sqlFeedEnd  = `SELECT pos FROM feed_end WHERE id = 1`
	sqlFeedMove = `UPDATE feed_end SET pos = $1 WHERE id = 1`
	// By primary key, whose order is that of the server's clock.
	sqlFeedFresh = `SELECT at, txn, part, runs, borns, firsts, lasts FROM feed_new ORDER BY at, txn, part LIMIT $1`
	sqlFeedAny   = `SELECT 1 FROM feed_new ORDER BY at, txn, part LIMIT 1`
	sqlFeedTaken = `DELETE FROM feed_new AS f USING unnest($1::bigint[], $2::bigint[], $3::integer[]) AS i (at, txn, part)
		WHERE f.at = i.at AND f.txn = i.txn AND f.part = i.part`
	sqlFeedAdd = `INSERT INTO feed (pos, size, runs, borns, firsts, lasts) VALUES ($1, $2, $3, $4, $5, $6)`

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
	) SELECT f.pos, f.after, f.below, coalesce(x.pos, 0), coalesce(x.run_id, ''), x.body FROM looked AS f
		LEFT JOIN LATERAL (
			SELECT i.zero + l.seq AS pos, l.run_id, l.body FROM (
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
			b.Queue(sqlFeed, q.After, limit, q.Root).Query(func(rows pgx.Rows) error { return readFeed(rows, limit, page) })
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
func readFeed(rows pgx.Rows, limit int64, page *bide.FeedPage) error {
	var pos, after, below int64
	var r bide.FeedRecord
	_, err := pgx.ForEachRow(rows, []any{&pos, &after, &below, &r.Pos, &r.RunID, &r.Body}, func() error {
		page.More = below+pos-after > limit
		if below < limit {
			page.Next = min(pos, after+limit-below)
		}
		if r.Pos > 0 {
			page.Records = append(page.Records, r)
		}
		return nil
	})
	return err
}

// commits is what one part of a group of commits added to some runs.
type commits struct {
	at, txn int64
	part    int32
	entries
}

// entries are records of runs, in their order.
type entries struct {
	runs                 []string
	borns, firsts, lasts []int64
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
	for moved := feedChunk; moved == feedChunk; {
		err := s.retry(ctx, "number the feed", func() error {
			return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) (err error) {
				moved, err = s.moveChunk(ctx, tx)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moveChunk gives positions to what was committed first, and returns how many rows it was.
func (s *Store) moveChunk(ctx context.Context, tx pgx.Tx) (int, error) {
	var pos int64
	var fresh []commits
	b := &pgx.Batch{}
	b.Queue(sqlFeedLock).QueryRow(func(row pgx.Row) error { return row.Scan(&pos) })
	b.Queue(sqlFeedFresh, feedChunk).Query(func(rows pgx.Rows) (err error) {
		fresh, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c commits, err error) {
			return c, row.Scan(&c.at, &c.txn, &c.part, &c.runs, &c.borns, &c.firsts, &c.lasts)
		})
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil || len(fresh) == 0 {
		return 0, err
	}
	b = &pgx.Batch{}
	var at, txn []int64
	var part []int32
	for _, c := range fresh {
		at, txn, part = append(at, c.at), append(txn, c.txn), append(part, c.part)
	}
	b.Queue(sqlFeedTaken, at, txn, part)
	for _, row := range pack(inOrder(fresh)) {
		size := row.size()
		pos += size
		b.Queue(sqlFeedAdd, pos, size, row.runs, row.borns, row.firsts, row.lasts)
	}
	b.Queue(sqlFeedMove, pos)
	return len(fresh), tx.SendBatch(ctx, b).Close()
}

// inOrder puts commits into an order that keeps the records of each run in
// theirs, and children after what started them. That is the order of the server's clock,
// in which they come, but for those made when the clock was set back, or another server took over.
func inOrder(all []commits) []commits {
	type run struct {
		id   string
		born int64
	}
	type place struct {
		first int64
		of    int // index in all
	}
	runs := map[run][]place{}
	for i, c := range all {
		for k, id := range c.runs {
			r := run{id, c.borns[k]}
			runs[r] = append(runs[r], place{c.firsts[k], i})
		}
	}
	before := make([][]int, len(all))
	for i := 1; i < len(all); i++ {
		if all[i].txn == all[i-1].txn && all[i].at == all[i-1].at {
			before[i] = append(before[i], i-1)
		}
	}
	for _, places := range runs {
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.first, b.first) })
		for k := 1; k < len(places); k++ {
			before[places[k].of] = append(before[places[k].of], places[k-1].of)
		}
	}
	out := make([]commits, 0, len(all))
	placed := make([]bool, len(all))
	var put func(i int)
	put = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true
		for _, b := range before[i] {
			put(b)
		}
		out = append(out, all[i])
	}
	for i := range all {
		put(i)
	}
	return out
}

// pack makes rows of the feed from commits: fewer, and as large as may be.
func pack(all []commits) (rows []entries) {
	var row entries
	for _, c := range all {
		for i := range c.runs {
			last := len(row.runs) - 1
			switch {
			case last >= 0 && row.runs[last] == c.runs[i] && row.borns[last] == c.borns[i]:
				row.lasts[last] = c.lasts[i]
				continue
			case last+1 == feedEntries:
				rows = append(rows, row)
				row = entries{}
			}
			row.runs, row.borns = append(row.runs, c.runs[i]), append(row.borns, c.borns[i])
			row.firsts, row.lasts = append(row.firsts, c.firsts[i]), append(row.lasts, c.lasts[i])
		}
	}
	return append(rows, row)
}

// size is the number of records.
func (e *entries) size() (n int64) {
	for i := range e.firsts {
		n += e.lasts[i] - e.firsts[i] + 1
	}
	return n
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
