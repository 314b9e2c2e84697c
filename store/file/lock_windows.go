package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

const errorSharingViolation = syscall.Errno(32)

// lockFile opens the file so that nobody else can open it for writing: the
// system gives it back when the process ends, however it ends.
func lockFile(path string) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		holder, _ := os.ReadFile(path) // may be refused as well
		return nil, &lockedError{strings.TrimSpace(string(holder))}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	f := os.NewFile(uintptr(h), path)
	// Who holds the lock is only told, for people: a disk too full for it does no harm.
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return f, nil
}
