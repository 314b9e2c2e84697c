package postgres

import (
	"context"
	"time"
)

// Queued is how many commits wait for the committers.
func (s *Store) Queued() (n int) {
	for _, q := range s.queues {
		n += q.Len()
	}
	return n
}

// SweepOnce looks once for what is older than age.
func (s *Store) SweepOnce(ctx context.Context, age time.Duration) (int, error) {
	return s.sweepOnce(ctx, age)
}

// Forget removes owners without runs whose time was over before.
func (s *Store) Forget(ctx context.Context, before time.Time) error { return s.forget(ctx, before) }

// PruneFeed looks through the whole feed.
func (s *Store) PruneFeed(ctx context.Context) error {
	_, err := s.pruneFeed(ctx, 0, pruned)
	return err
}

// Wanted reports whether another process is known to listen for a topic.
func (s *Store) Wanted(topic string) bool {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	return s.relay.isWanted(digest(topic))
}
