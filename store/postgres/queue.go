package postgres

import (
	"slices"
	"sync"
)

// Limits of one group. A single commit may be larger.
const (
	groupCommits = 256
	groupBytes   = 4 << 20
)

// queue holds commits that wait for a committer.
type queue struct {
	mu      sync.Mutex
	entries []*entry
	closed  bool
	wake    chan struct{} // holds a token when there may be something to do
	closing chan struct{} // closed with the queue
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1), closing: make(chan struct{})} }

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
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	q.signal()
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take fills group with the commits of the next transaction, oldest first. It
// waits only while there is none, and reports false when the queue is closed and empty.
func (q *queue) take(group []*entry) ([]*entry, bool) {
	for {
		q.mu.Lock()
		group = q.pick(group[:0])
		closed := q.closed
		if len(q.entries) > 0 {
			q.signal()
		}
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

// pick moves commits from the queue to group. No two of a group may touch the
// same run or take the same message: the later one waits for the next group, and
// so does what follows it there.
func (q *queue) pick(group []*entry) []*entry {
	touched := make(map[string]bool, 2*min(len(q.entries), groupCommits))
	rest := q.entries[:0]
	bytes := 0
	for i, e := range q.entries {
		if len(group) == groupCommits || len(group) > 0 && bytes+e.bytes > groupBytes {
			rest = append(rest, q.entries[i:]...)
			break
		}
		free := !slices.ContainsFunc(e.keys, func(key string) bool { return touched[key] })
		for _, key := range e.keys {
			touched[key] = true
		}
		if free {
			group, bytes = append(group, e), bytes+e.bytes
		} else {
			rest = append(rest, e)
		}
	}
	clear(q.entries[len(rest):])
	q.entries = rest
	return group
}
