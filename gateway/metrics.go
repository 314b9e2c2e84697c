package gateway

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide/worker"
)

// metrics counts requests.
type metrics struct {
	mu       sync.Mutex
	requests map[request]int64
	times    map[string]*histogram // by operation
}

// request is what requests are counted by.
type request struct {
	operation string
	status    int
}

// bounds are the upper ends of the histogram's buckets, in seconds.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

type histogram struct {
	buckets [len(bounds)]int64
	count   int64
	sum     float64
}

func newMetrics() *metrics {
	return &metrics{requests: map[request]int64{}, times: map[string]*histogram{}}
}

// observe counts a request that ended. The time of a stream says nothing and is left out.
func (m *metrics) observe(operation string, status int, took time.Duration, stream bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[request{operation, cmp.Or(status, 200)}]++
	if stream {
		return
	}
	h := m.times[operation]
	if h == nil {
		h = &histogram{}
		m.times[operation] = h
	}
	h.count++
	h.sum += took.Seconds()
	for i, bound := range bounds {
		if took.Seconds() <= bound {
			h.buckets[i]++
		}
	}
}

// write gives all in the text format of Prometheus.
func (m *metrics) write(w io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head(w, "bide_requests_total", "counter", "Requests that ended, by operation and HTTP status.")
	byName := func(a, b request) int {
		return cmp.Or(cmp.Compare(a.operation, b.operation), cmp.Compare(a.status, b.status))
	}
	for _, r := range slices.SortedFunc(maps.Keys(m.requests), byName) {
		fmt.Fprintf(w, "bide_requests_total{operation=%q,status=\"%d\"} %d\n", r.operation, r.status, m.requests[r])
	}
	head(w, "bide_request_seconds", "histogram", "How long requests took, streams left out.")
	for _, op := range slices.Sorted(maps.Keys(m.times)) {
		h := m.times[op]
		for i, bound := range bounds {
			fmt.Fprintf(w, "bide_request_seconds_bucket{operation=%q,le=\"%g\"} %d\n", op, bound, h.buckets[i])
		}
		fmt.Fprintf(w, "bide_request_seconds_bucket{operation=%q,le=\"+Inf\"} %d\n", op, h.count)
		fmt.Fprintf(w, "bide_request_seconds_sum{operation=%q} %g\nbide_request_seconds_count{operation=%q} %d\n", op, h.sum, op, h.count)
	}
}

func head(w io.Writer, name, typ, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, typ)
}

// value writes a metric that has one value.
func value[N int | int64 | float64](w io.Writer, name, typ, help string, v N) {
	head(w, name, typ, help)
	fmt.Fprintf(w, "%s %v\n", name, v)
}

// writeWorker gives the counters of a worker.
func writeWorker(w io.Writer, s worker.Stats) {
	value(w, "bide_worker_driving", "gauge", "Runs that are driven at the moment.", s.Driving)
	value(w, "bide_worker_claimed_total", "counter", "Runs taken on, each time counted.", s.Claimed)
	value(w, "bide_worker_set_aside_total", "counter", "Runs set aside.", s.SetAside)
	value(w, "bide_worker_errors_total", "counter", "Failed calls of the store.", s.Errors)
	value(w, "bide_commits_total", "counter", "Commits of this process.", s.Commit.Count)
	value(w, "bide_commit_seconds_mean", "gauge", "Mean time of a commit.", s.Commit.Mean.Seconds())
	value(w, "bide_commit_seconds_p99", "gauge", "Upper bound of the 99th percentile of the time of a commit.", s.Commit.P99.Seconds())
	value(w, "bide_timer_lag_seconds_p99", "gauge", "Upper bound of the 99th percentile of the lateness of timers.", s.TimerLag.P99.Seconds())
}
