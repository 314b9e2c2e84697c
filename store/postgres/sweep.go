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

	// By primary key, and the index runs_owner.
	sqlForget = `DELETE FROM owners AS o WHERE o.alive_until < $1 AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.owner = o.owner AND r.owned)`
)

// sweep looks from time to time for what a process that died left undone, until the store ends.
func (s *Store) sweep() {
	forget := time.Now().Add(time.Hour)
	for {
		every := s.opts.Sweep
		if pause(s.ctx, every/2+rand.N(every), nil) != nil {
			return
		}
		if _, err := s.sweepOnce(s.ctx, overdue); err != nil && s.ctx.Err() == nil {
			s.log.Warn("sweep", "server", s.server, "err", err)
		}
		if now := time.Now(); now.After(forget) {
			forget = now.Add(time.Hour)
			if err := s.forget(s.ctx, now.Add(-forgotten)); err != nil {
				s.log.Warn("forget owners", "server", s.server, "err", err)
			}
		}
	}
}

// forget removes owners without runs whose time was over before.
func (s *Store) forget(ctx context.Context, before time.Time) error {
	_, err := s.exec(ctx, "forget owners", sqlForget, before.UnixMicro())
	return err
}

// sweepOnce tells runs of messages and looks for mail on waits that are older
// than age. It returns how many of both there were.
func (s *Store) sweepOnce(ctx context.Context, age time.Duration) (done int, err error) {
	for {
		letters, err := collect(ctx, s, "find messages", rowToLetter, sqlUntold, age.Microseconds(), sweepRows)
		if err != nil {
			return done, err
		}
		waits, err := collect(ctx, s, "find waits", rowToLetter, sqlUnlooked, age.Microseconds(), sweepRows)
		if err != nil {
			return done, err
		}
		if len(letters)+len(waits) == 0 {
			return done, nil
		}
		b := &pgx.Batch{}
		queueTell(b, letters, waits)
		err = s.pool.SendBatch(ctx, b).Close()
		if err != nil {
			return done, fmt.Errorf("tell runs: %w", err)
		}
		done += len(letters) + len(waits)
		s.hints.give()
	}
}
