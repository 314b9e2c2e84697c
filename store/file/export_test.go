package file

// SyncData is how the store flushes a file.
var SyncData = syncData

// Groups is the number of groups that were written.
func (s *Store) Groups() int64 {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.journal.group
}
