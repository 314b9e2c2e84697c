package gateway

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/tally"
	"github.com/bide-dev/bide/llm"
)

const aboutSums = "Added up from the ledgers of the runs that changed in the span, those that changed last first: their whole ledgers, up to 2,000 runs, 100,000 records that are not known yet, and half the time that a request may take; partial says that there are more."

// Bounds of what one request adds up.
const (
	maxSummed  = 2_000   // runs
	maxRecords = 100_000 // records that are read
	maxTallies = 5_000   // that are remembered
)

// tallies remembers what the ledgers of runs say, as long as they have not changed.
type tallies struct {
	mu    sync.Mutex
	known map[bide.Hash]*tally.Tally // by the last record
}

func (t *tallies) get(head bide.Hash) *tally.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[head]
}

func (t *tallies) put(head bide.Hash, one *tally.Tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxTallies {
		t.known = map[bide.Hash]*tally.Tally{}
	}
	t.known[head] = one
}

// errEnough ends the reading of a ledger for which there is no room left.
var errEnough = errors.New("enough records")

// InSpan is the input of sums over the runs that changed in a time.
type InSpan struct {
	Counted
	From time.Time `query:"from" doc:"the beginning; defaults to a day before the end"`
	To   time.Time `query:"to" doc:"the end; defaults to now"`
}

// sum gives f the runs that changed in a span, of one version of a workflow unless that is empty, with what their
// ledgers say.
func (s *Server) sum(ctx context.Context, in *InSpan, of bide.WorkflowVersion, f func(*bide.RunInfo, *tally.Tally)) (out api.Sample, err error) {
	span, err := (&Spanned{Counted: in.Counted, From: in.From, To: in.To}).span(s.opts.Clock())
	if err != nil {
		return out, err
	}
	l, err := in.lister(ctx, s)
	if err != nil {
		return out, err
	}
	rq := l.narrow(l.q.RunQuery())
	rq.Order, rq.UpdatedFrom, rq.UpdatedTo, rq.Limit = bide.OrderUpdated, latest(in.From, span.From), span.To, 1000
	if of.ID != "" {
		if len(l.q.Workflows) > 0 && !slices.Contains(l.q.Workflows, of.ID) {
			return out, nil
		}
		rq.Workflow, l.q.Workflows = of.ID, []string{of.ID}
	}
	var failed error
	left, until := maxRecords, time.Now().Add(s.opts.RequestTime/2)
	more, err := l.each(ctx, rq, func(r *bide.RunInfo) bool {
		if of.Version != "" && r.Version != of.Version {
			return true
		}
		if out.Runs == maxSummed || time.Now().After(until) {
			out.Partial = true
			return false
		}
		one, err := s.tally(ctx, r, left)
		switch {
		case errors.Is(err, errEnough):
			out.Partial = true
			return false
		case errors.Is(err, bide.ErrNotFound): // deleted meanwhile
			return true
		case err != nil:
			failed = err
			return false
		}
		if s.tallies.get(r.Head) == nil {
			left -= one.Records
			s.tallies.put(r.Head, one)
		}
		out.Runs++
		f(r, one)
		return true
	})
	out.Partial = out.Partial || more != nil
	return out, cmp.Or(err, failed)
}

// tally returns what the ledger of a run says, as it was listed. It fails with errEnough when it has more than so
// many records that would have to be read.
func (s *Server) tally(ctx context.Context, r *bide.RunInfo, records int) (*tally.Tally, error) {
	if known := s.tallies.get(r.Head); known != nil {
		return known, nil
	}
	if r.Seq > int64(records) {
		return nil, errEnough
	}
	return tally.Of(upTo(s.rt.Ledger(ctx, r.ID, 1), r.Seq))
}

// upTo are the records up to a number.
func upTo(records iter.Seq2[bide.Record, error], last int64) iter.Seq2[bide.Record, error] {
	return func(yield func(bide.Record, error) bool) {
		for rec, err := range records {
			if !yield(rec, err) || err != nil || rec.Seq >= last {
				return
			}
		}
	}
}

