package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// gap is how long hints are collected after one was sent to other processes.
	gap = 2 * time.Millisecond

	sqlNotify = `SELECT pg_notify($1, $2)`
	sqlListen = `LISTEN `
)

// hints says, here and to other processes, that there may be something to do.
type hints struct {
	wake chan struct{} // holds a token when there may be something to do
	send chan struct{} // holds a token when other processes are to be told
}

func newHints() *hints {
	return &hints{wake: make(chan struct{}, 1), send: make(chan struct{}, 1)}
}

// give wakes this process at once and others soon.
func (h *hints) give() {
	put(h.wake)
	put(h.send)
}

func put(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// channel is the name under which the processes of a schema notify each other.
func (s *Store) channel() string { return "bide_" + s.opts.Schema }

// notify passes hints on to other processes until the store ends, or the server
// says that it cannot. It is done apart from commits, which would otherwise wait for each other.
func (s *Store) notify() {
	for {
		select {
		case <-s.hints.send:
		case <-s.ctx.Done():
			return
		}
		_, err := s.pool.Exec(s.ctx, sqlNotify, s.channel(), strconv.FormatUint(s.me, 36))
		if kindOf(err) == failedServer {
			s.log.Info("the server has no notifications; polling will do", "server", s.server, "err", err)
			return
		}
		if pause(s.ctx, gap, nil) != nil {
			return
		}
	}
}

// listen receives the hints of other processes until the store ends, or the
// server says that it cannot.
func (s *Store) listen(config *pgx.ConnConfig) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		heard, err := s.listenOnce(config)
		if s.ctx.Err() != nil {
			return
		}
		if kindOf(err) == failedServer {
			s.log.Info("the server has no notifications; polling will do", "server", s.server, "err", err)
			return
		}
		if heard {
			wait = firstPause
		}
		if pause(s.ctx, wait, nil) != nil {
			return
		}
	}
}

// listenOnce receives hints until the connection breaks. It reports whether there was one.
func (s *Store) listenOnce(config *pgx.ConnConfig) (connected bool, err error) {
	conn, err := pgx.ConnectConfig(s.ctx, config)
	if err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(s.ctx, sqlListen+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return false, err
	}
	put(s.hints.wake) // what was said before is missed
	own := strconv.FormatUint(s.me, 36)
	for {
		n, err := conn.WaitForNotification(s.ctx)
		if err != nil {
			return true, err
		}
		if n.Payload != own {
			put(s.hints.wake)
		}
	}
}
