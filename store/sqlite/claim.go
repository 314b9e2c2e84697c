package sqlite

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements of claims. timed = 0 are runs that are running or were told of mail,
// timed = 1 those that only wait for a timer.
const (
	// The index runs_free serves it.
	sqlFree = `SELECT run_no, run_id, since, fence FROM runs
		WHERE driven = 0 AND workflow = ?1 AND version = ?2 AND timed = ?3 AND since <= ?4 ORDER BY since, run_id LIMIT ?5`
	// The index runs_driven serves it.
	sqlOwned = `SELECT run_no, run_id, since, fence FROM runs
		WHERE driven = 1 AND owner = ?6 AND workflow = ?1 AND version = ?2 AND timed = ?3 AND since <= ?4 ORDER BY since, run_id LIMIT ?5`
	// The index runs_driven serves it; the second by primary key.
	sqlNextOwner = `SELECT owner FROM runs WHERE driven = 1 AND owner > ?1 ORDER BY owner LIMIT 1`
	sqlUntil     = `SELECT until FROM owners WHERE owner = ?`
	// By primary key.
	sqlDrained = `SELECT 1 FROM owners WHERE owner = ? AND drained = 1`
	sqlDrain   = `UPDATE owners SET drained = ?2 WHERE owner = ?1`
	// One row per worker that lived in the last week: no index.
	sqlOwners = `SELECT owner, until, drained FROM owners`
	// The index runs_driven has what is driven at the moment, and nothing else.
	sqlDriven = `SELECT owner, count(*) FROM runs WHERE driven = 1 GROUP BY owner ORDER BY owner`

	// By primary key; moves the run from runs_free to runs_driven.
	sqlClaim = `UPDATE runs SET owner = ?1, driven = 1, fence = fence + 1, claim_mail = mail_seq WHERE run_no = ?2`

	// A run that is still running goes behind those that did not have their turn since.
	sqlRelease = `UPDATE runs SET driven = 0, mail_seen = CASE WHEN ?2 THEN max(mail_seen, claim_mail) ELSE mail_seen END,
		ready_at = CASE WHEN status = 'running' THEN max(ready_at, updated_at) ELSE ready_at END WHERE driven = 1 AND owner = ?1`
	sqlReleaseAll = sqlRelease                      // by the index runs_driven
	sqlReleaseRun = sqlRelease + ` AND run_id = ?3` // by the index of runs.run_id

	sqlHeartbeat = `INSERT INTO owners (owner, until) VALUES (?1, ?2) ON CONFLICT (owner) DO UPDATE SET until = excluded.until`
	// One row per worker that lived in the last week: no index.
	sqlForgetOwners = `DELETE FROM owners WHERE until < ?1`

	sqlSetAside = `UPDATE runs SET set_aside = ?1 WHERE run_id = ?2` // by the index of runs.run_id
	// The index runs_wake serves it; its condition is repeated, so that SQLite knows.
	sqlNextWake = `SELECT wake_at FROM runs WHERE status = 'waiting' AND wake_at IS NOT NULL AND wake_at > ? AND set_aside IS NULL ORDER BY wake_at LIMIT 1`
)

// request is what a worker asks of the committer. apply is as statements.apply;
// it may be called again when the transaction could not go on.
type request interface {
	apply(s *statements) (outcome, err error)
}

// passing marks requests that need not survive a loss of power: all that work on the file end with
// it, so that nobody is left who has a claim or is alive. A commit made under a claim flushes the claim, too.
type passing struct{}

func (passing) passes() {}

// lasts reports whether what e does must survive a loss of power.
func (e *entry) lasts() bool {
	_, passes := e.request.(interface{ passes() })
	return !passes
}

// Claim implements bide.Claims. When ctx ends first, runs may have been claimed
// all the same; Release gives them back.
func (s *Store) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	if q.Owner == "" {
		return nil, bide.Errorf(bide.CodeInvalidInput, "runs cannot be claimed without the name of their owner")
	}
	q.Workflows = slices.Clone(q.Workflows)
	r := &claimRequest{ctx: ctx, ClaimQuery: q}
	if err := s.request(ctx, r); err != nil {
		return nil, err
	}
	return r.out, nil
}

type claimRequest struct {
	passing
	ctx context.Context
	bide.ClaimQuery
	out []bide.Claim
}

// candidate is a run that can be claimed.
type candidate struct {
	runNo, since, fence int64
	runID               string
}

func (r *claimRequest) apply(s *statements) (outcome, err error) {
	r.out = nil
	if err := context.Cause(r.ctx); err != nil {
		return err, nil // nobody would drive them
	}
	if drained, err := s.query(sqlDrained).text(r.Owner).any(); drained || err != nil {
		return nil, err
	}
	found, err := r.find(s)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.runID, b.runID))
	})
	for _, c := range found[:min(len(found), max(r.Limit, 1))] {
		if err := s.query(sqlClaim).text(r.Owner).int(c.runNo).exec(); err != nil {
			return nil, err
		}
		delete(s.known, c.runID)
		r.out = append(r.out, bide.Claim{RunID: c.runID, Fence: c.fence + 1})
	}
	return nil, nil
}

