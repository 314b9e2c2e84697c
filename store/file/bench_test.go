package file_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
)

// BenchmarkCommit measures commits of one record of about 1 KB, from as many
// runs at once as the name says, beside what the disk does with the same bytes.
func BenchmarkCommit(b *testing.B) {
	for _, inFlight := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("runs=%d", inFlight), func(b *testing.B) {
			s, err := file.Open(b.Context(), b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for w := range inFlight {
				all.Go(func() {
					c := newStepper(fmt.Sprintf("run-%d-%d", b.N, w))
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
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(b.N)/float64(s.Groups()), "commits/flush")
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		b.Run(fmt.Sprintf("raw=%d", inFlight), func(b *testing.B) { benchRaw(b, inFlight) })
	}
}

// stepper makes the commits of one run, one after the other, in the same value.
type stepper struct{ bide.Commit }

func newStepper(id string) *stepper {
	s := &stepper{}
	s.RunID = id
	now := time.Unix(1_900_000_000, 0).UTC()
	s.Info = bide.RunInfo{ID: id, Workflow: "bench", Version: "1", Status: bide.StatusRunning, Node: "work", CreatedAt: now, UpdatedAt: now,
		Definition: strings.Repeat("d", 64)}
	s.Records = []bide.Record{{Raw: []byte(`{"seq":1,"data":"` + strings.Repeat("x", 1000) + `"}`)}}
	return s
}

func (s *stepper) advance() {
	s.Expect = s.Info.Position()
	s.Info.Seq++
	s.Info.Step++
	s.Info.Head = sha256.Sum256(s.Info.Head[:])
}

// benchRaw appends 1 KB at a time to one file; those that wait share a flush.
func benchRaw(b *testing.B, inFlight int) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	text := []byte(strings.Repeat("x", 1023) + "\n")
	var left atomic.Int64
	left.Store(int64(b.N))
	asked := make(chan chan error, inFlight)
	go func() {
		var group []chan error
		var out []byte
		for first := range asked {
			group, out = append(group[:0], first), append(out[:0], text...)
			for len(asked) > 0 {
				group, out = append(group, <-asked), append(out, text...)
			}
			_, err := f.Write(out)
			if err == nil {
				err = file.SyncData(f)
			}
			for _, done := range group {
				done <- err
			}
		}
	}()
	b.ResetTimer()
	var all sync.WaitGroup
	for range inFlight {
		all.Go(func() {
			done := make(chan error, 1)
			for left.Add(-1) >= 0 {
				asked <- done
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	close(asked)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
