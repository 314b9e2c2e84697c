package postgres_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
)

// BenchmarkCommit measures steps per second: a commit of two records of 400
// bytes, from as many runs at once as the name says.
func BenchmarkCommit(b *testing.B) {
	for _, runs := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("runs=%d", runs), func(b *testing.B) {
			s := open(b, pgtest.Start(b), nil)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for i := range runs {
				all.Go(func() {
					c := newStepper(fmt.Sprintf("run-%d-%d", b.N, i))
					for left.Add(-1) >= 0 {
						c.advance()
						if err := s.Commit(context.Background(), &c.Commit); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}

// BenchmarkServer measures what the server does with the same rows and nothing
// around it: groups of 64 steps, from as many connections as the name says.
func BenchmarkServer(b *testing.B) {
	const group = 64
	for _, conns := range []int{1, 3} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			url := pgtest.Start(b)
			open(b, url, nil)
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			feeds := make([]*feed, conns)
			for i := range feeds {
				feeds[i] = newFeed(b, connect(b, url), fmt.Sprint("conn-", i), group)
			}
			b.ResetTimer()
			for _, f := range feeds {
				all.Go(func() {
					for left.Add(-group) > -group {
						f.step(b)
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}

// feed writes groups of steps of the same runs over one connection.
type feed struct {
	conn          *pgx.Conn
	runs, records []string
	bodies        []string
	seq           int64
	seqs          []int64
}

func newFeed(b *testing.B, conn *pgx.Conn, name string, group int) *feed {
	b.Helper()
	f := &feed{conn: conn}
	for i := range group {
		id := fmt.Sprintf("%s-%d", name, i)
		f.runs = append(f.runs, id)
		f.records = append(f.records, id, id)
		f.bodies = append(f.bodies, strings.Repeat("x", 400), strings.Repeat("y", 400))
	}
	f.seqs = make([]int64, 2*group)
	run(b, conn, `INSERT INTO runs (run_id, seq, head, status, node, step, version, definition, updated_at, mail_seen, workflow, run_key, session, actor, parent, created_at, txn)
		SELECT id, 0, '', 'running', '', 0, '', '', 0, 0, '', '', '', '', '', 0, 0 FROM unnest($1::text[]) AS i (id)`, f.runs)
	return f
}

func (f *feed) step(b *testing.B) {
	for i := range f.seqs {
		f.seqs[i] = f.seq + int64(i%2) + 1
	}
	_, err := f.conn.Exec(context.Background(), `WITH changed AS (
			UPDATE runs AS r SET seq = r.seq + 2, step = r.step + 1 FROM unnest($1::text[]) AS i (run_id) WHERE r.run_id = i.run_id AND r.seq = $2
		) INSERT INTO ledger (run_id, seq, body) SELECT * FROM unnest($3::text[], $4::bigint[], $5::text[])`, f.runs, f.seq, f.records, f.seqs, f.bodies)
	if err != nil {
		b.Error(err)
	}
	f.seq += 2
}

// BenchmarkClaim measures claims per second, 32 at a time.
func BenchmarkClaim(b *testing.B) {
	s := open(b, pgtest.Start(b), nil)
	const runs = 2000
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			c := newStepper(fmt.Sprintf("run-%d", i))
			c.advance()
			must(b, s, &c.Commit)
		})
	}
	all.Wait()
	ctx := context.Background()
	q := bide.ClaimQuery{Owner: "w", Now: start, Limit: 32, Workflows: []bide.WorkflowVersion{{ID: "bench", Version: "1"}}}
	if err := s.Heartbeat(ctx, "w", start.Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
	claimed := 0
	for b.Loop() {
		got, err := s.Claim(ctx, q)
		if err != nil {
			b.Fatal(err)
		}
		if claimed += len(got); len(got) < q.Limit {
			b.StopTimer()
			if err := s.Release(ctx, "w", nil, false); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(claimed)/b.Elapsed().Seconds(), "claims/s")
}

// stepper makes the commits of one run, one after the other, in the same value.
type stepper struct{ bide.Commit }

func newStepper(id string) *stepper {
	now := time.Unix(1_800_000_000, 0).UTC()
	s := &stepper{}
	s.RunID = id
	s.Info = bide.RunInfo{ID: id, Workflow: "bench", Version: "1", Status: bide.StatusRunning, Node: "work", CreatedAt: now, UpdatedAt: now,
		Definition: strings.Repeat("d", 64)}
	s.Records = []bide.Record{{Raw: []byte(strings.Repeat("x", 400))}, {Raw: []byte(strings.Repeat("y", 400))}}
	return s
}

func (s *stepper) advance() {
	s.Expect = s.Info.Position()
	s.Info.Seq += 2
	s.Info.Step++
	s.Info.UpdatedAt = s.Info.UpdatedAt.Add(time.Millisecond)
	s.Info.Head = sha256.Sum256([]byte(fmt.Sprint(s.Info.ID, s.Info.Seq)))
	s.Records[0].Seq, s.Records[1].Seq = s.Info.Seq-1, s.Info.Seq
}
