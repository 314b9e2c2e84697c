package mem

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	all, err := s.selected(ctx, &q)
	if err != nil {
		return nil, err
	}
	key, direction := sortedBy(&q)
	rows, next, err := page(all, key, direction, q.Cursor, bide.PageLimit(q.Limit))
	return &bide.RunPage{Runs: rows, Next: next}, err
}

// selected copies the runs that a query selects.
func (s *Store) selected(ctx context.Context, q *bide.RunQuery) (all []bide.RunInfo, err error) {
	if err := q.Order.Check(); err != nil {
		return nil, err
	}
	err = s.each(ctx, func(r *run) {
		if r.selected(q) {
			all = append(all, copyInfo(r.info))
		}
	})
	return all, err
}

// Count implements bide.Counter.
func (s *Store) Count(ctx context.Context, q bide.CountQuery) (*bide.RunCounts, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	all, err := s.selected(ctx, &q.RunQuery)
	if err != nil {
		return nil, err
	}
	key, direction := sortedBy(&q.RunQuery)
	rows, next, err := page(all, key, direction, "", bide.CountLimit(q.Limit))
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	counts := map[bide.RunCount]int64{}
	for i := range rows {
		r := &rows[i]
		counts[bide.RunCount{Workflow: r.Workflow, Status: r.Status, At: q.Of(r), Label: s.label(r, q.Label)}]++
	}
	return &bide.RunCounts{Counts: bide.SortCounts(counts), Partial: next != ""}, nil
}

// label is the value of a label of a run, or else of the first run of its tree.
func (s *Store) label(r *bide.RunInfo, name string) string {
	if value, ok := r.Labels[name]; ok {
		return value
	}
	if root := s.runs[r.Root]; root != nil {
		return root.info.Labels[name]
	}
	return ""
}

// sortedBy is what a listing is sorted by, and upwards or (-1) downwards.
func sortedBy(q *bide.RunQuery) (key func(bide.RunInfo) bide.Cursor, direction int) {
	switch {
	case !q.WakeBefore.IsZero():
		return func(r bide.RunInfo) bide.Cursor { return bide.Cursor{At: r.WakeAt, ID: r.ID} }, 1
	case q.Order.Ascending():
		direction = 1
	default:
		direction = -1
	}
	return func(r bide.RunInfo) bide.Cursor { return q.Order.Place(&r) }, direction
}

// selected reports whether a query selects the run.
func (r *run) selected(q *bide.RunQuery) bool {
	i := &r.info
	for name, value := range q.Labels {
		if got, ok := i.Labels[name]; !ok || got != value {
			return false
		}
	}
	return isOf(i.Status, q.Status) && isOf(i.Workflow, q.Workflow) && isOf(i.Session, q.Session) &&
		isOf(i.Parent, q.Parent) && isOf(i.Root, q.Root) && isOf(i.Origin, q.Origin) && (!q.SetAside || i.SetAside != "") &&
		(q.Waiting == "" || slices.ContainsFunc(r.waits, func(w bide.Wait) bool { return w.Kind == q.Waiting })) &&
		within(i.CreatedAt, q.CreatedFrom, q.CreatedTo) && within(i.UpdatedAt, q.UpdatedFrom, q.UpdatedTo) &&
		(q.WakeBefore.IsZero() || due(i, q.WakeBefore))
}

// isOf reports whether a field is what is asked for, if anything.
func isOf[T ~string](got, want T) bool { return want == "" || got == want }

// within reports whether a time is in the span from one time up to before another; zero is no bound.
func within(at, from, to time.Time) bool {
	return (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to))
}

// due reports whether a run that is not at rest has a timer due at a time.
func due(i *bide.RunInfo, at time.Time) bool {
	return (i.Status == bide.StatusWaiting || i.Status == bide.StatusRunning) && !i.WakeAt.IsZero() && !i.WakeAt.After(at)
}

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	var all []bide.Wait
	err := s.each(ctx, func(r *run) {
		if !isOf(r.info.ID, q.Run) || !isOf(r.info.Root, q.Root) {
			return
		}
		for _, w := range r.waits {
			if (len(q.Kinds) == 0 || slices.Contains(q.Kinds, w.Kind)) && isOf(w.Key, q.Key) {
				all = append(all, w)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	key := func(w bide.Wait) bide.Cursor { return bide.Cursor{At: w.CreatedAt, ID: w.ID} }
	rows, next, err := page(all, key, 1, q.Cursor, bide.PageLimit(q.Limit))
	return &bide.WaitPage{Waits: rows, Next: next}, err
}

// page sorts rows by their key, upwards or (-1) downwards, and cuts out up to limit after cursor.
func page[T any](rows []T, key func(T) bide.Cursor, direction int, cursor string, limit int) ([]T, string, error) {
	after, err := bide.ParseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	compare := func(a, b bide.Cursor) int {
		return direction * cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(rows, func(a, b T) int { return compare(key(a), key(b)) })
	if cursor != "" {
		rows = slices.DeleteFunc(rows, func(r T) bool { return compare(key(r), after) <= 0 })
	}
	if len(rows) > limit {
		return rows[:limit], key(rows[limit-1]).String(), nil
	}
	return rows, "", nil
}
