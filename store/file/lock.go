package file

import (
	"fmt"
	"os"
)

// lockedError says who holds the lock.
type lockedError struct {
	holder string // as the holder wrote it; empty when it did not
}

func (e *lockedError) Error() string {
	if e.holder == "" {
		return "another process"
	}
	return "process " + e.holder
}

// held is the file of a lock to write, which says who has it.
type held struct{ *os.File }

// hold writes who has the lock. It is only told, for people: a disk too full for it does no harm.
func hold(f *os.File) held {
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return held{f}
}

// Close gives the lock back. The file stays, and names nobody.
func (h held) Close() error {
	_ = h.Truncate(0)
	return h.File.Close()
}

// noLock is the lock of a store that nobody can have locked.
type noLock struct{}

func (noLock) Close() error { return nil }
