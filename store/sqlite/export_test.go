package sqlite

// Queued is how many commits wait for the committer.
func (s *Store) Queued() int { return s.queue.Len() }
