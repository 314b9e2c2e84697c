package bide

import (
	"time"

	"github.com/google/uuid"
)

// Clock is where the runtime takes the time from.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once, in its own goroutine, after d. The function it
	// returns stops that, and reports whether it was in time.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// newID returns an id that sorts by time of creation (UUIDv7, RFC 9562).
func newID() string { return uuid.Must(uuid.NewV7()).String() }
