package bide

import (
	"context"
	"iter"
)

// Watch yields a run's records in order from number from on (0 and 1 both mean
// all): first those that are stored, then each that comes, without gap or
// double, whichever process makes them. It ends after the record with which the run
// has ended, when ctx ends, or with an error as its last pair. Records made by this
// runtime come at once; others within Options.Poll.
//
// A run that has ended may get further records: by Retry, or by an effect.late. Watch does not wait for them.
func (rt *Runtime) Watch(ctx context.Context, runID string, from int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		news := make(chan struct{}, 1)
		tell := func() {
			select {
			case news <- struct{}{}:
			default:
			}
		}
		defer rt.Observe(func(n Notice) {
			if n.Commit.RunID == runID {
				tell()
			}
		})()
		for next := max(from, 1); ctx.Err() == nil; {
			run, err := rt.Get(ctx, runID) // before the records, so that none of its end is missed
			if err != nil {
				yield(Record{}, err)
				return
			}
			for rec, err := range rt.Ledger(ctx, runID, next) {
				if !yield(rec, err) || err != nil {
					return
				}
				next = rec.Seq + 1
			}
			if run.Status.Final() {
				return
			}
			stop := rt.opts.Clock.AfterFunc(rt.opts.Poll, tell)
			select {
			case <-news:
			case <-ctx.Done():
			}
			stop()
		}
	}
}
