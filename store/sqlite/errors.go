package sqlite

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// concernsAll tells whether an error is the whole store's, or one commit's alone.
func concernsAll(err error) bool {
	switch code(err) {
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.FULL, sqlite3.READONLY, sqlite3.PERM, sqlite3.IOERR,
		sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.CANTOPEN, sqlite3.PROTOCOL, sqlite3.INTERNAL:
		return true
	}
	return false
}

// code returns the SQLite code in err, or 0. Shared memory that has no room is the only thing that
// tells of a full disk in other words.
func code(err error) (c sqlite3.ErrorCode) {
	if errors.Is(err, sqlite3.IOERR_SHMSIZE) {
		return sqlite3.FULL
	}
	errors.As(err, &c)
	return c
}

// explain turns an error of SQLite into one that says what happened to which
// file and what to do. An I/O error stays an ordinary error: it may pass, and the
// runtime sends the commit again.
func (s *Store) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	as := func(c bide.Code, format string, args ...any) error {
		return &bide.Error{Code: c, Message: fmt.Sprintf(format, args...), Err: err}
	}
	switch code(err) {
	case sqlite3.FULL:
		return as(bide.CodeStoreFull, "%s: the disk under %s is full; nothing that was acknowledged is lost; free some space and try again", doing, s.path)
	case sqlite3.BUSY, sqlite3.LOCKED:
		return as(bide.CodeStoreLocked, "%s: another process has held %s for %s; end it, or raise Options.BusyTimeout", doing, s.path, s.opts.BusyTimeout)
	case sqlite3.READONLY, sqlite3.PERM:
		if s.opts.ReadOnly {
			return bide.Errorf(bide.CodeStoreReadOnly, "%s: %s is open for reading alone (Options.ReadOnly); open it to be written, where it can be", doing, s.path)
		}
		return as(bide.CodeStoreReadOnly, "%s: %s cannot be written; give this process write access to the file and its directory", doing, s.path)
	case sqlite3.CORRUPT:
		return as(bide.CodeCorrupt, "%s: %s is damaged; restore it from a backup, or copy what can be read with \"sqlite3 %s .recover\"", doing, s.path, s.path)
	case sqlite3.NOTADB:
		return as(bide.CodeStoreForeign, "%s: %s is not a SQLite file, or its first page is damaged; choose another path", doing, s.path)
	case sqlite3.IOERR:
		return fmt.Errorf("%s: reading or writing %s failed; check the disk, and whether it has space left: %w", doing, s.path, err)
	case sqlite3.CANTOPEN:
		if errors.Is(err, syscall.EISDIR) {
			return bide.Errorf(bide.CodeStoreForeign, "%s: %s is a directory, and a store is one file; choose the path of one, in it or elsewhere", doing, s.path)
		}
		return fmt.Errorf("%s: %s cannot be opened; check that its directory exists and may be written: %w", doing, s.path, err)
	}
	return fmt.Errorf("%s in %s: %w", doing, s.path, err)
}
