package faultvfs

import (
	"time"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/bide-dev/bide/store/sqlite/internal/osfile"
)

// file is an open file that is watched.
type file struct {
	osfile.File
	fs   *FS
	name string
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.before(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.before(OpWrite, f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.before(OpTruncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *file) Sync(flags vfs.SyncFlag) error {
	if err := f.fs.before(OpSync, f.name); err != nil {
		return err
	}
	f.fs.syncs.Add(1)
	if d := f.fs.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	return f.File.Sync(flags)
}
