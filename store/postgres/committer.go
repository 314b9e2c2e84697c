package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/queue"
)

const (
	retries    = 10 // of a group that the server chose to fail for the sake of others
	firstPause = 2 * time.Millisecond
	lastPause  = time.Second
)

// committer is one of the goroutines that commit, and its connection.
type committer struct {
	store  *Store
	queue  *queue.Queue[*entry]
	config *pgx.ConnConfig
	conn   *pgx.Conn // nil when there is none
}

// run commits what callers push until the queue is closed and empty.
func (c *committer) run() {
	defer c.drop()
	var group []*entry
	for {
		var more bool
		if group, more = c.queue.Take(group, pick); !more {
			return
		}
		c.commit(group)
	}
}

// commit makes a group durable and answers every caller, once. It is tried
// again while its outcome is unknown: what was applied already is recognized by the position of its run.
func (c *committer) commit(group []*entry) {
	pause := firstPause
	for try := 1; len(group) > 0; try++ {
		err := c.attempt(group)
		switch kindOf(err) {
		case failedNot:
			group = c.answer(group)
			continue
		case failedConflict:
			if try >= retries {
				c.fail(group, err)
				return
			}
		case failedConnection:
			c.drop()
			if group = c.givenUp(group, err); c.closing() {
				c.fail(group, err)
				return
			}
		case failedData:
			if len(group) > 1 {
				for i := range group { // one of them is to blame; the others need not suffer
					c.commit(group[i : i+1])
				}
				return
			}
			c.fail(group, err)
			return
		default:
			c.drop() // the next server may do better, when there are several
			c.fail(group, err)
			return
		}
		c.store.log.Warn("commit again", "server", c.store.server, "commits", len(group), "try", try, "err", err)
		c.wait(pause)
		pause = min(2*pause, lastPause)
	}
}

// closing tells whether the store closes.
func (c *committer) closing() bool {
	select {
	case <-c.queue.Closing():
		return true
	default:
		return false
	}
}

// wait pauses before another attempt; it ends early when the store closes.
func (c *committer) wait(pause time.Duration) {
	timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.queue.Closing():
	}
}

// answer tells callers their outcomes and returns those commits that were
// refused for no reason that could be found, to be tried again.
func (c *committer) answer(group []*entry) (again []*entry) {
	for _, e := range group {
		if e.result == errAgain {
			if e.again++; e.again < retries {
				again = append(again, e)
				continue
			}
			e.result = fmt.Errorf("commit to run %s in %s: %w", e.run.id, c.store.server, errAgain)
		}
		e.done <- e.result
	}
	return again
}

var errAgain = errors.New("the server refused it for no reason that shows")

func (c *committer) fail(group []*entry, err error) {
	for _, e := range group {
		e.done <- c.store.explain("commit", err)
	}
}

// givenUp answers the commits whose callers have left or that have waited long
// enough for a server that is gone, and returns the others.
func (c *committer) givenUp(group []*entry, err error) (rest []*entry) {
	for _, e := range group {
		switch {
		case e.ctx.Err() != nil:
			e.done <- context.Cause(e.ctx)
		case time.Now().After(e.until):
			e.done <- outage("commit", c.store.server, fmt.Errorf("whether it was applied is not known after %s; send it again: %w", c.store.opts.Patience, err))
		default:
			rest = append(rest, e)
		}
	}
	return rest
}

// attempt sends a group once, sets each commit's result and tells those whom
// its messages concern. After an error nothing was applied, or the outcome is unknown.
func (c *committer) attempt(entries []*entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.store.opts.Timeout+time.Second)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return err
	}
	for _, e := range entries {
		e.tries++
	}
	g := newGroup(rand.Int64(), c.store.fed.Load(), entries)
	b := &pgx.Batch{}
	if owners := c.store.strangers(g.owners); len(owners) > 0 {
		b.Queue(sqlMeet, owners)
	}
	done := g.queue(b)
	if err := c.send(ctx, b); err != nil {
		return err
	}
	refused := g.settle(done.runs)
	if err := c.follow(ctx, refused, news{done.letters, g.listening, g.catching, done.kept}); err != nil {
		return err
	}
	if len(done.runs) > 0 || len(done.letters) > 0 {
		c.store.hints.give(done.look || len(done.letters) > 0)
	}
	return nil
}

// follow does what can only be done after a group is committed, in a second
// round trip that most groups do not need: it tells runs of mail, and finds out why commits were refused.
func (c *committer) follow(ctx context.Context, refused []*entry, n news) (err error) {
	for range retries {
		b := &pgx.Batch{}
		queueTell(b, n)
		if len(refused) > 0 {
			ids, seqs := asked(refused)
			b.Queue(sqlWhere, ids, seqs).Query(c.store.decideAll(refused))
		}
		if err = c.send(ctx, b); kindOf(err) != failedConflict {
			return err
		}
		c.store.log.Warn("tell again", "server", c.store.server, "err", err)
	}
	return err
}

// send sends a batch, if there is anything in it, and reads all of its results.
func (c *committer) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	err := c.conn.SendBatch(ctx, b).Close()
	if err != nil && !c.conn.IsClosed() && c.conn.PgConn().TxStatus() != 'I' {
		_, _ = c.conn.Exec(ctx, "ROLLBACK") // what failed is known already
	}
	return err
}

// settle sets the result of the commits that were applied and returns the others.
func (g *group) settle(applied map[string]bool) (refused []*entry) {
	for _, e := range g.entries {
		if e.result = nil; e.run.id != "" && !applied[e.run.id] {
			e.result = errAgain
			refused = append(refused, e)
		}
	}
	return refused
}

// asked are the runs of refused commits, and the record of each to look at; 0 for none.
func asked(refused []*entry) (ids []string, seqs []int64) {
	for _, e := range refused {
		ids, seqs = append(ids, e.run.id), append(seqs, 0)
		if e.tries > 1 {
			seqs[len(seqs)-1] = e.run.info.Seq
		}
	}
	return ids, seqs
}

// decideAll reads where the runs of refused commits are, and sets their results.
func (s *Store) decideAll(refused []*entry) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		places := map[string]place{}
		var id string
		var head, body, packed []byte
		var p place
		_, err := pgx.ForEachRow(rows, []any{&id, &p.Seq, &head, &p.fence, &p.owner, &p.at, &body, &packed}, func() error {
			copy(p.Head[:], head)
			if p.record = (bide.Hash{}); body != nil {
				text, err := s.unpacked(body, packed)
				if err != nil {
					return err
				}
				p.record = sha256.Sum256(text)
			}
			places[id] = p
			return nil
		})
		if err != nil {
			return err
		}
		for _, e := range refused {
			if outcome, decided := e.decide(places[e.run.id]); decided {
				e.result = outcome
			}
		}
		return nil
	}
}

// connect opens a connection when there is none.
func (c *committer) connect(ctx context.Context) (err error) {
	if c.conn == nil {
		c.conn, err = pgx.ConnectConfig(ctx, c.config)
	}
	return err
}

// drop gives up the connection; what went wrong is known already.
func (c *committer) drop() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx)
	c.conn = nil
}
