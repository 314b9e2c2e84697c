package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// raw writes the rows of commits straight to the engine of a place, so many
// commits at a time and with nothing around it: what the engine allows. They are as durable as the store has them.
func raw(ctx context.Context, p *bench.Place, commits []*bide.Commit, group int) (time.Duration, error) {
	switch p.Store {
	case bench.Memory:
		return writeAll(memory{}, commits, group)
	case bench.File:
		return rawFile(p, commits, group)
	case bench.Postgres:
		return rawPostgres(ctx, p, commits, group)
	}
	return rawSQLite(p, commits, group)
}

// writer writes the rows of a group of commits.
type writer interface {
	write(group []*bide.Commit) error
}

func writeAll(w writer, commits []*bide.Commit, group int) (time.Duration, error) {
	start := time.Now()
	for c := range slices.Chunk(commits, group) {
		if err := w.write(c); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// memory keeps rows in a map.
type memory map[string]*rows

type rows struct {
	info    bide.RunInfo
	records [][]byte
}

func (m memory) write(group []*bide.Commit) error {
	for _, c := range group {
		r := m[c.RunID]
		if r == nil {
			r = &rows{}
			m[c.RunID] = r
		}
		r.info = c.Info
		for i := range c.Records {
			if c.Records[i].Seq != int64(len(r.records)+1) {
				return fmt.Errorf("record %d of run %s does not follow", c.Records[i].Seq, c.RunID)
			}
			r.records = append(r.records, c.Records[i].Raw)
		}
	}
	return nil
}