// find returns at least the first runs of each kind that can be claimed.
func (r *claimRequest) find(s *statements) (found []candidate, err error) {
	search := func(sql, owner string) error {
		for _, wf := range r.Workflows {
			for _, timed := range []bool{false, true} {
				until := int64(math.MaxInt64)
				if timed {
					until = r.Now.UnixMicro()
				}
				q := s.query(sql).text(wf.ID).text(wf.Version).bool(timed).int(until).int(int64(max(r.Limit, 1)))
				if owner != "" {
					q = q.text(owner)
				}
				err := q.rows(func(row *sqlite3.Stmt) error {
					found = append(found, candidate{row.ColumnInt64(0), row.ColumnInt64(2), row.ColumnInt64(3), row.ColumnText(1)})
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := search(sqlFree, ""); err != nil {
		return nil, err
	}
	dead, err := r.deadOwners(s)
	for _, owner := range dead {
		err = cmp.Or(err, search(sqlOwned, owner))
	}
	return found, err
}

// deadOwners lists the others who own runs and are not alive.
func (r *claimRequest) deadOwners(s *statements) (dead []string, err error) {
	for owner := ""; ; {
		next := ""
		err := s.query(sqlNextOwner).text(owner).rows(func(row *sqlite3.Stmt) error {
			next = row.ColumnText(0)
			return nil
		})
		if err != nil || next == "" {
			return dead, err
		}
		owner = next
		alive := false
		err = s.query(sqlUntil).text(owner).rows(func(row *sqlite3.Stmt) error {
			alive = row.ColumnInt64(0) > r.Now.UnixMicro()
			return nil
		})
		if err != nil {
			return nil, err
		}
		if owner != r.Owner && (r.Sole || !alive) {
			dead = append(dead, owner)
		}
	}
}

// Heartbeat implements bide.Claims.
func (s *Store) Heartbeat(ctx context.Context, owner string, until time.Time) error {
	return s.request(ctx, heartbeat{owner: owner, until: until})
}

type heartbeat struct {
	passing
	owner string
	until time.Time
}

func (h heartbeat) apply(s *statements) (outcome, err error) {
	if err := s.query(sqlHeartbeat).text(h.owner).int(h.until.UnixMicro()).exec(); err != nil {
		return nil, err
	}
	return nil, s.query(sqlForgetOwners).int(h.until.Add(-7 * 24 * time.Hour).UnixMicro()).exec()
}

// Owners implements bide.Claims.
func (s *Store) Owners(ctx context.Context, since time.Time) ([]bide.Owner, error) {
	owners := map[string]bide.Owner{}
	err := s.read(ctx, "list workers", func(r *reader) error {
		clear(owners)
		err := r.query(sqlOwners).rows(func(row *sqlite3.Stmt) error {
			o := bide.Owner{Name: row.ColumnText(0), Until: columnTime(row, 1), Drained: row.ColumnInt64(2) != 0}
			owners[o.Name] = o
			return nil
		})
		if err != nil {
			return err
		}
		return r.query(sqlDriven).rows(func(row *sqlite3.Stmt) error {
			o := owners[row.ColumnText(0)]
			o.Name, o.Runs = row.ColumnText(0), row.ColumnInt64(1)
			owners[o.Name] = o
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	var out []bide.Owner
	for _, name := range slices.Sorted(maps.Keys(owners)) {
		if o := owners[name]; o.Runs > 0 || o.Until.After(since) {
			out = append(out, o)
		}
	}
	return out, nil
}

// Drain implements bide.Claims.
func (s *Store) Drain(ctx context.Context, owner string, drained bool) error {
	return s.request(ctx, drain{owner, drained})
}

type drain struct {
	owner   string
	drained bool
}

func (d drain) apply(s *statements) (outcome, err error) {
	found, err := s.query(sqlDrain).text(d.owner).bool(d.drained).changes()
	if err == nil && !found {
		return bide.Errorf(bide.CodeNotFound, "there is no worker %s", d.owner), nil
	}
	return nil, err
}

// Release implements bide.Claims.
func (s *Store) Release(ctx context.Context, owner string, runIDs []string, quiet bool) error {
	return s.request(ctx, release{owner: owner, runIDs: slices.Clone(runIDs), quiet: quiet})
}

type release struct {
	passing
	owner  string
	runIDs []string
	quiet  bool
}

func (r release) apply(s *statements) (outcome, err error) {
	if len(r.runIDs) == 0 {
		s.forget()
		return nil, s.query(sqlReleaseAll).text(r.owner).bool(r.quiet).exec()
	}
	for _, id := range r.runIDs {
		delete(s.known, id)
		if err := s.query(sqlReleaseRun).text(r.owner).bool(r.quiet).text(id).exec(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// SetAside implements bide.Claims.
func (s *Store) SetAside(ctx context.Context, runID, reason string) error {
	return s.request(ctx, setAside{runID, reason})
}

type setAside struct{ runID, reason string }

func (r setAside) apply(s *statements) (outcome, err error) {
	q := s.query(sqlSetAside)
	if r.reason == "" {
		q = q.raw(nil)
	} else {
		q = q.text(r.reason)
	}
	found, err := q.text(r.runID).changes()
	if err == nil && !found {
		return notFound(r.runID), nil
	}
	return nil, err
}

// NextWake implements bide.Claims.
func (s *Store) NextWake(ctx context.Context, after time.Time) (next time.Time, err error) {
	err = s.read(ctx, "next timer", func(r *reader) error {
		return r.query(sqlNextWake).int(micros(after, math.MinInt64)).rows(func(row *sqlite3.Stmt) error {
			next = columnTime(row, 0)
			return nil
		})
	})
	return next, err
}
