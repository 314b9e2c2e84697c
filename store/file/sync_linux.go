package file

import (
	"errors"
	"os"
	"syscall"
)

// syncData flushes a file's contents and its length, but not its times: that
// saves a write when space is filled that the file had already.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
