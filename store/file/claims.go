package file

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// Sole reports that one process at a time has the store: the owners of an
// earlier one are dead when it is opened.
func (s *Store) Sole() bool { return true }

// Claim implements bide.Claims. The fences are durable when it returns.
func (s *Store) Claim(ctx context.Context, q bide.ClaimQuery) (out []bide.Claim, err error) {
	var claims []bide.Claim
	q.Workflows = slices.Clone(q.Workflows)
	err = s.submit(ctx, 0, func(b *batch) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.index.refresh()
		claims = b.claim(q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// candidate is a run that can be claimed, and since when it can proceed.
type candidate struct {
	id    string
	since time.Time
}

func (b *batch) claim(q bide.ClaimQuery) (out []bide.Claim) {
	if b.index.owners[q.Owner].Drained {
		return nil
	}
	var found []candidate
	q.Limit = max(q.Limit, 1)
	for id := range b.claimable(&q) {
		if since, ok := b.canClaim(id, &q); ok {
			found = append(found, candidate{id, since})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id))
	})
	for _, c := range found[:min(len(found), q.Limit)] {
		ch := b.change(c.id)
		ch.marked = true
		next := &ch.next
		next.owner, next.owned = q.Owner, true
		next.fence++
		next.claimMail = next.mailSeq
		out = append(out, bide.Claim{RunID: c.id, Fence: next.fence})
	}
	return out
}

// claimable are runs among which are those that can be claimed first: of the
// runs that are ready so many as can be claimed, and all that have a timer due, whose owner is dead, or
// that the batch has changed.
func (b *batch) claimable(q *bide.ClaimQuery) map[string]bool {
	ids := map[string]bool{}
	for id := range b.changes {
		ids[id] = true
	}
	for _, wf := range q.Workflows {
		n := 0
		for _, r := range b.index.ready[wf].orNone().up(span{}) {
			if n == q.Limit {
				break
			}
			if !ids[r.id] && !b.deleted[r.id] {
				ids[r.id] = true
				n++
			}
		}
	}
	for at, r := range b.index.wakes.up(span{}) {
		if at.At.After(q.Now) {
			break
		}
		ids[r.id] = true
	}
	for owner, runs := range b.index.owned {
		if owner != q.Owner && (q.Sole || !b.index.owners[owner].Until.After(q.Now)) {
			for r := range runs {
				ids[r.id] = true
			}
		}
	}
	return ids
}

// canClaim reports whether a run can be claimed, and since when.
func (b *batch) canClaim(id string, q *bide.ClaimQuery) (since time.Time, ok bool) {
	r := b.row(id)
	if r == nil || !b.free(r, q) || !slices.Contains(q.Workflows, bide.WorkflowVersion{ID: r.info.Workflow, Version: r.info.Version}) {
		return since, false
	}
	return canProceed(r, q.Now)
}

// canProceed says whether a run can proceed, and since when.
func canProceed(r *row, now time.Time) (since time.Time, ok bool) {
	i := &r.info
	switch {
	case i.SetAside != "":
		return since, false
	case i.Status == bide.StatusWaiting && !i.WakeAt.IsZero() && !i.WakeAt.After(now):
		return i.WakeAt, true
	}
	return i.UpdatedAt, isReady(r)
}

// free reports whether nobody drives a run.
func (b *batch) free(r *row, q *bide.ClaimQuery) bool {
	if !r.owned {
		return true
	}
	if r.owner == q.Owner {
		return false
	}
	return q.Sole || !b.index.owners[r.owner].Until.After(q.Now)
}

// Heartbeat implements bide.Claims. It is not kept: the owners of an earlier
// process are gone.
func (s *Store) Heartbeat(ctx context.Context, owner string, until time.Time) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.index.owners[owner]
	o.Name, o.Until = owner, until
	s.index.owners[owner] = o
	return nil
}

// Owners implements bide.Claims.
func (s *Store) Owners(ctx context.Context, since time.Time) (out []bide.Owner, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, runs := range s.index.owned {
		if len(runs) > 0 {
			o := s.index.owners[name]
			o.Name, o.Runs = name, int64(len(runs))
			out = append(out, o)
		}
	}
	for name, o := range s.index.owners {
		if len(s.index.owned[name]) == 0 && o.Until.After(since) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b bide.Owner) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Drain implements bide.Claims. Like Heartbeat, it is not kept.
func (s *Store) Drain(ctx context.Context, owner string, drained bool) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.index.owners[owner]
	if !ok {
		return bide.Errorf(bide.CodeNotFound, "there is no worker %s", owner)
	}
	o.Drained = drained
	s.index.owners[owner] = o
	return nil
}

// Release implements bide.Claims.
func (s *Store) Release(ctx context.Context, owner string, runIDs []string, quiet bool) error {
	runIDs = slices.Clone(runIDs)
	return s.submit(ctx, 0, func(b *batch) error {
		b.release(owner, runIDs, quiet)
		return nil
	})
}

func (b *batch) release(owner string, runIDs []string, quiet bool) {
	if len(runIDs) == 0 {
		runIDs = b.ownedBy(owner)
	}
	for _, id := range runIDs {
		r := b.row(id)
		if r == nil || !r.owned || r.owner != owner {
			continue
		}
		ch := b.change(id)
		ch.next.owned = false
		if quiet && ch.next.claimMail > ch.next.mailSeen {
			ch.next.mailSeen = ch.next.claimMail
			ch.marked = true
		}
	}
}

// ownedBy lists the runs that an owner has claimed.
func (b *batch) ownedBy(owner string) (out []string) {
	for r := range b.index.owned[owner] {
		out = append(out, r.id)
	}
	for id := range b.changes {
		out = append(out, id)
	}
	return slices.Compact(slices.Sorted(slices.Values(out)))
}

// SetAside implements bide.Claims.
func (s *Store) SetAside(ctx context.Context, runID, reason string) error {
	return s.submit(ctx, 0, func(b *batch) error {
		r := b.row(runID)
		if r == nil {
			return errNoRun(runID)
		}
		if r.info.ID == "" {
			return b.damage(runID)
		}
		ch := b.change(runID)
		ch.next.info.SetAside, ch.marked = reason, true
		return nil
	})
}

// NextWake implements bide.Claims.
func (s *Store) NextWake(ctx context.Context, after time.Time) (time.Time, error) {
	if err := s.usable(ctx); err != nil {
		return time.Time{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for at, r := range s.index.wakes.up(span{after: bide.Cursor{At: after}}) {
		if r.info.Status == bide.StatusWaiting && r.info.SetAside == "" && at.At.After(after) {
			return at.At, nil
		}
	}
	return time.Time{}, nil
}
