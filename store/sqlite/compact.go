package sqlite

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// Compact gives back the space that deleted runs have left in the file. It writes the whole file anew, for which the disk
// needs room for about two more of it. Cut off, it has changed nothing. Runs may go on, but no commit is made meanwhile: those of
// this process wait, those of others for Options.BusyTimeout and fail then, to be sent again. A large store is better
// compacted while no other process drives it. It fails with ErrStoreLocked when another process is writing all the time.
func (s *Store) Compact(ctx context.Context) (err error) {
	select {
	case <-s.done:
		return bide.ErrStoreClosed
	default:
	}
	if s.opts.ReadOnly {
		return s.explain("compact", sqlite3.READONLY)
	}
	conn, err := s.dial(sqlite3.OPEN_READWRITE)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	conn.SetInterrupt(ctx)
	s.whole.Lock()
	defer s.whole.Unlock()
	if err := conn.Exec("VACUUM"); err != nil {
		return errors.Join(s.explain("compact", err), context.Cause(ctx))
	}
	if _, _, err := conn.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE); err != nil && code(err) != sqlite3.BUSY {
		return s.explain("compact", err)
	}
	return nil
}
