package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// overdue is how old a message or wait is before the sweep takes it up: until then
	// its own process does.
	overdue = 2 * time.Second
	// sweepRows is how many the sweep takes at once; it goes on at once while there are more.
	sweepRows = 500
	// forgotten is how long an owner without runs is remembered after its time.
	forgotten = 24 * time.Hour

	// pruned is how many rows of the feed are looked at in an hour.
	pruned = 100 * sweepRows

	// By primary key, and the index runs_owner.
	sqlForget = `DELETE FROM owners AS o WHERE o.alive_until < $1 AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.owner = o.owner AND r.owned)`
)

// sweep looks from time to time for what a process that died left undone, until the store ends.
func (s *Store) sweep() {
	forget := time.Now().Add(time.Hour)
	var place int64
	for {
		every := s.opts.Sweep
		if pause(s.ctx, every/2+rand.N(every), nil) != nil {
			return
		}
		if _, err := s.sweepOnce(s.ctx, overdue); err != nil && s.ctx.Err() == nil {
			s.log.Warn("sweep", "server", s.server, "err", err)
		}
		if err := s.moveToFeed(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Warn("number the feed", "server", s.server, "err", err)
		}
		if now := time.Now(); now.After(forget) {
			forget = now.Add(time.Hour)
			err := s.forget(s.ctx, now.Add(-forgotten))
			if err != nil {
				s.log.Warn("forget", "server", s.server, "err", err)
			}
			if place, err = s.pruneFeed(s.ctx, place, pruned); err != nil {
				s.log.Warn("prune the feed", "server", s.server, "err", err)
			}
		}
	}
}

// forget removes owners without runs, and broadcasts, whose time was over before.
func (s *Store) forget(ctx context.Context, before time.Time) error {
	_, err := s.exec(ctx, "forget owners", sqlForget, before.UnixMicro())
	if err == nil {
		_, err = s.exec(ctx, "forget broadcasts", sqlForgetBroadcasts, before.UnixMicro())
	}
	return err
}

// sweepOnce tells runs of messages, copies broadcasts and looks for mail on waits
// that are older than age. It returns how many there were.
func (s *Store) sweepOnce(ctx context.Context, age time.Duration) (done int, err error) {
	for {
		var n news
		for sql, letters := range map[string]*[]letter{sqlUntold: &n.messages, sqlUnlooked: &n.waits, sqlBroadcastsUntold: &n.kept} {
			if *letters, err = collect(ctx, s, "find what is untold", rowToLetter, sql, age.Microseconds(), sweepRows); err != nil {
				return done, err
			}
		}
		if n.size() == 0 {
			return done, nil
		}
		n.catching = n.waits
		b := &pgx.Batch{}
		queueTell(b, n)
		err = s.pool.SendBatch(ctx, b).Close()
		if err != nil {
			return done, fmt.Errorf("tell runs: %w", err)
		}
		done += n.size()
		s.hints.give(true)
	}
}
