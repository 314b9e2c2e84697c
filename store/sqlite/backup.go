package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bide-dev/bide"
)

// Backup writes the store as it is at one moment into a new file, which is a store of its own: every run is in it up to a
// commit, and none in part. Runs go on meanwhile. It is durable and whole when Backup returns; cut off, it leaves
// nothing under that name. It fails with ErrExists when the file is there.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return bide.Errorf(bide.CodeExists, "there is a file at %s already; choose another name", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("backup: %w", err)
	}
	select {
	case <-s.done:
		return bide.ErrStoreClosed
	default:
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".backup-")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tmp := filepath.Join(dir, "backup")
	if err := s.vacuumInto(ctx, tmp); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := syncFile(tmp); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := os.Link(tmp, path); err != nil { // unlike a rename, it does not replace what came meanwhile
		return fmt.Errorf("backup: %w", err)
	}
	return syncFile(filepath.Dir(path))
}

func (s *Store) vacuumInto(ctx context.Context, path string) (err error) {
	conn, then, err := s.dialReader()
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, conn.Close())
		if then != nil && !s.holds(then) {
			err = s.errWritten("backup")
		}
	}()
	conn.SetInterrupt(ctx)
	stmt, _, err := conn.Prepare("VACUUM INTO ?")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	if err := stmt.BindText(1, path); err != nil {
		return err
	}
	return errors.Join(stmt.Exec(), context.Cause(ctx))
}

// syncFile makes a file, or the names in a directory, durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
