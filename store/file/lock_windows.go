package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

const errorSharingViolation = syscall.Errno(32)

// lockFile opens the file so that nobody else can open it for writing: the
// system gives it back when the process ends, however it ends.
func lockFile(path string) (io.Closer, error) {
	f, err := openShared(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.OPEN_ALWAYS)
	if err != nil {
		return nil, err
	}
	return hold(f), nil
}

// lockToRead locks against those who would write, and not against others who read. Without the
// file, nobody has the lock.
func lockToRead(path string) (io.Closer, error) {
	f, err := openShared(path, syscall.GENERIC_READ, syscall.OPEN_EXISTING)
	if errors.Is(err, fs.ErrNotExist) {
		return noLock{}, nil
	} else if err != nil {
		return nil, err
	}
	return f, nil
}

// openShared opens a file that meanwhile others may open to read, and no more.
func openShared(path string, access, creation uint32) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, access, syscall.FILE_SHARE_READ, nil, creation, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		holder, _ := os.ReadFile(path) // may be refused as well
		return nil, &lockedError{strings.TrimSpace(string(holder))}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return os.NewFile(uintptr(h), path), nil
}
