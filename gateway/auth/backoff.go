package auth

import (
	"time"
)

const (
	freeFailures = 5                // attempts that may fail before the first pause
	firstPause   = time.Second      // it doubles with every further failure
	longestPause = 15 * time.Minute // up to this
	forgetAfter  = time.Hour        // without a failure
)

// failures is how often something failed.
type failures struct {
	count int
	last  time.Time
	until time.Time // no attempt counts before
}

// backoff slows those down who guess.
type backoff struct {
	now  func() time.Time
	seen *bounded[string, failures]
}

func newBackoff(now func() time.Time) *backoff {
	return &backoff{now: now, seen: newBounded[string, failures](20_000)}
}

// pause is how long to wait before the next attempt under a key; zero when there is nothing to wait for.
func (b *backoff) pause(key string) time.Duration {
	f, _ := b.seen.get(key)
	return max(f.until.Sub(b.now()), 0)
}

func (b *backoff) failed(key string) {
	now := b.now()
	b.seen.change(key, func(f failures) failures {
		if now.Sub(f.last) >= forgetAfter {
			f = failures{}
		}
		f.count, f.last = f.count+1, now
		if over := f.count - freeFailures; over >= 0 {
			f.until = now.Add(min(firstPause<<min(over, 20), longestPause))
		}
		return f
	})
}
