package queue_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide/internal/queue"
)

func size(n int) int { return n }

func filled(t *testing.T, with ...int) *queue.Queue[int] {
	t.Helper()
	q := queue.New[int]()
	for _, e := range with {
		if !q.Push(e) {
			t.Fatal("an open queue refuses")
		}
	}
	return q
}

func TestGroupsAreTheOldestWithinTheirLimits(t *testing.T) {
	q := filled(t, 1, 2, 3, 100, 4, 5)
	q.Close()
	if q.Push(6) {
		t.Error("a closed queue takes more")
	}
	pick := queue.Oldest(3, 10, size)
	var got [][]int
	for group, more := q.Take(nil, pick); more; group, more = q.Take(nil, pick) {
		got = append(got, group)
	}
	if want := [][]int{{1, 2, 3}, {100}, {4, 5}}; !slices.EqualFunc(got, want, slices.Equal[[]int]) {
		t.Errorf("the groups are %v, want %v", got, want)
	}
}

func TestWhatWasPassedOverComesNext(t *testing.T) {
	q := filled(t, 1, 2, 3, 4)
	even := func(group, waiting []int) (picked, rest []int) {
		rest = waiting[:0]
		for _, n := range waiting {
			if n%2 == 0 {
				group = append(group, n)
			} else {
				rest = append(rest, n)
			}
		}
		return group, rest
	}
	group, _ := q.Take(nil, even)
	if !slices.Equal(group, []int{2, 4}) {
		t.Errorf("took %v", group)
	}
	if group, _ = q.Take(group, queue.Oldest(9, 99, size)); !slices.Equal(group, []int{1, 3}) {
		t.Errorf("then took %v", group)
	}
}

func TestEachIsTakenOnceInItsCallersOrder(t *testing.T) {
	q := queue.New[[2]int]()
	const callers, each = 8, 200
	var pushing sync.WaitGroup
	for c := range callers {
		pushing.Go(func() {
			for n := range each {
				q.Push([2]int{c, n})
			}
		})
	}
	go func() { pushing.Wait(); q.Close() }()
	var last [callers]int
	taken := 0
	pick := queue.Oldest(16, 1<<20, func([2]int) int { return 1 })
	for group, more := q.Take(nil, pick); more; group, more = q.Take(group, pick) {
		for _, e := range group {
			if e[1] != last[e[0]] {
				t.Fatalf("caller %d: %d came, want %d", e[0], e[1], last[e[0]])
			}
			last[e[0]]++
			taken++
		}
	}
	if taken != callers*each {
		t.Errorf("%d were taken, want %d", taken, callers*each)
	}
}

func TestGatheringEndsWhenNobodyComes(t *testing.T) {
	q := filled(t)
	q.Gather(10)
	q.Push(1)
	q.Gather(10)
	if n := q.Len(); n != 1 {
		t.Errorf("%d wait, want the one that was pushed", n)
	}
}

func TestIdleEndsWithWorkOrTime(t *testing.T) {
	q := filled(t)
	if !q.Idle(time.Microsecond) {
		t.Error("an empty queue has something to do")
	}
	q.Push(1)
	if q.Idle(time.Hour) {
		t.Error("nothing to do, though one waits")
	}
	q.Take(nil, queue.Oldest(1, 1, size))
	q.Close()
	if q.Idle(time.Hour) {
		t.Error("a closed queue is waited for")
	}
}
