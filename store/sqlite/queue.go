package sqlite

import (
	"runtime"
	"sync"
	"time"
)

// Limits of one transaction. A single commit may be larger.
const (
	batchCommits = 256
	batchBytes   = 1 << 20
)

// queue holds commits that wait for the committer.
type queue struct {
	mu      sync.Mutex
	entries []*entry
	closed  bool
	wake    chan struct{} // holds a token when there may be something to do
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push adds a commit; it reports false when the queue is closed.
func (q *queue) push(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.entries = append(q.entries, e)
	q.signal()
	return true
}

// close lets the committer end once the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// gather gives the processor away until as many commits are queued as there were lately, those answered
// and those queued since, or none comes any more. Callers who make one commit after the other would
// else take turns in two groups, and flush twice as often.
func (q *queue) gather(answered int) {
	was := q.len()
	want := answered + was
	for idle := 0; idle < 50 && was < want; idle++ {
		runtime.Gosched()
		if n := q.len(); n > was {
			was, idle = n, 0
		}
	}
}

// idle waits until there is something to do or a time has passed, and reports whether it has.
func (q *queue) idle(d time.Duration) bool {
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

func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries) > 0 || q.closed
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}

// take fills batch with the commits of the next transaction, oldest first. It
// waits only while there is none, and reports false when the queue is closed and empty.
func (q *queue) take(batch []*entry) ([]*entry, bool) {
	batch = batch[:0]
	for {
		q.mu.Lock()
		bytes := 0
		for len(batch) < len(q.entries) && len(batch) < batchCommits {
			e := q.entries[len(batch)]
			if bytes += e.bytes; bytes > batchBytes && len(batch) > 0 {
				break
			}
			batch = append(batch, e)
		}
		rest := copy(q.entries, q.entries[len(batch):])
		clear(q.entries[rest:])
		q.entries = q.entries[:rest]
		closed := q.closed
		if rest > 0 {
			q.signal()
		}
		q.mu.Unlock()
		switch {
		case len(batch) > 0:
			return batch, true
		case closed:
			return nil, false
		}
		<-q.wake
	}
}
