// Package queue is where the callers of a store leave their commits for the goroutine that writes: it takes as many as
// belong into its next transaction, so that they share one flush of the disk.
package queue

import (
	"runtime"
	"sync"
	"time"
)

// Queue holds what waits to be written, oldest first. Any number of callers may push; one goroutine takes.
type Queue[E any] struct {
	mu      sync.Mutex
	waiting []E
	wake    chan struct{} // holds a token when there may be something to do
	closing chan struct{} // closed with the queue
}

// New returns an empty queue.
func New[E any]() *Queue[E] {
	return &Queue[E]{wake: make(chan struct{}, 1), closing: make(chan struct{})}
}

// Push adds e; it reports false when the queue is closed.
func (q *Queue[E]) Push(e E) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed() {
		return false
	}
	q.waiting = append(q.waiting, e)
	q.signal()
	return true
}

// Close lets nothing more in. What waits can still be taken.
func (q *Queue[E]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed() {
		close(q.closing)
	}
	q.signal()
}

// Closing is closed when the queue is.
func (q *Queue[E]) Closing() <-chan struct{} { return q.closing }

// A Pick moves what belongs into the next group from waiting to group, and returns both. It takes one at least.
type Pick[E any] func(group, waiting []E) (picked, rest []E)

// Take empties group, and fills it with what pick chooses. It waits only while there is nothing, and
// reports false when the queue is closed and empty.
func (q *Queue[E]) Take(group []E, pick Pick[E]) ([]E, bool) {
	clear(group)
	for {
		q.mu.Lock()
		group = group[:0]
		if was := q.waiting; len(was) > 0 {
			group, q.waiting = pick(group, was)
			clear(was[len(q.waiting):])
		}
		if len(q.waiting) > 0 {
			q.signal()
		}
		closed := q.closed()
		q.mu.Unlock()
		switch {
		case len(group) > 0:
			return group, true
		case closed:
			return nil, false
		}
		<-q.wake
	}
}

// Oldest picks the oldest: at most so many, and together at most so many bytes, unless the first alone is larger.
func Oldest[E any](most, bytes int, size func(E) int) Pick[E] {
	return func(group, waiting []E) (picked, rest []E) {
		n, sum := 0, 0
		for n < len(waiting) && n < most {
			if sum += size(waiting[n]); sum > bytes && n > 0 {
				break
			}
			n++
		}
		group = append(group, waiting[:n]...)
		return group, waiting[:copy(waiting, waiting[n:])]
	}
}

// Gather gives the processor away until as many wait as there were lately, those answered and those
// pushed since, or none comes any more. Callers who make one commit after the other would else take turns in two
// groups, and flush twice as often.
func (q *Queue[E]) Gather(answered int) {
	was := q.Len()
	want := answered + was
	for idle := 0; idle < 50 && was < want; idle++ {
		runtime.Gosched()
		if n := q.Len(); n > was {
			was, idle = n, 0
		}
	}
}

// Idle waits until there is something to do or a time has passed, and reports whether it has.
func (q *Queue[E]) Idle(d time.Duration) bool {
	if q.busy() {
		return false
	}
	over := time.NewTimer(d)
	defer over.Stop()
	for !q.busy() {
		select {
		case <-q.wake:
		case <-over.C:
			return true
		}
	}
	return false
}

// Len is how many wait.
func (q *Queue[E]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func (q *Queue[E]) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0 || q.closed()
}

func (q *Queue[E]) closed() bool {
	select {
	case <-q.closing:
		return true
	default:
		return false
	}
}

func (q *Queue[E]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
