package sqlite

import (
	"errors"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/bide-dev/bide/store/sqlite/internal/osfile"
)

// disk is the virtual file system under the store's connections. It is another
// one, except that a full or read-only disk is told apart from other faults:
// the system's errors do not reach those who called SQLite.
type disk struct{ vfs.VFS }

// registerDisk returns the name of the disk over the file system named base;
// empty means the system's.
func registerDisk(base string) (name string, err error) {
	under := vfs.Find(base)
	if under == nil {
		return "", errors.New("no virtual file system is registered as " + base)
	}
	name = "bide." + base
	vfs.Register(name, disk{under})
	return name, nil
}

// Open implements vfs.VFS.
func (d disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return wrapFile(vfsutil.WrapOpen(d.VFS, name, flags))
}

// OpenFilename implements vfs.VFSFilename.
func (d disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return wrapFile(vfsutil.WrapOpenFilename(d.VFS, name, flags))
}

func wrapFile(f vfs.File, flags vfs.OpenFlag, err error) (vfs.File, vfs.OpenFlag, error) {
	if err != nil {
		return nil, flags, tellApart(err)
	}
	return diskFile{osfile.File{File: f}}, flags, nil
}

// diskFile is an open file of a disk.
type diskFile struct{ osfile.File }

func (f diskFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, tellApart(err)
}

func (f diskFile) Truncate(size int64) error { return tellApart(f.File.Truncate(size)) }

func (f diskFile) Sync(flags vfs.SyncFlag) error { return tellApart(f.File.Sync(flags)) }

func (f diskFile) SizeHint(size int64) error { return tellApart(f.File.SizeHint(size)) }

// tellApart gives errors of the system the code that SQLite has for them.
func tellApart(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return sqlite3.FULL
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return sqlite3.READONLY
	}
	return err
}
