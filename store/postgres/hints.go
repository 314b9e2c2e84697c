package postgres

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// firstGap to lastGap is how long hints of runs to claim are collected after one
	// was sent: twice as long as before when several came meanwhile. Who does one thing after
	// the other waits for none of it.
	firstGap = time.Millisecond
	lastGap  = 8 * time.Millisecond
	// firstFeedGap and lastFeedGap are the same for news of the feed, which nobody's progress waits for.
	firstFeedGap = 10 * time.Millisecond
	lastFeedGap  = 40 * time.Millisecond

	// What a notification says, after who sent it.
	hintClaimable = "claimable"
	hintFeed      = "feed"

	// It waits for no disk: who is told looks for what is durable.
	sqlNotify = `SELECT pg_notify($1, $2), set_config('synchronous_commit', 'off', true)`
	sqlListen = `LISTEN `
)

// hints says, here and to other processes, that something was committed.
type hints struct {
	mu        sync.Mutex
	next      int
	listeners map[int]func(claimable bool)
	claimable told // that runs may have become claimable
	committed told // that there is news for the feed
}

// told is what other processes are to be told.
type told struct {
	token chan struct{} // holds one when there is something
	count atomic.Int64  // of hints given
}

func (t *told) give() {
	t.count.Add(1)
	put(t.token)
}

func newHints() *hints {
	return &hints{listeners: map[int]func(bool){}, claimable: told{token: make(chan struct{}, 1)}, committed: told{token: make(chan struct{}, 1)}}
}

// Hints implements bide.Hinter. It returns at once; hints of this process's own
// commits are given too. The first after a while is given at once; what cannot be claimed is then told at most every 10 to 40 ms.
func (s *Store) Hints(ctx context.Context, f func(claimable bool)) error {
	if s.closed.Load() {
		return s.errClosed()
	}
	h := s.hints
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.next
	h.next++
	h.listeners[id] = f
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, id)
	})
	return nil
}

// give tells other processes soon, and this one at once if runs may have become claimable.
func (h *hints) give(claimable bool) {
	h.committed.give()
	if claimable {
		h.claimable.give()
		h.tell(true)
	}
}

// tell calls those in this process who want to know.
func (h *hints) tell(claimable bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.listeners {
		f(claimable)
	}
}

func put(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// channel is the name under which the processes of a schema notify each other.
func (s *Store) channel() string { return "bide_" + s.opts.Schema }

// notify passes hints of one kind on to other processes until the store ends. It
// is done apart from commits, which would otherwise wait for each other.
func (s *Store) notify(what *told, kind string) {
	first, last := firstGap, lastGap
	if kind == hintFeed {
		first, last = firstFeedGap, lastFeedGap
	}
	able, gap := true, first
	for {
		select {
		case <-what.token:
		case <-s.ctx.Done():
			return
		}
		if kind == hintFeed {
			s.hints.tell(false)
		}
		given := what.count.Load()
		if able {
			_, err := s.pool.Exec(s.ctx, sqlNotify, s.channel(), s.own()+" "+kind)
			if able = !isUnable(err); !able {
				s.log.Info("the server has no notifications; polling will do", "server", s.server, "err", err)
			}
		}
		if pause(s.ctx, gap, nil) != nil {
			return
		}
		if gap = min(2*gap, last); what.count.Load()-given < 2 {
			gap = first
		}
	}
}

// own is how the notifications of this store begin, before a space.
func (s *Store) own() string { return strconv.FormatUint(s.me, 36) }

// listen receives the hints of other processes until the store ends, or the
// server says that it cannot.
func (s *Store) listen(config *pgx.ConnConfig) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		heard, err := s.listenOnce(config)
		if s.ctx.Err() != nil {
			return
		}
		if isUnable(err) {
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
	for _, channel := range []string{s.channel(), s.asksChannel()} {
		if _, err := conn.Exec(s.ctx, sqlListen+pgx.Identifier{channel}.Sanitize()); err != nil {
			return false, err
		}
	}
	s.hints.tell(true) // what was said before is missed
	h := &hearing{store: s, conn: conn, told: map[string]bool{}, parts: map[string]*part{}}
	for {
		if err := h.tell(); err != nil {
			return true, err
		}
		if err := h.hear(); err != nil {
			return true, err
		}
	}
}

// hear takes notifications until the others are to be told something, or the connection breaks.
func (h *hearing) hear() error {
	s := h.store
	ctx, stop := h.until(s.ctx)
	defer stop()
	for ctx.Err() == nil {
		n, err := h.conn.WaitForNotification(ctx)
		if err != nil && ctx.Err() != nil && !h.conn.IsClosed() {
			return s.ctx.Err()
		}
		if err != nil {
			return err
		}
		who, what, _ := strings.Cut(n.Payload, " ")
		switch {
		case who == s.own():
		case n.Channel == s.asksChannel():
			if h.asked(who, what) {
				return nil
			}
		case n.Channel == s.liveChannel():
			h.text(who, what)
		default:
			s.hints.tell(what != hintFeed)
		}
	}
	return s.ctx.Err()
}
