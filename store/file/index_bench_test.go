package file

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

// BenchmarkHundredThousandRuns measures what goes through the index, in a store
// of that many runs: half of them wait for a person or a timer, some have failed, the others run.
func BenchmarkHundredThousandRuns(b *testing.B) {
	const runs = 100_000
	s, err := open(b.Context(), b.TempDir(), &Options{Durability: DurabilityNormal}, osDisk{})
	if err != nil {
		b.Fatal(err)
	}
	s.filer.idle = true // no folders for all of them
	chains := make([]*storetest.Chain, runs)
	for from := 0; from < runs; from += 1000 {
		parent := &bide.Commit{}
		for i := from; i < from+1000; i++ {
			c := storetest.NewChain(fmt.Sprintf("run-%06d", i))
			chains[i] = c
			at := epoch.Add(time.Duration(i) * time.Second)
			c.Info.CreatedAt, c.Info.Session = at, fmt.Sprint("session-", i%1000)
			c.Info.Labels = map[string]string{"customer": fmt.Sprint(i % 10_000), "team": fmt.Sprint(i % 5)}
			var opened []bide.Wait
			switch {
			case i%2 == 0:
				c.Info.Status, c.Info.WakeAt = bide.StatusWaiting, at.Add(24*time.Hour)
				opened = []bide.Wait{{ID: c.Info.ID + ".1", Kind: []bide.WaitKind{bide.WaitQuestion, bide.WaitTimer}[i/2%2], CreatedAt: at}}
			case i%1000 == 1:
				c.Info.Status = bide.StatusFailed
			}
			start := c.Next(1)
			start.Opened, start.Info.UpdatedAt = opened, at
			parent.Starts = append(parent.Starts, start)
		}
		must(b, s, parent)
	}
	ctx := context.Background()
	list := func(q bide.RunQuery) func(int) error {
		return func(int) error {
			page, err := s.Runs(ctx, q)
			if err == nil && len(page.Runs) == 0 {
				err = fmt.Errorf("Runs(%+v) gives none", q)
			}
			return err
		}
	}
	late := epoch.Add(runs / 2 * time.Second)
	for _, bench := range []struct {
		name string
		do   func(n int) error
	}{
		{"newest", list(bide.RunQuery{})},
		{"failed", list(bide.RunQuery{Status: bide.StatusFailed})},
		{"running of one label", list(bide.RunQuery{Status: bide.StatusRunning, Labels: map[string]string{"customer": "77"}})},
		{"running, changed last", list(bide.RunQuery{Status: bide.StatusRunning, Order: bide.OrderUpdated})},
		{"failed, changed last", list(bide.RunQuery{Status: bide.StatusFailed, Order: bide.OrderUpdated})},
		{"two labels", list(bide.RunQuery{Labels: map[string]string{"customer": "77", "team": "2"}})},
		{"session and waiting", list(bide.RunQuery{Session: "session-8", Waiting: bide.WaitQuestion})},
		{"tree", list(bide.RunQuery{Root: "run-000077"})},
		{"created in a minute", list(bide.RunQuery{CreatedFrom: late, CreatedTo: late.Add(time.Minute)})},
		{"changed in a minute", list(bide.RunQuery{UpdatedFrom: late, UpdatedTo: late.Add(time.Minute), Status: bide.StatusWaiting})},
		{"questions", func(int) error {
			_, err := s.Waits(ctx, bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitQuestion}})
			return err
		}},
		{"next timer", func(int) error { _, err := s.NextWake(ctx, late); return err }},
		{"feed from the middle", func(int) error { _, err := s.Feed(ctx, bide.FeedQuery{After: runs / 2}); return err }},
		{"feed of a tree", func(int) error {
			_, err := s.Feed(ctx, bide.FeedQuery{After: runs / 2, Root: "run-099999"})
			return err
		}},
		{"claim and release 32", func(n int) error {
			claims, err := s.Claim(ctx, bide.ClaimQuery{Owner: "w", Now: epoch, Limit: 32, Workflows: always})
			if err == nil && len(claims) != 32 {
				err = fmt.Errorf("%d claims, want 32", len(claims))
			}
			if err != nil {
				return err
			}
			return s.Release(ctx, "w", nil, true)
		}},
		{"a run changes its status", func(n int) error {
			r := s.index.runs[chains[n*7919%runs].Info.ID]
			next := r.row
			next.info.Status = []bide.Status{bide.StatusRunning, bide.StatusWaiting}[n%2]
			next.info.UpdatedAt = late.Add(time.Duration(n) * time.Second)
			s.index.update(r, &next)
			return nil
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for n := range b.N {
				if err := bench.do(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
