// Package flush counts the flushes of the disk that a program asks for, and
// makes them slower. It stands between the program and the system: whatever calls fsync or fdatasync, in this
// process or in one that it starts, is seen, so that engines of every kind, database
// servers and libraries of others are measured by the same means.
//
// It must not know who flushes, and what.
package flush

import (
	"sync/atomic"
	"time"
)

var count atomic.Int64

// Count is how many flushes there were since Watch.
func Count() int64 { return count.Load() }

// Watch begins to see the flushes of this process and of those that it starts
// from now on, and makes each take delay longer. It is for the rest of the process's life, and the
// processes that it started cannot flush after its end. Each flush
// costs some microseconds more, and a hundred when the processor is taken, so watch when counting, not when timing, unless delay
// is large beside that. Call it once. It fails where the system has no such means, which
// is anywhere but on Linux, and in a container that forbids it.
func Watch(delay time.Duration) error { return watch(delay) }
