package file

import (
	"context"

	"github.com/bide-dev/bide"
)

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list, err := s.index.created.down(q.Cursor)
	if !q.WakeBefore.IsZero() {
		list, err = s.index.wakes.up(q.Cursor)
	}
	if err != nil {
		return nil, err
	}
	page := &bide.RunPage{}
	var last bide.Cursor
	for at, r := range list {
		if !q.WakeBefore.IsZero() && at.At.After(q.WakeBefore) {
			break
		}
		if !selects(&q, &r.info) {
			continue
		}
		if len(page.Runs) == bide.PageLimit(q.Limit) {
			page.Next = last.String()
			break
		}
		page.Runs = append(page.Runs, copyInfo(r.info))
		last = at
	}
	return page, nil
}

// selects reports whether a query selects a run, its timer aside.
func selects(q *bide.RunQuery, i *bide.RunInfo) bool {
	return (q.Status == "" || i.Status == q.Status) && (q.Workflow == "" || i.Workflow == q.Workflow) &&
		(q.Session == "" || i.Session == q.Session) && (q.Parent == "" || i.Parent == q.Parent) && (!q.SetAside || i.SetAside != "")
}

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list, err := s.index.waits.up(q.Cursor)
	if err != nil {
		return nil, err
	}
	page := &bide.WaitPage{}
	var last bide.Cursor
	for at, w := range list {
		if q.Kind != "" && w.Kind != q.Kind || q.Key != "" && w.Key != q.Key {
			continue
		}
		if len(page.Waits) == bide.PageLimit(q.Limit) {
			page.Next = last.String()
			break
		}
		page.Waits = append(page.Waits, copyWait(w))
		last = at
	}
	return page, nil
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
