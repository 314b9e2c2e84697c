package bide

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Counter is what a store offers, besides Store, to those who want numbers and not rows.
type Counter interface {
	// Count counts the runs that a query selects, by what they have in common.
	Count(ctx context.Context, q CountQuery) (*RunCounts, error)
}

// CountQuery says which runs to count, and by what besides workflow and status.
type CountQuery struct {
	// RunQuery selects them; its Cursor does not count, its Order says what comes first when there are
	// too many, and its Limit is how many are counted at most: unlike that of a listing it
	// defaults to 1,000,000, which is also the most.
	RunQuery
	// Every, when not zero, counts by spans of this length, counted from 1970 in UTC: of the time of the last change
	// when Order is by it, of the creation otherwise. At least a millisecond.
	Every time.Duration
	// Label, when not empty, counts by the value of a label: that of the run, or else of the first run of its tree.
	Label string
}

// RunCount is how many runs have the rest in common.
type RunCount struct {
	Workflow string
	Status   Status
	At       time.Time // the beginning of the span; zero without CountQuery.Every
	Label    string    // the value of the label; empty without it
	Runs     int64
}

// RunCounts are counts of runs, none of them zero, sorted by time, workflow, status and label.
type RunCounts struct {
	Counts []RunCount
	// Partial says that there may be more runs than were counted.
	Partial bool
}

// CountLimit returns the number of runs that are counted at most for a query's Limit.
func CountLimit(limit int) int {
	const most = 1_000_000
	if limit <= 0 {
		return most
	}
	return min(limit, most)
}

// Check fails with ErrInvalidInput when Every is negative or too short.
func (q *CountQuery) Check() error {
	if q.Every != 0 && q.Every < time.Millisecond {
		return Errorf(CodeInvalidInput, "runs cannot be counted by spans of %s, only of a millisecond or more", q.Every)
	}
	return nil
}

// Of returns the time by whose spans a run is counted, cut to the beginning of its span.
func (q *CountQuery) Of(run *RunInfo) time.Time {
	if q.Every == 0 {
		return time.Time{}
	}
	micros, every := q.Order.Place(run).At.UnixMicro(), q.Every.Microseconds()
	return time.UnixMicro(micros - ((micros%every)+every)%every).UTC()
}

// SortCounts makes a list of counts, in the order of RunCounts, of a map whose keys have no Runs.
func SortCounts(counts map[RunCount]int64) (out []RunCount) {
	for c, n := range counts {
		c.Runs = n
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b RunCount) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Label, b.Label))
	})
	return out
}
