package mem

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// claim is who drives a run, and what may make it proceed.
type claim struct {
	owner             string // of the last claim
	owned             bool   // that claim has not ended
	fence             int64
	mailSeq, mailSeen int64
	claimMail         int64 // of mailSeq: what the claim's owner is sure to have seen when it looks at the run
}

// Sole reports that one process at a time has the store.
func (s *Store) Sole() bool { return true }

// Claim implements bide.Claims.
func (s *Store) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, bide.ErrStoreClosed
	}
	if s.owners[q.Owner].Drained {
		return nil, nil
	}
	type candidate struct {
		run   *run
		since time.Time
	}
	var found []candidate
	for _, r := range s.runs {
		i := &r.info
		if i.SetAside != "" || !s.free(r, q) || !slices.Contains(q.Workflows, bide.WorkflowVersion{ID: i.Workflow, Version: i.Version}) {
			continue
		}
		switch {
		case i.Status == bide.StatusRunning:
			found = append(found, candidate{r, i.UpdatedAt})
		case i.Status == bide.StatusWaiting && !i.WakeAt.IsZero() && !i.WakeAt.After(q.Now):
			found = append(found, candidate{r, i.WakeAt})
		case i.Status == bide.StatusWaiting && r.mailSeq > r.mailSeen:
			found = append(found, candidate{r, i.UpdatedAt})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.run.info.ID, b.run.info.ID))
	})
	var out []bide.Claim
	for _, c := range found[:min(len(found), max(q.Limit, 1))] {
		c.run.owner, c.run.owned = q.Owner, true
		c.run.fence++
		c.run.claimMail = c.run.mailSeq
		out = append(out, bide.Claim{RunID: c.run.info.ID, Fence: c.run.fence})
	}
	return out, nil
}

// free reports whether nobody drives a run.
func (s *Store) free(r *run, q bide.ClaimQuery) bool {
	if !r.owned {
		return true
	}
	if r.owner == q.Owner {
		return false
	}
	return q.Sole || !s.owners[r.owner].Until.After(q.Now)
}

// Heartbeat implements bide.Claims.
func (s *Store) Heartbeat(ctx context.Context, owner string, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	o := s.owners[owner]
	o.Name, o.Until = owner, until
	s.owners[owner] = o
	return nil
}

// Owners implements bide.Claims.
func (s *Store) Owners(ctx context.Context, since time.Time) (out []bide.Owner, err error) {
	runs := map[string]int64{}
	err = s.each(ctx, func(r *run) {
		if r.owned {
			runs[r.owner]++
		}
	})
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, n := range runs {
		o := s.owners[name]
		o.Name, o.Runs = name, n
		out = append(out, o)
	}
	for name, o := range s.owners {
		if runs[name] == 0 && o.Until.After(since) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b bide.Owner) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Drain implements bide.Claims.
func (s *Store) Drain(ctx context.Context, owner string, drained bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	o, ok := s.owners[owner]
	if !ok {
		return bide.Errorf(bide.CodeNotFound, "there is no worker %s", owner)
	}
	o.Drained = drained
	s.owners[owner] = o
	return nil
}

// Release implements bide.Claims.
func (s *Store) Release(ctx context.Context, owner string, runIDs []string, quiet bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	for id, r := range s.runs {
		if r.owned && r.owner == owner && (len(runIDs) == 0 || slices.Contains(runIDs, id)) {
			r.owned = false
			if quiet {
				r.mailSeen = max(r.mailSeen, r.claimMail)
			}
		}
	}
	return nil
}

// SetAside implements bide.Claims.
func (s *Store) SetAside(ctx context.Context, runID, reason string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	r := s.runs[runID]
	if r == nil {
		return &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + runID, Run: runID}
	}
	r.info.SetAside = reason
	return nil
}

// NextWake implements bide.Claims.
func (s *Store) NextWake(ctx context.Context, after time.Time) (next time.Time, err error) {
	err = s.each(ctx, func(r *run) {
		at := r.info.WakeAt
		if r.info.Status == bide.StatusWaiting && r.info.SetAside == "" && at.After(after) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	})
	return next, err
}