func (s *Server) getTime(ctx context.Context, in *InSpan) (*result[api.TimeSums], error) {
	sums, runs := map[string]*tally.Time{}, map[string]int64{}
	now := s.opts.Clock()
	sample, err := s.sum(ctx, in, bide.WorkflowVersion{}, func(r *bide.RunInfo, t *tally.Tally) {
		if sums[r.Workflow] == nil {
			sums[r.Workflow] = &tally.Time{}
		}
		sums[r.Workflow].Add(t.Time(now))
		runs[r.Workflow]++
	})
	if err != nil {
		return nil, err
	}
	out := &api.TimeSums{Sample: sample, Workflows: []api.WorkflowTime{}}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		t := sums[name]
		out.Workflows = append(out.Workflows, api.WorkflowTime{Workflow: name, Runs: runs[name], Computing: t.Computing.Seconds(), People: t.People.Seconds(),
			Waiting: t.Waiting.Seconds(), Idle: t.Idle.Seconds(), Paused: t.Paused.Seconds()})
	}
	return ok(out), nil
}

func (s *Server) getUsageSums(ctx context.Context, in *InSpan) (*result[api.UsageSums], error) {
	type of struct{ workflow, model string }
	sums := map[of]*llm.Spending{}
	sample, err := s.sum(ctx, in, bide.WorkflowVersion{}, func(r *bide.RunInfo, t *tally.Tally) {
		for model, spent := range t.ByModel() {
			key := of{r.Workflow, model}
			if sums[key] == nil {
				sums[key] = &llm.Spending{}
			}
			sums[key].Merge(spent)
		}
	})
	if err != nil {
		return nil, err
	}
	out := &api.UsageSums{Sample: sample, Usage: []api.ModelUsage{}}
	byName := func(a, b of) int {
		return cmp.Or(cmp.Compare(a.workflow, b.workflow), cmp.Compare(a.model, b.model))
	}
	for _, key := range slices.SortedFunc(maps.Keys(sums), byName) {
		u := sums[key]
		out.Usage = append(out.Usage, api.ModelUsage{Workflow: key.workflow, Model: key.model, Calls: int64(u.Calls), Failed: int64(u.Failed),
			Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning, USD: u.USD.String(),
			Uncounted: int64(u.Uncounted), Unpriced: int64(u.Unpriced)})
	}
	return ok(out), nil
}

type getNodeSums struct {
	OneVersion
	InSpan
}

func (s *Server) getNodeSums(ctx context.Context, in *getNodeSums) (*result[api.NodeSums], error) {
	d, wf, err := s.version(ctx, &in.OneVersion)
	if err != nil {
		return nil, err
	}
	of := bide.WorkflowVersion{ID: in.Workflow}
	if d != nil {
		of.Version = d.Version()
	} else {
		of.Version = wf.Version
	}
	nodes, took := map[string]*api.NodeSum{}, map[string]time.Duration{}
	sample, err := s.sum(ctx, &in.InSpan, of, func(r *bide.RunInfo, t *tally.Tally) {
		for id, n := range t.Nodes {
			sum := nodes[id]
			if sum == nil {
				sum = &api.NodeSum{Node: id}
				nodes[id] = sum
			}
			sum.Runs++
			sum.Visits += n.Visits
			sum.Failures += n.Failures
			sum.Retries += n.Retries
			took[id] += n.Took
			if r.Node == id && !r.Status.Final() {
				sum.Here++
			}
		}
	})
	if err != nil {
		return nil, err
	}
	out := &api.NodeSums{Sample: sample, Workflow: of.ID, Version: of.Version, Nodes: []api.NodeSum{}}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[id]
		n.Took = took[id].Seconds() / float64(n.Visits)
		out.Nodes = append(out.Nodes, *n)
	}
	return ok(out), nil
}
