package sqlite_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
)

// BenchmarkCommit measures steps per second: a commit of two records of 400
// bytes, from as many runs at once as the name says, each of so many steps.
func BenchmarkCommit(b *testing.B) {
	for _, test := range []struct{ runs, steps int }{{1, 10}, {16, 10}, {64, 10}, {256, 10}, {64, 1000}} {
		runs := test.runs
		b.Run(fmt.Sprintf("runs=%d/steps=%d", runs, test.steps), func(b *testing.B) {
			fs := faultvfs.Register()
			defer fs.Unregister()
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), &sqlite.Options{VFS: fs.Name()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			}()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for range runs {
				all.Go(func() {
					c := benchCommit(uuid.Must(uuid.NewV7()).String())
					for n := 1; left.Add(-1) >= 0; n++ {
						if n%test.steps == 0 {
							c = benchCommit(uuid.Must(uuid.NewV7()).String())
						}
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
			b.ReportMetric(float64(b.N)/float64(fs.Syncs()), "steps/flush")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}

// stepper makes the commits of one run, one after the other, in the same value.
type stepper struct{ bide.Commit }

func benchCommit(id string) *stepper {
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
	s.Info.Head = sha256.Sum256([]byte(fmt.Sprint(s.Info.ID, s.Info.Seq)))
	s.Records[0].Seq, s.Records[1].Seq = s.Info.Seq-1, s.Info.Seq
}
