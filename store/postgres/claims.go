package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The statements of claims. A claim changes the run's row, whose fence every
// commit checks: nobody's clock decides who may write.
const (
	// By primary key. Owners that never said that they are alive are known, too.
	sqlMeet = `INSERT INTO owners (owner, alive_until) SELECT i.owner, 0 FROM unnest($1::text[]) AS i (owner) ON CONFLICT (owner) DO NOTHING`

	// Takes the oldest of three lots: runs that are ready (index runs_ready), runs
	// with a timer due (runs_due), and runs that belong to workers that are not alive
	// (runs_owner; an array, so that those of workers that are alive are not looked at). Rows that another worker is about to claim are passed over; each lot is
	// as large as the whole may be, and what is not taken of it is locked for a moment only. Runs that were
	// told of no mail come with their records, by primary key, when they have at most $7 and no snapshot.
	sqlClaim = `WITH ready AS (
		SELECT run_id FROM runs WHERE ready_at IS NOT NULL AND (status = 'running' OR wake_at IS NULL OR wake_at > $2) AND` + sqlKnown + `
		ORDER BY ready_at, run_id LIMIT $3 FOR UPDATE SKIP LOCKED
	), due AS (
		SELECT run_id FROM runs WHERE status = 'waiting' AND set_aside = '' AND wake_at <= $2 AND NOT owned AND` + sqlKnown + `
		ORDER BY wake_at, run_id LIMIT $3 FOR UPDATE SKIP LOCKED
	), orphaned AS (
		SELECT run_id FROM runs AS r WHERE owned AND owner = ANY(ARRAY(SELECT o.owner FROM owners AS o WHERE o.owner <> $1 AND (o.alive_until <= $2 OR $4)))
			AND set_aside = '' AND (status = 'running' OR status = 'waiting' AND (wake_at <= $2 OR mail_seq > mail_seen)) AND` + sqlKnown + `
		ORDER BY ` + sqlSince + `, run_id LIMIT $3 FOR UPDATE SKIP LOCKED
	), oldest AS (
		SELECT r.run_id, ` + sqlSince + ` AS since FROM runs AS r
		WHERE NOT EXISTS (SELECT 1 FROM owners AS o WHERE o.owner = $1 AND o.drained)
			AND r.run_id IN (SELECT run_id FROM ready UNION SELECT run_id FROM due UNION SELECT run_id FROM orphaned)
		ORDER BY since, r.run_id LIMIT $3
	), claimed AS (
		UPDATE runs AS r SET owner = $1, owned = true, claim_txn = $6, fence = r.fence + $8, claim_mail = r.mail_seq, ready_at = NULL
		FROM oldest AS o WHERE r.run_id = o.run_id RETURNING r.run_id, r.fence, ` + sqlSince + ` AS since, r.seq, r.head, r.mail_seq
	) SELECT c.run_id, c.fence, c.since, c.seq, c.head, l.bodies FROM claimed AS c CROSS JOIN LATERAL (
		SELECT array_agg(l.body ORDER BY l.seq) AS bodies FROM ledger AS l
		WHERE c.seq <= $7 AND c.mail_seq = 0 AND l.run_id = c.run_id AND NOT EXISTS (SELECT 1 FROM snapshots AS s WHERE s.run_id = c.run_id)
	) AS l`

	// For the transaction that it is in.
	sqlUnflushed = `SELECT set_config('synchronous_commit', 'off', true)`

	// The runs that a call claimed whose answer was lost: the index runs_owner serves it.
	sqlLost = `SELECT r.run_id, r.fence, ` + sqlSince + `, r.seq, r.head, NULL::text[] FROM runs AS r WHERE r.owner = $1 AND r.owned AND r.claim_txn = $3`

	// The workflow and version, neither of which can have a slash, are among those
	// that the worker has. It is checked row by row, so that a lot is read in the order of its
	// index and no further than needed.
	sqlKnown = ` workflow || '/' || version = ANY($5::text[])`

	// Since when a run can proceed.
	sqlSince = `CASE WHEN r.status = 'waiting' AND r.wake_at <= $2 THEN r.wake_at ELSE r.updated_at END`

	// One row per worker that lived lately: no index; and by the index runs_owner what is claimed at the moment.
	sqlOwners = `SELECT coalesce(o.owner, d.owner) AS owner, coalesce(o.alive_until, 0), coalesce(o.drained, false), coalesce(d.runs, 0)
		FROM owners AS o FULL JOIN (SELECT owner, count(*) AS runs FROM runs WHERE owned GROUP BY owner) AS d ON d.owner = o.owner
		WHERE o.alive_until > $1 OR d.runs > 0 ORDER BY 1`

	// By primary key.
	sqlDrain     = `UPDATE owners SET drained = $2 WHERE owner = $1`
	sqlHeartbeat = `INSERT INTO owners (owner, alive_until) VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE SET alive_until = excluded.alive_until`

	// The index runs_owner serves both. Rows are locked in the order of commits.
	sqlReleaseAll  = sqlRelease + ` AND owned ORDER BY run_id FOR UPDATE)` + sqlReleased
	sqlReleaseSome = sqlRelease + ` AND owned AND run_id = ANY($3::text[]) ORDER BY run_id FOR UPDATE)` + sqlReleased
	sqlRelease     = `WITH mine AS (SELECT run_id FROM runs WHERE owner = $1`
	sqlReleased    = ` UPDATE runs AS r SET owned = false,
		mail_seen = CASE WHEN $2::boolean THEN greatest(r.mail_seen, r.claim_mail) ELSE r.mail_seen END,
		ready_at = CASE WHEN r.set_aside = '' AND (r.status = 'running'
			OR r.status = 'waiting' AND r.mail_seq > CASE WHEN $2 THEN greatest(r.mail_seen, r.claim_mail) ELSE r.mail_seen END) THEN r.updated_at END
		FROM mine WHERE r.run_id = mine.run_id`

	// By primary key.
	sqlSetAside = `UPDATE runs SET set_aside = $2, ready_at = CASE
		WHEN $2 = '' AND NOT owned AND (status = 'running' OR status = 'waiting' AND mail_seq > mail_seen) THEN updated_at END
		WHERE run_id = $1`

	// The index runs_due serves it.
	sqlNextWake = `SELECT wake_at FROM runs WHERE status = 'waiting' AND set_aside = '' AND wake_at > $1 ORDER BY wake_at LIMIT 1`
)

