//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package file

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

// lockFile fails: without a lock that ends with the process, two could write at once.
func lockFile(path string) (io.Closer, error) {
	return nil, fmt.Errorf("lock %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}

// lockToRead fails likewise.
func lockToRead(path string) (io.Closer, error) { return lockFile(path) }
