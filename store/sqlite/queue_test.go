package sqlite

import "testing"

func TestGatheringEndsWhenNobodyComes(t *testing.T) {
	q := newQueue()
	q.gather(10)
	q.push(&entry{})
	q.gather(10)
	if n := q.len(); n != 1 {
		t.Errorf("%d commits are queued, want the one that was pushed", n)
	}
}
