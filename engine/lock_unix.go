//go:build unix

package engine

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockWorker reports whether this process is the only one with a worker on a
// store: it holds the lock on a file beside it, which the system gives up when the
// process dies, however that happens.
func lockWorker(path string) (sole bool, unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return false, nil, fmt.Errorf("lock file of the worker: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return true, f.Close, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, func() error { return nil }, f.Close()
	}
	return false, nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
}
