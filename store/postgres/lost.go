package postgres

import (
	"slices"
	"sync"
	"time"
)

// lostClaims are calls of which it is not known what they claimed, by owner. One
// may still be at work at the server, so it is kept for longer than it can be.
type lostClaims struct {
	mu    sync.Mutex
	calls map[string][]lostClaim
}

type lostClaim struct {
	txn   int64
	until time.Time
}

func (l *lostClaims) of(owner string) []lostClaim {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls[owner]) == 0 {
		return nil
	}
	now := time.Now()
	l.calls[owner] = slices.DeleteFunc(l.calls[owner], func(c lostClaim) bool { return c.until.Before(now) })
	return slices.Clone(l.calls[owner])
}

func (l *lostClaims) add(owner string, c lostClaim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = map[string][]lostClaim{}
	}
	l.calls[owner] = append(l.calls[owner], c)
}

func (l *lostClaims) forget(owner string, c lostClaim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[owner] = slices.DeleteFunc(l.calls[owner], func(o lostClaim) bool { return o == c })
}