// Claim implements bide.Claims. It is one round trip. When an answer of the
// server is lost, what was claimed is found and given out by the next try or call.
//
// It does not wait for the server's disk: the first commit made under a claim flushes the claim, too. When the server
// dies before, the claim never was, and its number must not be that of the next one, whose
// owner would then share the run with one that lives on: numbers leave a gap that nobody can foresee.
func (s *Store) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	known := make([]string, 0, len(q.Workflows))
	for _, w := range q.Workflows {
		known = append(known, w.ID+"/"+w.Version)
	}
	var rows []claimed
	err := s.retry(ctx, "claim runs", func() (err error) {
		for _, call := range s.lost.of(q.Owner) {
			rows, err = s.claims(ctx, q.Owner, sqlLost, q.Owner, q.Now.UnixMicro(), call.txn)
			if err == nil && len(rows) > 0 {
				s.lost.forget(q.Owner, call)
			}
			if err != nil || len(rows) > 0 {
				return err
			}
		}
		txn := rand.Int64()
		rows, err = s.claims(ctx, q.Owner, sqlClaim, q.Owner, q.Now.UnixMicro(), max(q.Limit, 1), q.Sole, known, txn, claimRecords, 2+rand.Int64N(gap))
		if kindOf(err) == failedConnection && !isUnreachable(err) {
			s.lost.add(q.Owner, lostClaim{txn, time.Now().Add(2 * s.opts.Timeout)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b claimed) int { return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.RunID, b.RunID)) })
	var out []bide.Claim
	for _, r := range rows {
		out = append(out, r.Claim)
	}
	return out, nil
}

// claimed is a claim and since when its run could proceed.
type claimed struct {
	bide.Claim
	since int64
}

// claimRecords is how many records a run has at most that come with its claim. One with more was
// driven before, perhaps by this process, which then need not read them again.
const claimRecords = 64

