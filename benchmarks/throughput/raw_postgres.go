package main

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// postgresConns is how many connections write, as many as the store has by default.
const postgresConns = 2

const sqlTables = `
	CREATE TABLE runs (run_id text COLLATE "C" PRIMARY KEY, status text NOT NULL, node text NOT NULL,
		step bigint NOT NULL, seq bigint NOT NULL, head bytea NOT NULL, updated_at bigint NOT NULL) WITH (fillfactor = 70);
	CREATE TABLE ledger (run_id text COLLATE "C" NOT NULL, seq bigint NOT NULL, body text NOT NULL, PRIMARY KEY (run_id, seq))`

// sqlWrite writes a group in one round trip.
const sqlWrite = `WITH changed AS (
		INSERT INTO runs (run_id, status, node, step, seq, head, updated_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[])
		ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, node = excluded.node, step = excluded.step,
			seq = excluded.seq, head = excluded.head, updated_at = excluded.updated_at
	) INSERT INTO ledger (run_id, seq, body) SELECT * FROM unnest($8::text[], $9::bigint[], $10::text[])`

// rawPostgres writes over several connections at once, each with the commits of
// its own runs. Together they have as many in flight as a group has.
func rawPostgres(ctx context.Context, p *bench.Place, commits []*bide.Commit, group int) (time.Duration, error) {
	conns := make([]*postgresConn, min(postgresConns, group))
	parts := make([][]*bide.Commit, len(conns))
	for i := range conns {
		conn, err := pgx.Connect(ctx, p.URL)
		if err != nil {
			return 0, err
		}
		defer conn.Close(ctx)
		conns[i] = &postgresConn{ctx, conn}
	}
	if _, err := conns[0].conn.Exec(ctx, sqlTables); err != nil {
		return 0, err
	}
	for _, c := range commits {
		h := fnv.New32a()
		_, _ = h.Write([]byte(c.RunID)) // never fails
		i := int(h.Sum32()) % len(conns)
		parts[i] = append(parts[i], c)
	}
	errs := make([]error, len(conns))
	start := time.Now()
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() { _, errs[i] = writeAll(conns[i], parts[i], max(group/len(conns), 1)) })
	}
	all.Wait()
	return time.Since(start), errors.Join(errs...)
}

// postgresConn writes a group with one statement.
type postgresConn struct {
	ctx  context.Context
	conn *pgx.Conn
}

func (p *postgresConn) write(group []*bide.Commit) error {
	last := map[string]*bide.RunInfo{} // a statement writes a row once
	var records, bodies []string
	var seqs []int64
	for _, c := range group {
		last[c.RunID] = &c.Info
		for i := range c.Records {
			records, seqs, bodies = append(records, c.RunID), append(seqs, c.Records[i].Seq), append(bodies, string(c.Records[i].Raw))
		}
	}
	var ids, statuses, nodes []string
	var steps, ends, times []int64
	var heads [][]byte
	for id, r := range last {
		ids, statuses, nodes = append(ids, id), append(statuses, string(r.Status)), append(nodes, r.Node)
		steps, ends, times, heads = append(steps, r.Step), append(ends, r.Seq), append(times, r.UpdatedAt.UnixMicro()), append(heads, r.Head[:])
	}
	_, err := p.conn.Exec(p.ctx, sqlWrite, ids, statuses, nodes, steps, ends, heads, times, records, seqs, bodies)
	return err
}
