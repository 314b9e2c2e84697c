package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// disk is all that the store asks of the file system: the seam at which tests
// let operations fail, or keep only what was flushed.
type disk interface {
	// Open opens a file; the flags are those of package os.
	Open(path string, flags int) (diskFile, error)
	// Size is a file's length.
	Size(path string) (int64, error)
	// ReadDir lists a directory.
	ReadDir(path string) ([]dirEntry, error)
	// MakeDir makes a directory; that it is there already is no error.
	MakeDir(path string) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes durable which files a directory has.
	SyncDir(path string) error
	// Lock takes the lock on a file, until it is closed or the process ends. It
	// fails with a *lockedError when another holds it.
	Lock(path string) (io.Closer, error)
	// LockToRead takes a lock that others may have at the same time, but not one who has taken Lock.
	LockToRead(path string) (io.Closer, error)
}

// diskFile is an open file.
type diskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes the contents durable.
	Sync() error
}

type dirEntry struct {
	name string
	dir  bool
}

// osDisk is the file system of the operating system.
type osDisk struct{}

func (osDisk) Open(path string, flags int) (diskFile, error) {
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osDisk) ReadDir(path string) (out []dirEntry, err error) {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		out = append(out, dirEntry{e.Name(), e.IsDir()})
	}
	return out, err
}

func (osDisk) MakeDir(path string) error {
	if err := os.Mkdir(path, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }

func (osDisk) SyncDir(path string) error {
	if runtime.GOOS == "windows" { // has no flush of directories
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) Lock(path string) (io.Closer, error)       { return lockFile(path) }
func (osDisk) LockToRead(path string) (io.Closer, error) { return lockToRead(path) }

// osFile is a file of the operating system.
type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

// readFile reads a whole file.
func readFile(d disk, path string) ([]byte, error) {
	size, err := d.Size(path)
	if err != nil {
		return nil, err
	}
	return readRange(d, path, 0, size)
}

// readRange reads the bytes of a file from one offset to another.
func readRange(d disk, path string, from, to int64) (b []byte, err error) {
	f, err := d.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b = make([]byte, to-from)
	if n, err := f.ReadAt(b, from); n < len(b) {
		return nil, err
	}
	return b, nil
}

// replaceFile writes a file so that, whatever happens, the old one or the new
// one is there. With sync it is on the disk, once the directory is.
func replaceFile(d disk, path string, content []byte, sync bool) error {
	f, err := d.Open(path+tempSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil && sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.Rename(path+tempSuffix, path)
}