// gap is how far apart the numbers of two claims are at most; a run can be claimed 2³² times. A commit that
// claims is flushed, and leaves none.
const gap = 1 << 31

// rowToClaimed reads a claim. A commit that was made while the statement looked may be
// in the run's row and not in its records: then they are left to Load.
func rowToClaimed(row pgx.CollectableRow) (c claimed, err error) {
	stored := &bide.Stored{}
	var head []byte
	err = row.Scan(&c.RunID, &c.Fence, &c.since, &stored.Seq, &head, &stored.Records)
	if int64(len(stored.Records)) == stored.Seq {
		copy(stored.Head[:], head)
		stored.Fence, c.Stored = c.Fence, stored
	}
	return c, err
}

// claims runs a statement that gives claims to an owner.
func (s *Store) claims(ctx context.Context, owner, sql string, args ...any) (out []claimed, err error) {
	b := &pgx.Batch{}
	if strangers := s.strangers([]string{owner}); len(strangers) > 0 {
		b.Queue(sqlMeet, strangers)
	}
	b.Queue(sqlUnflushed)
	b.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		out, err = pgx.CollectRows(rows, rowToClaimed)
		return err
	})
	err = s.pool.SendBatch(ctx, b).Close()
	return out, err
}

// Heartbeat implements bide.Claims.
func (s *Store) Heartbeat(ctx context.Context, owner string, until time.Time) error {
	_, err := s.exec(ctx, "say that a worker is alive", sqlHeartbeat, owner, until.UnixMicro())
	if err == nil {
		s.alive.Store(owner, until)
	}
	return err
}

// Owners implements bide.Claims.
func (s *Store) Owners(ctx context.Context, since time.Time) ([]bide.Owner, error) {
	return collect(ctx, s, "list workers", func(row pgx.CollectableRow) (o bide.Owner, err error) {
		var until int64
		if err := row.Scan(&o.Name, &until, &o.Drained, &o.Runs); err != nil {
			return o, err
		}
		if until != 0 {
			o.Until = time.UnixMicro(until).UTC()
		}
		return o, nil
	}, sqlOwners, micros(since))
}

// Drain implements bide.Claims.
func (s *Store) Drain(ctx context.Context, owner string, drained bool) error {
	n, err := s.exec(ctx, "drain a worker", sqlDrain, owner, drained)
	if err == nil && n == 0 {
		return bide.Errorf(bide.CodeNotFound, "there is no worker %s", owner)
	}
	return err
}

// strangers are those of some owners of whom the database may not know. It
// keeps others for a time after the end of theirs, so that most claims need not ask.
func (s *Store) strangers(owners []string) (out []string) {
	for _, owner := range owners {
		if until, ok := s.alive.Load(owner); !ok || until.(time.Time).Before(time.Now().Add(-forgotten/2)) {
			out = append(out, owner)
		}
	}
	return out
}

// Release implements bide.Claims.
func (s *Store) Release(ctx context.Context, owner string, runIDs []string, quiet bool) error {
	sql, args := sqlReleaseAll, []any{owner, quiet}
	if len(runIDs) > 0 {
		sql, args = sqlReleaseSome, append(args, runIDs)
	}
	n, err := s.exec(ctx, "release runs", sql, args...)
	if n > 0 && !quiet {
		s.hints.give(true)
	}
	return err
}

// SetAside implements bide.Claims.
func (s *Store) SetAside(ctx context.Context, runID, reason string) error {
	n, err := s.exec(ctx, "set a run aside", sqlSetAside, runID, reason)
	switch {
	case err != nil:
		return err
	case n == 0:
		return noRun(runID)
	case reason == "":
		s.hints.give(true)
	}
	return nil
}

// NextWake implements bide.Claims.
func (s *Store) NextWake(ctx context.Context, after time.Time) (time.Time, error) {
	found, err := collect(ctx, s, "find the next timer", pgx.RowTo[int64], sqlNextWake, micros(after))
	if err != nil || len(found) == 0 {
		return time.Time{}, err
	}
	return time.UnixMicro(found[0]).UTC(), nil
}
