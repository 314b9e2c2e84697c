package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bide-dev/bide"
)

// readDisk is a disk that nothing is written to. What recovery mends in files is known in memory
// as well, so that a store can be read without.
type readDisk struct{ disk }

func (d readDisk) Open(path string, _ int) (diskFile, error) {
	f, err := d.disk.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return unwritten{f}, nil
}

func (readDisk) MakeDir(string) error        { return nil }
func (readDisk) Rename(string, string) error { return nil }
func (readDisk) Remove(string) error         { return nil }
func (readDisk) SyncDir(string) error        { return nil }

// unwritten is a file whose torn end stays, and that has nothing to flush.
type unwritten struct{ diskFile }

func (unwritten) WriteAt([]byte, int64) (int, error) { return 0, fs.ErrPermission }
func (unwritten) Truncate(int64) error               { return nil }
func (unwritten) Sync() error                        { return nil }

// acquireToRead checks that the directory is a store, and locks it against those who would write.
func (s *Store) acquireToRead() (err error) {
	if err := s.foreign(); err != nil {
		return err
	}
	if _, err := s.disk.Size(filepath.Join(s.dir, storeName)); err != nil {
		return err
	}
	s.lock, err = s.disk.LockToRead(filepath.Join(s.dir, lockName))
	return s.locked(err)
}

// openToRead reads a store of this version; one of another has to be written first.
func (s *Store) openToRead() error {
	if err := s.acquireToRead(); err != nil {
		return s.unreadable(err)
	}
	return s.unreadable(s.recover())
}

func (s *Store) unreadable(err error) error {
	var known *bide.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fmt.Errorf("open: %s cannot be read; check that it is there, and that this process may read all that is in it: %w", s.dir, err)
}

// errReadOnly is what a write to a store gives that was opened to be read.
func (s *Store) errReadOnly() error {
	return bide.Errorf(bide.CodeStoreReadOnly, "%s is open for reading alone (Options.ReadOnly); open it to be written, where it can be", s.dir)
}

// locked says who has the lock when that is why there is an error.
func (s *Store) locked(err error) error {
	var held *lockedError
	if errors.As(err, &held) {
		return bide.Errorf(bide.CodeStoreLocked, "%v has the store %s open; end it, or use a store that many processes can share", held, s.dir)
	}
	return err
}
