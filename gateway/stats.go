package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/internal/search"
)

const tagStats = "statistics"

func (s *Server) registerStats() {
	register(s, operation{id: "count-runs", method: http.MethodGet, path: "/v1/stats/runs", tag: tagStats, right: auth.View,
		summary: "How many runs match a search, by status and workflow",
		about:   "Counted by the store, up to 1,000,000 runs; a search that the store cannot answer itself (words, versions, actors, keys, several values of a field), and credentials for some workflows or labels alone, look at up to 20,000 runs."}, s.countRuns)
	register(s, operation{id: "get-outcomes", method: http.MethodGet, path: "/v1/stats/outcomes", tag: tagStats, right: auth.View,
		summary: "How many runs began and ended over time", about: "Counted as for /v1/stats/runs."}, s.getOutcomes)
	register(s, operation{id: "get-latencies", method: http.MethodGet, path: "/v1/stats/latency", tag: tagStats, right: auth.View,
		summary: "How long runs took that ended in a time", about: "Of the runs that completed, unless the search names other statuses; of the 20,000 that ended last at most."}, s.getLatencies)
	register(s, operation{id: "get-time", method: http.MethodGet, path: "/v1/stats/time", tag: tagStats, right: auth.View,
		summary: "What the time of runs went into: people, computing, timers", about: aboutSums}, s.getTime)
	register(s, operation{id: "get-usage-sums", method: http.MethodGet, path: "/v1/stats/usage", tag: tagStats, right: auth.View,
		summary: "Tokens and cost by workflow and model", about: aboutSums}, s.getUsageSums)
	register(s, operation{id: "get-node-sums", method: http.MethodGet, path: "/v1/workflows/{workflow}/versions/{version}/stats", tag: tagStats, right: auth.View,
		summary: "Visits and failures of the nodes of a version of a workflow", about: aboutSums}, s.getNodeSums)
}

// Counted is the input of statistics.
type Counted struct {
	Search   string `query:"q" maxLength:"2000" doc:"a search"`
	Internal bool   `query:"internal" doc:"with runs of bide itself: schedules and kept flows"`
}

// lister looks for the runs of the search.
func (in *Counted) lister(ctx context.Context, s *Server) (*lister, error) {
	q, err := search.Parse(in.Search, s.opts.Clock())
	if err != nil {
		return nil, err
	}
	return &lister{sight: s.sight(ctx, auth.View), q: q, internal: in.Internal, left: maxLooked}, nil
}

func (s *Server) countRuns(ctx context.Context, in *Counted) (*result[api.RunCounts], error) {
	l, err := in.lister(ctx, s)
	if err != nil {
		return nil, err
	}
	counts, err := l.count(ctx, bide.CountQuery{RunQuery: l.q.RunQuery()})
	if err != nil {
		return nil, err
	}
	out := &api.RunCounts{Workflows: []api.WorkflowCount{}, Partial: counts.Partial}
	for _, c := range counts.Counts { // sorted by workflow
		n := len(out.Workflows)
		if n == 0 || out.Workflows[n-1].Workflow != c.Workflow {
			out.Workflows = append(out.Workflows, api.WorkflowCount{Workflow: c.Workflow})
			n++
		}
		w := &out.Workflows[n-1]
		w.Runs += c.Runs
		w.Statuses.Add(c.Status, c.Runs)
		out.Runs += c.Runs
		out.Statuses.Add(c.Status, c.Runs)
	}
	return ok(out), nil
}

// count counts the runs that are searched for and seen: in the store when it can tell them, otherwise one by one.
func (l *lister) count(ctx context.Context, q bide.CountQuery) (*bide.RunCounts, error) {
	if !l.q.Countable() || l.p.Limited() {
		return l.countSeen(ctx, q)
	}
	q.RunQuery = l.narrow(q.RunQuery)
	q.Label = auth.NamespaceLabel
	counts, err := l.s.store.Count(ctx, q)
	if err != nil {
		return nil, err
	}
	sums := map[bide.RunCount]int64{}
	for _, c := range counts.Counts {
		wanted := c.Label == l.p.Namespace && (len(l.q.Statuses) == 0 || slices.Contains(l.q.Statuses, c.Status)) &&
			(len(l.q.Workflows) == 0 && (l.internal || !ours(c.Workflow)) || slices.Contains(l.q.Workflows, c.Workflow))
		if wanted {
			n := c.Runs
			c.Runs, c.Label = 0, ""
			sums[c] += n
		}
	}
	return &bide.RunCounts{Counts: bide.SortCounts(sums), Partial: counts.Partial}, nil
}

// countSeen counts the runs one by one, up to a bound.
func (l *lister) countSeen(ctx context.Context, q bide.CountQuery) (*bide.RunCounts, error) {
	rq := l.narrow(q.RunQuery)
	rq.Limit = 1000
	sums := map[bide.RunCount]int64{}
	more, err := l.each(ctx, rq, func(r *bide.RunInfo) bool {
		sums[bide.RunCount{Workflow: r.Workflow, Status: r.Status, At: q.Of(r)}]++
		return true
	})
	return &bide.RunCounts{Counts: bide.SortCounts(sums), Partial: more != nil}, err
}

// Spanned is the input of statistics over time.
type Spanned struct {
	Counted
	From  time.Time `query:"from" doc:"the beginning; defaults to a day before the end"`
	To    time.Time `query:"to" doc:"the end; defaults to now"`
	Every string    `query:"every" maxLength:"20" doc:"the length of a bucket, such as 5m, 1h or 1d, counted from 1970 in UTC; defaults to a 24th of the span. At most 1,000 buckets."`
}

