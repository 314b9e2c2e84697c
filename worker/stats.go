package worker

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// counts are the worker's counters.
type counts struct {
	claimed, setAside, errors atomic.Int64
	commit, timerLag          spread
}

// spread counts durations by powers of two of a microsecond.
type spread struct {
	slots [40]atomic.Int64 // slot i counts durations below 2^i microseconds, and not below half of that
	sum   atomic.Int64
}

func (s *spread) observe(d time.Duration) {
	us := max(d.Microseconds(), 0)
	s.slots[min(bits.Len64(uint64(us)), len(s.slots)-1)].Add(1)
	s.sum.Add(int64(max(d, 0)))
}

// Spread tells how long something took.
type Spread struct {
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean"`
	P50   time.Duration `json:"p50"` // an upper bound, less than twice the true value
	P99   time.Duration `json:"p99"` // likewise
}

func (s *spread) stats() (out Spread) {
	var counts [len(s.slots)]int64
	for i := range s.slots {
		counts[i] = s.slots[i].Load()
		out.Count += counts[i]
	}
	if out.Count == 0 {
		return out
	}
	out.Mean = time.Duration(s.sum.Load() / out.Count)
	quantile := func(share float64) time.Duration {
		var seen int64
		for i, n := range counts {
			if seen += n; float64(seen) >= share*float64(out.Count) {
				return time.Duration(1<<i) * time.Microsecond
			}
		}
		return 0
	}
	out.P50, out.P99 = quantile(0.5), quantile(0.99)
	return out
}

// Stats is what a worker has done and is doing.
type Stats struct {
	ID       string    `json:"id"`
	Driving  int       `json:"driving"`   // runs at the moment
	Claimed  int64     `json:"claimed"`   // runs taken on so far, each time counted
	SetAside int64     `json:"set_aside"` // runs set aside so far
	Errors   int64     `json:"errors"`    // failed calls of the store so far
	Commit   Spread    `json:"commit"`    // the commits of this process so far
	TimerLag Spread    `json:"timer_lag"` // from when a timer was due until it fired here
	NextWake time.Time `json:"next_wake,omitzero"`
	Drained  bool      `json:"drained"` // it has heard that it is to take on no more runs
}

// Stats returns the worker's counters as they are now.
func (w *Worker) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Stats{ID: w.opts.ID, Driving: len(w.active), Claimed: w.counts.claimed.Load(), SetAside: w.counts.setAside.Load(),
		Errors: w.counts.errors.Load(), Commit: w.counts.commit.stats(), TimerLag: w.counts.timerLag.stats(), NextWake: w.next, Drained: w.drained}
}
