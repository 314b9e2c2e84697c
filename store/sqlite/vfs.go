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
type disk struct {
	vfs.VFS
	unlocked bool // the locks of files are had without taking them
}

// unlockedDisk begins the name of a disk without locks, which ends as that of the one with them.
const unlockedDisk = "unlocked."

// registerDisk returns the name of the disk over the file system named base;
// empty means the system's.
func registerDisk(base string) (name string, err error) {
	under := vfs.Find(base)
	if under == nil {
		return "", errors.New("no virtual file system is registered as " + base)
	}
	name = "bide." + base
	vfs.Register(name, disk{under, false})
	vfs.Register(unlockedDisk+name, disk{under, true})
	return name, nil
}

// Open implements vfs.VFS.
func (d disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return d.open(flags, func(flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) { return vfsutil.WrapOpen(d.VFS, name, flags) })
}

// OpenFilename implements vfs.VFSFilename.
func (d disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return d.open(flags, func(flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
		return vfsutil.WrapOpenFilename(d.VFS, name, flags)
	})
}

// open opens a file. A log that cannot be written is opened to be read, of which SQLite takes note.
func (d disk) open(asked vfs.OpenFlag, under func(vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error)) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := under(asked)
	if asked&vfs.OPEN_WAL != 0 && tellApart(err) == sqlite3.READONLY {
		f, flags, err = under(asked&^(vfs.OPEN_READWRITE|vfs.OPEN_CREATE) | vfs.OPEN_READONLY)
	}
	if err != nil {
		return nil, flags, tellApart(err)
	}
	file := diskFile{osfile.File{File: f}}
	if flags&vfs.OPEN_WAL != 0 {
		return &logFile{diskFile: file}, flags, nil
	}
	if d.unlocked {
		return unlockedFile{file}, flags, nil
	}
	return file, flags, nil
}

// unlockedFile is a file whose locks are had without taking them.
type unlockedFile struct{ diskFile }

func (unlockedFile) Lock(vfs.LockLevel) error         { return nil }
func (unlockedFile) Unlock(vfs.LockLevel) error       { return nil }
func (unlockedFile) CheckReservedLock() (bool, error) { return false, nil }

// diskFile is an open file of a disk.
type diskFile struct{ osfile.File }

func (f diskFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, tellApart(err)
}

func (f diskFile) Truncate(size int64) error { return tellApart(f.File.Truncate(size)) }

func (f diskFile) Sync(flags vfs.SyncFlag) error { return tellApart(f.File.Sync(flags)) }

func (f diskFile) SizeHint(size int64) error { return tellApart(f.File.SizeHint(size)) }

// logFile is the write-ahead log. It grows ahead of what is written, by zeros, which
// SQLite takes for the end of the log: a file that became longer is flushed through the journal of
// the file system, which takes 1.3 to 2 times as long, and longer when others write to it.
type logFile struct {
	diskFile
	size int64 // that the file has at least
}

// The log grows by its size, within these bounds.
const (
	leastGrowth = 64 << 10
	mostGrowth  = 1 << 20
)

func (f *logFile) WriteAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > f.size {
		f.size = max(f.grow(end), end)
	}
	return f.diskFile.WriteAt(p, off)
}

// grow makes the file longer than end and returns its size. Nobody else writes to it: the
// caller has the lock for that. When it fails, the write that is to come says why.
func (f *logFile) grow(end int64) int64 {
	size, err := f.Size()
	if err != nil || size >= end { // another process made it longer
		return size
	}
	zeros := make([]byte, leastGrowth)
	for to := end + min(max(size, leastGrowth), mostGrowth); size < to && err == nil; {
		var n int
		n, err = f.diskFile.WriteAt(zeros[:min(to-size, leastGrowth)], size)
		size += int64(n)
	}
	return size
}

func (f *logFile) Truncate(size int64) error {
	f.size = 0
	return f.diskFile.Truncate(size)
}

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
