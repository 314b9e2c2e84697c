package sqlite

// Queued is how many commits wait for the committer.
func (s *Store) Queued() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.entries)
}
