package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// A store that is opened for reading is read as by any other process as long as that is
// possible: by way of the shared memory beside the file, with which it may be written meanwhile.
// Where that cannot be made (on a medium that takes no writes, in a folder without permission, on a
// full disk) and nobody is at work, a connection reads alone: without locks, with an index of the log in its own
// memory. Neither way writes to the file or the log, or removes either.

// stamp is what the files of a store were when a connection began to read alone.
type stamp struct{ file, log os.FileInfo } // nil when there is none

// alone returns the stamp of a store that nobody is at work on; nil when somebody may be: whoever
// writes has the log and the shared memory open, and both are there.
func (s *Store) alone() (*stamp, error) {
	shared, err := look(s.path + "-shm")
	if err != nil {
		return nil, err
	}
	journal, err := look(s.path + "-journal")
	if err != nil {
		return nil, err
	}
	var now stamp
	if now.file, err = look(s.path); err != nil {
		return nil, err
	}
	if now.log, err = look(s.path + "-wal"); err != nil {
		return nil, err
	}
	working := shared != nil && shared.Size() > 0 && now.log != nil
	if undone := journal != nil && journal.Size() > 0; now.file == nil || working || undone {
		return nil, nil
	}
	return &now, nil
}

// look is what a file is, nil when there is none.
func look(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// holds reports whether nobody has written since, and nobody may be about to.
func (s *Store) holds(then *stamp) bool {
	now, err := s.alone()
	return err == nil && now != nil && same(now.file, then.file) && same(now.log, then.log)
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// dialReader opens a connection that reads; the stamp is nil unless it reads alone.
func (s *Store) dialReader() (*sqlite3.Conn, *stamp, error) {
	conn, err := s.dial(sqlite3.OPEN_READONLY)
	if err != nil {
		return nil, nil, err
	}
	if _, err = conn.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true); err == nil {
		_, err = scalar(conn, sqlFirstLook)
	}
	if err == nil {
		return conn, nil, nil
	}
	try := s.opts.ReadOnly && unshared(err)
	err = errors.Join(s.unread(err), conn.Close())
	if !try {
		return nil, nil, err
	}
	then, serr := s.alone()
	if serr != nil || then == nil {
		return nil, nil, errors.Join(err, serr)
	}
	conn, err = s.dialAlone(then)
	return conn, then, err
}

// unread is explain for a file that cannot be read, or not without writing.
func (s *Store) unread(err error) error {
	if c := code(err); s.opts.ReadOnly && (c == sqlite3.READONLY || c == sqlite3.CANTOPEN) {
		return fmt.Errorf("open: %s cannot be read as it is: a process may be at work on it whose %s this one may not read, or has left a transaction undone; "+
			"give this process the right to read all files of the store, or open it once where it can be written: %w", s.path, filepath.Base(s.path)+"-shm", err)
	}
	return s.explain("open", err)
}

// sqlFirstLook is what makes SQLite open the log and the shared memory.
const sqlFirstLook = `SELECT count(*) FROM sqlite_schema`

// unshared reports whether an error may be that of shared memory that cannot be had.
func unshared(err error) bool {
	switch code(err) {
	case sqlite3.CANTOPEN, sqlite3.READONLY, sqlite3.PERM, sqlite3.FULL, sqlite3.IOERR:
		return true
	}
	return false
}

// dialAlone opens a connection that reads without locks. SQLite passes over the log of a file that is
// said to be immutable, and keeps the index of a log in memory for who has the file to itself: so a file with a log is
// had so, on a disk that gives the lock for that to anybody.
func (s *Store) dialAlone(then *stamp) (*sqlite3.Conn, error) {
	logged := then.log != nil && then.log.Size() > 0
	params := url.Values{"vfs": {s.disk}, "immutable": {"1"}}
	if logged {
		params = url.Values{"vfs": {unlockedDisk + s.disk}}
	}
	conn, err := s.dialWith(sqlite3.OPEN_READONLY, params)
	if err != nil {
		return nil, err
	}
	if _, err = conn.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true); err == nil && logged {
		err = conn.Exec("PRAGMA locking_mode = exclusive")
	}
	if err == nil {
		_, err = scalar(conn, sqlFirstLook)
	}
	if err != nil {
		return nil, errors.Join(s.unread(err), conn.Close())
	}
	return conn, nil
}

// lookIn checks that the file is a store whose layout is the current one.
func (s *Store) lookIn() error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	r, err := s.openReader()
	if err != nil {
		return err
	}
	version, err := s.layout(r.conn, len(steps))
	if err == nil && version < len(steps) {
		err = bide.Errorf(bide.CodeStoreReadOnly, "the store %s has layout %d, and is read when it has been brought to %d: open it once where it can be written, or a copy of it", s.path, version, len(steps))
	}
	return cmp.Or(err, s.explain("open", r.close()))
}

// lend lends a connection that can see what is there now.
func (s *Store) lend(ctx context.Context) (*reader, error) {
	for range cap(s.readers.slots) + 1 { // those that are idle, and a new one
		r, err := s.readers.get(ctx)
		if err != nil || r.alone == nil || s.holds(r.alone) {
			return r, err
		}
		s.readers.put(r, true)
	}
	return nil, s.errWritten("read")
}

// errWritten is what a read gives that was made alone while somebody came to write.
func (s *Store) errWritten(doing string) error {
	return bide.Errorf(bide.CodeStoreLocked, "%s: another process has begun to write %s, which was read without its locks; try again", doing, s.path)
}
