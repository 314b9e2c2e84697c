package file

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	page := &bide.RunPage{}
	err := s.list(ctx, &q, func(all iter.Seq2[bide.Cursor, *run]) {
		page.Runs, page.Next = pageOf(all, bide.PageLimit(q.Limit), func(r *run) bool { return selects(&q, r) }, func(r *run) bide.RunInfo { return copyInfo(r.info) })
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// list gives f runs in the order of a query, among them all that it selects.
func (s *Store) list(ctx context.Context, q *bide.RunQuery, f func(iter.Seq2[bide.Cursor, *run])) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := q.Order.Check(); err != nil {
		return err
	}
	cursor, err := bide.ParseCursor(q.Cursor)
	if err != nil {
		return err
	}
	if q.Status == bide.StatusRunning || q.Order.ByChange() || !q.UpdatedFrom.IsZero() || !q.UpdatedTo.IsZero() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.index.refresh()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	f(s.index.inOrder(q, s.index.order(q, cursor)))
	return nil
}

// Count implements bide.Counter. It reads no file.
func (s *Store) Count(ctx context.Context, q bide.CountQuery) (*bide.RunCounts, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	q.Cursor = ""
	counts, n, partial := map[bide.RunCount]int64{}, 0, false
	err := s.list(ctx, &q.RunQuery, func(all iter.Seq2[bide.Cursor, *run]) {
		for _, r := range all {
			if !selects(&q.RunQuery, r) {
				continue
			}
			if n++; n > bide.CountLimit(q.Limit) {
				partial = true
				return
			}
			counts[bide.RunCount{Workflow: r.info.Workflow, Status: r.info.Status, At: q.Of(&r.info), Label: s.index.label(&r.info, q.Label)}]++
		}
	})
	if err != nil {
		return nil, err
	}
	return &bide.RunCounts{Counts: bide.SortCounts(counts), Partial: partial}, nil
}

// label is the value of a label of a run, or else of the first run of its tree.
func (x *index) label(i *bide.RunInfo, name string) string {
	if value, ok := i.Labels[name]; ok {
		return value
	}
	if root := x.runs[i.Root]; root != nil {
		return root.info.Labels[name]
	}
	return ""
}

// pageOf makes a page of up to limit of those that are selected, and the cursor of the next one.
func pageOf[T, R any](all iter.Seq2[bide.Cursor, T], limit int, selects func(T) bool, row func(T) R) (rows []R, next string) {
	var last bide.Cursor
	for at, v := range all {
		if !selects(v) {
			continue
		}
		if len(rows) == limit {
			return rows, last.String()
		}
		rows, last = append(rows, row(v)), at
	}
	return rows, ""
}

// order is what a listing of runs is sorted by, and a list that is, of which a
// span has all runs that the query selects after its cursor.
type order struct {
	key  func(*bide.RunInfo) bide.Cursor
	list *sorted[*run]
	span
	up bool
}

func (x *index) order(q *bide.RunQuery, cursor bide.Cursor) order {
	switch {
	case !q.WakeBefore.IsZero():
		key := func(i *bide.RunInfo) bide.Cursor { return bide.Cursor{At: i.WakeAt, ID: i.ID} }
		return order{key, &x.wakes, span{cursor, bide.Cursor{At: q.WakeBefore.Add(1)}}, true}
	case q.Order.ByChange():
		return order{q.Order.Place, &x.updated, within(q.UpdatedFrom, q.UpdatedTo).beyond(cursor, q.Order), q.Order.Ascending()}
	}
	o := order{q.Order.Place, &x.created, within(q.CreatedFrom, q.CreatedTo).beyond(cursor, q.Order), q.Order.Ascending()}
	for list := range x.groupsFor(q) {
		if list.size < o.list.size {
			o.list = list
		}
	}
	return o
}

// within is the span from one time up to before another; zero is no bound.
func within(from, to time.Time) span { return span{bide.Cursor{At: from}, bide.Cursor{At: to}} }

// beyond is the part of a span that follows a place in an order, unless that is zero.
func (in span) beyond(at bide.Cursor, o bide.RunOrder) span {
	switch {
	case at == (bide.Cursor{}):
	case o.Ascending():
		if compareCursors(at, in.after) > 0 {
			in.after = at
		}
	case in.before.At.IsZero() || compareCursors(at, in.before) < 0:
		in.before = at
	}
	return in
}

// groupsFor yields the lists that each have all runs which a query selects.
func (x *index) groupsFor(q *bide.RunQuery) iter.Seq[*sorted[*run]] {
	return func(yield func(*sorted[*run]) bool) {
		groups := groupsOf(&bide.RunInfo{Workflow: q.Workflow, Session: q.Session, Parent: q.Parent, Root: q.Root, Origin: q.Origin, Labels: q.Labels})
		states := bide.RunInfo{Status: q.Status}
		if q.SetAside {
			states.SetAside = "for any reason"
		}
		for _, g := range statesOf(&states) {
			if g != (group{}) {
				groups = append(groups, g)
			}
		}
		for _, g := range groups {
			if !yield(x.groups[g].orNone()) {
				return
			}
		}
	}
}

// inOrder yields runs in an order, among them all that a query selects. When
// another list is so much shorter than the order's own that it is worth it, those of it that are selected are sorted.
func (x *index) inOrder(q *bide.RunQuery, o order) iter.Seq2[bide.Cursor, *run] {
	size := o.list.count(o.span) / sortCost
	var shorter iter.Seq2[bide.Cursor, *run]
	try := func(n int, runs iter.Seq2[bide.Cursor, *run]) {
		if n < size {
			size, shorter = n, runs
		}
	}
	if q.Waiting != "" {
		waits := x.waits[q.Waiting].orNone()
		try(waits.size, func(yield func(bide.Cursor, *run) bool) {
			for at, w := range waits.up(span{}) {
				if !yield(at, w.run) {
					return
				}
			}
		})
	}
	if in := within(q.UpdatedFrom, q.UpdatedTo); in != (span{}) {
		try(x.updated.count(in), x.updated.up(in))
	}
	if q.Status == bide.StatusRunning {
		try(x.running())
	}
	for group := range x.groupsFor(q) {
		try(group.size, group.up(span{}))
	}
	switch {
	case shorter != nil:
		return o.sort(shorter, func(r *run) bool { return selects(q, r) })
	case o.up:
		return o.list.up(o.span)
	}
	return o.list.down(o.span)
}

// sortCost is how much longer a run takes to be sorted than to be passed over.
const sortCost = 16

// sort yields the runs that are selected and in the order's span, once each.
func (o *order) sort(runs iter.Seq2[bide.Cursor, *run], selects func(*run) bool) iter.Seq2[bide.Cursor, *run] {
	var found sorted[*run]
	for _, r := range runs {
		if selects(r) {
			at := o.key(&r.info)
			found.put(at.At, at.ID, r)
		}
	}
	if o.up {
		return found.up(o.span)
	}
	return found.down(o.span)
}

// selects reports whether a query selects a run.
func selects(q *bide.RunQuery, r *run) bool {
	i := &r.info
	for name, value := range q.Labels {
		if is, ok := i.Labels[name]; !ok || is != value {
			return false
		}
	}
	return isOf(i.Status, q.Status) && isOf(i.Workflow, q.Workflow) && isOf(i.Session, q.Session) && isOf(i.Parent, q.Parent) &&
		isOf(i.Root, q.Root) && isOf(i.Origin, q.Origin) && (!q.SetAside || i.SetAside != "") &&
		(q.Waiting == "" || slices.ContainsFunc(r.waits, func(w *bide.Wait) bool { return w.Kind == q.Waiting })) &&
		isIn(i.CreatedAt, q.CreatedFrom, q.CreatedTo) && isIn(i.UpdatedAt, q.UpdatedFrom, q.UpdatedTo) &&
		(q.WakeBefore.IsZero() || !timer(i).IsZero() && !timer(i).After(q.WakeBefore))
}

// isOf reports whether a field is what is asked for, if anything.
func isOf[T ~string](is, want T) bool { return want == "" || is == want }

// isIn reports whether a time is from one up to before another; zero is no bound.
func isIn(at, from, to time.Time) bool {
	return (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to))
}

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	cursor, err := bide.ParseCursor(q.Cursor)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	selects := func(w openWait) bool {
		return (len(q.Kinds) == 0 || slices.Contains(q.Kinds, w.Kind)) && isOf(w.Key, q.Key) && isOf(w.run.id, q.Run) && isOf(w.run.info.Root, q.Root)
	}
	var found sorted[openWait]
	for _, w := range s.index.waitsFor(&q, cursor) {
		found.put(w.CreatedAt, w.ID, w)
	}
	rows, next := pageOf(found.up(span{after: cursor}), bide.PageLimit(q.Limit), selects, func(w openWait) bide.Wait { return copyWait(w.Wait) })
	return &bide.WaitPage{Waits: rows, Next: next}, nil
}

// waitsFor collects waits, among them the first of those that a query selects after a cursor.
func (x *index) waitsFor(q *bide.WaitQuery, cursor bide.Cursor) (out []openWait) {
	ofRun := func(r *run) {
		for _, w := range r.waits {
			out = append(out, openWait{w, r})
		}
	}
	switch {
	case q.Run != "":
		if r := x.runs[q.Run]; r != nil {
			ofRun(r)
		}
		return out
	case q.Key != "":
		for id := range x.keys[q.Key] {
			ofRun(x.runs[id])
		}
		return out
	case q.Root != "":
		for _, r := range x.groups[group{"root", "", q.Root}].orNone().up(span{}) {
			ofRun(r)
		}
		return out
	}
	for kind, waits := range x.waits {
		if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, kind) {
			continue
		}
		n := 0
		for _, w := range waits.up(span{after: cursor}) {
			if out, n = append(out, w), n+1; n > bide.PageLimit(q.Limit) {
				break
			}
		}
	}
	return out
}

// usable fails when the store is closed or nobody waits for it.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed(s.dir)
	}
	return nil
}
