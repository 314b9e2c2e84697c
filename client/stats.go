package client

import (
	"context"
	"net/url"
	"time"

	"github.com/bide-dev/bide/gateway/api"
)

// StatsQuery selects runs for statistics. Zero fields do not restrict.
type StatsQuery struct {
	Search   string // see `bide help search`
	Internal bool   // with runs of bide itself
	// From and To bound the time that statistics are over. To defaults to now, From to a day before.
	From, To time.Time
	// Every is the length of a bucket. Defaults to a 24th of the time.
	Every time.Duration
}

func (q *StatsQuery) values(span, buckets bool) url.Values {
	v := values("q", q.Search, "internal", flag(q.Internal))
	if span {
		for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
			if !at.IsZero() {
				v.Set(name, at.UTC().Format(time.RFC3339Nano))
			}
		}
	}
	if buckets && q.Every != 0 {
		v.Set("every", q.Every.String())
	}
	return v
}

// CountRuns says how many runs there are, by status and workflow; the times of the query do not count.
func (c *Client) CountRuns(ctx context.Context, q StatsQuery) (*api.RunCounts, error) {
	return get[api.RunCounts](ctx, c, q.values(false, false), "stats", "runs")
}

// Outcomes says how many runs began and ended over time.
func (c *Client) Outcomes(ctx context.Context, q StatsQuery) (*api.Outcomes, error) {
	return get[api.Outcomes](ctx, c, q.values(true, true), "stats", "outcomes")
}

// Latencies says how long runs took that ended in a time.
func (c *Client) Latencies(ctx context.Context, q StatsQuery) (*api.Latencies, error) {
	return get[api.Latencies](ctx, c, q.values(true, true), "stats", "latency")
}

// TimeSums says what the time of the runs that changed in a time went into.
func (c *Client) TimeSums(ctx context.Context, q StatsQuery) (*api.TimeSums, error) {
	return get[api.TimeSums](ctx, c, q.values(true, false), "stats", "time")
}

// UsageSums says what the calls of models took, of the runs that changed in a time.
func (c *Client) UsageSums(ctx context.Context, q StatsQuery) (*api.UsageSums, error) {
	return get[api.UsageSums](ctx, c, q.values(true, false), "stats", "usage")
}

// NodeSums says what became of the nodes of a version of a workflow, the newest when none is named, in the runs
// that changed in a time.
func (c *Client) NodeSums(ctx context.Context, workflow, version string, q StatsQuery) (*api.NodeSums, error) {
	if version == "" {
		version = "newest"
	}
	return get[api.NodeSums](ctx, c, q.values(true, false), "workflows", workflow, "versions", version, "stats")
}