// How finely a span can be cut, and how long it can be.
const (
	maxBuckets = 1000
	maxSpan    = 100 * 366 * 24 * time.Hour
)

// span is what is asked for; the beginning is that of a bucket.
func (in *Spanned) span(now time.Time) (span api.Span, err error) {
	refuse := func(path, why string) error {
		return &bide.Error{Code: bide.CodeInvalidInput, Message: "there is no such span of time", Faults: []bide.Fault{{Path: path, Message: why}}}
	}
	from, to := in.From.UTC(), in.To.UTC()
	if in.To.IsZero() {
		to = now.UTC()
	}
	if in.From.IsZero() {
		from = to.Add(-24 * time.Hour)
	}
	if !from.Before(to) || from.Year() < 1970 || to.Sub(from) > maxSpan {
		return span, refuse("query.from", "is not before the end, or before 1970, or more than a century before the end")
	}
	every := to.Sub(from) / 24
	if in.Every != "" {
		var ok bool
		if every, ok = search.Duration(in.Every); !ok || every <= 0 {
			return span, refuse("query.every", "is not a duration such as 5m, 1h or 1d")
		}
	}
	every = max(every.Truncate(time.Millisecond), time.Millisecond)
	from = (&bide.CountQuery{Every: every}).Of(&bide.RunInfo{CreatedAt: from})
	if to.Sub(from)/every >= maxBuckets {
		return span, refuse("query.every", "cuts the span into more than 1,000 buckets")
	}
	return api.Span{From: from, To: to, Every: bide.Duration(every)}, nil
}

// buckets makes one for each part of a span.
func buckets[T any](span api.Span, at func(time.Time) T) (out []T) {
	for t := span.From; t.Before(span.To); t = t.Add(time.Duration(span.Every)) {
		out = append(out, at(t))
	}
	return out
}

// bucket is the one that a time in the span is in.
func bucket(span api.Span, at time.Time) int {
	return int(at.Sub(span.From) / time.Duration(span.Every))
}

func (s *Server) getOutcomes(ctx context.Context, in *Spanned) (*result[api.Outcomes], error) {
	span, err := in.span(s.opts.Clock())
	if err != nil {
		return nil, err
	}
	out := &api.Outcomes{Span: span, Buckets: buckets(span, func(at time.Time) api.Outcome { return api.Outcome{At: at} })}
	for _, ended := range []bool{false, true} {
		l, err := in.lister(ctx, s)
		if err != nil {
			return nil, err
		}
		q := bide.CountQuery{RunQuery: l.q.RunQuery(), Every: time.Duration(span.Every)}
		if ended {
			q.Order, q.UpdatedFrom, q.UpdatedTo = bide.OrderUpdated, span.From, span.To
		} else {
			q.CreatedFrom, q.CreatedTo = latest(q.CreatedFrom, span.From), earliest(q.CreatedTo, span.To)
		}
		counts, err := l.count(ctx, q)
		if err != nil {
			return nil, err
		}
		out.Partial = out.Partial || counts.Partial
		for _, c := range counts.Counts {
			if i := bucket(span, c.At); i >= 0 && i < len(out.Buckets) {
				addOutcome(&out.Buckets[i], c, ended)
			}
		}
	}
	return ok(out), nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earliest is the earlier of two times; a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// addOutcome adds runs that began or ended in a bucket.
func addOutcome(o *api.Outcome, c bide.RunCount, ended bool) {
	switch {
	case !ended:
		o.Started += c.Runs
	case c.Status == bide.StatusCompleted:
		o.Completed += c.Runs
	case c.Status == bide.StatusFailed:
		o.Failed += c.Runs
	case c.Status == bide.StatusCancelled:
		o.Cancelled += c.Runs
	}
}

func (s *Server) getLatencies(ctx context.Context, in *Spanned) (*result[api.Latencies], error) {
	span, err := in.span(s.opts.Clock())
	if err != nil {
		return nil, err
	}
	l, err := in.lister(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(l.q.Statuses) == 0 {
		l.q.Statuses = []bide.Status{bide.StatusCompleted}
	}
	rq := l.narrow(l.q.RunQuery())
	rq.Order, rq.UpdatedFrom, rq.UpdatedTo, rq.Limit = bide.OrderUpdated, span.From, span.To, 1000
	out := &api.Latencies{Span: span, Buckets: buckets(span, func(at time.Time) api.LatencyBucket { return api.LatencyBucket{At: at} })}
	var whole []time.Duration
	parts := make([][]time.Duration, len(out.Buckets))
	more, err := l.each(ctx, rq, func(r *bide.RunInfo) bool {
		if i := bucket(span, r.EndedAt); r.Status.Final() && i >= 0 && i < len(parts) && !r.EndedAt.Before(span.From) {
			took := r.EndedAt.Sub(r.CreatedAt)
			whole, parts[i] = append(whole, took), append(parts[i], took)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	out.Whole, out.Partial = latency(whole), more != nil
	for i, part := range parts {
		out.Buckets[i].Latency = latency(part)
	}
	return ok(out), nil
}

// latency sums up durations, which it sorts.
func latency(took []time.Duration) (l api.Latency) {
	n := len(took)
	if n == 0 {
		return l
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[min(int(share*float64(n)), n-1)].Seconds() }
	return api.Latency{Runs: int64(n), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}
