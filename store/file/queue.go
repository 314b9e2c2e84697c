package file

import "sync"

// Limits of one group. A single change may be larger.
const (
	groupEntries = 512
	groupBytes   = 4 << 20
)

// entry is a change on its way to the committer.
type entry struct {
	// do puts the change into a batch, or fails and leaves the batch as it is.
	do     func(*batch) error
	bytes  int
	result error      // of do
	done   chan error // receives the outcome, once
}

// queue holds changes that wait for the committer.
type queue struct {
	mu      sync.Mutex
	entries []*entry
	closed  bool
	wake    chan struct{} // holds a token when there may be something to do
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push adds a change; it reports false when the queue is closed.
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

// take fills group with the changes of the next group, oldest first. It waits
// only while there is none, and reports false when the queue is closed and empty.
func (q *queue) take(group []*entry) ([]*entry, bool) {
	group = group[:0]
	for {
		q.mu.Lock()
		bytes := 0
		for len(group) < len(q.entries) && len(group) < groupEntries {
			e := q.entries[len(group)]
			if bytes += e.bytes; bytes > groupBytes && len(group) > 0 {
				break
			}
			group = append(group, e)
		}
		rest := copy(q.entries, q.entries[len(group):])
		clear(q.entries[rest:])
		q.entries = q.entries[:rest]
		closed := q.closed
		if rest > 0 {
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
