package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

// readFeed reads the feed from a position on, and returns what came as "run:record" and where it ends.
func readFeed(t *testing.T, s bide.Store, after int64) (out []string, end int64) {
	t.Helper()
	for {
		page, err := s.Feed(context.Background(), bide.FeedQuery{After: after, Limit: 7})
		if err != nil {
			t.Fatalf("Feed = %v", err)
		}
		for _, r := range page.Records {
			rec, err := bide.ParseRecord(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprint(r.RunID, ":", rec.Seq))
		}
		if after = page.Next; !page.More {
			return out, after
		}
	}
}

func wantFeed(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s is not what it should be (-want +got):\n%s", what, d)
	}
}

// TestFeedsOfStoresAreOne lets three stores commit at once while others read:
// all must see the same records at the same positions, and each run's in order.
func TestFeedsOfStoresAreOne(t *testing.T) {
	const commits = 30
	url := pgtest.Start(t)
	stores := make([]*postgres.Store, 3)
	for i := range stores {
		stores[i] = open(t, url, &postgres.Options{Sweep: 5 * time.Millisecond})
	}
	read := func(s *postgres.Store, after int64) ([]bide.FeedRecord, int64) {
		page, err := s.Feed(context.Background(), bide.FeedQuery{After: after})
		if err != nil {
			t.Errorf("Feed = %v", err)
			return nil, after
		}
		return page.Records, page.Next
	}
	var committing, reading sync.WaitGroup
	over := make(chan struct{})
	seen := make([][]bide.FeedRecord, len(stores))
	for i, s := range stores {
		for k := range 4 {
			committing.Go(func() {
				c := storetest.NewChain(fmt.Sprintf("run-%d-%d", i, k))
				for range commits {
					must(t, s, c.Next(2))
				}
			})
		}
		reading.Go(func() {
			var at int64
			for last := false; !last; {
				select {
				case <-over:
					last = true
				default:
				}
				for {
					records, next := read(s, at)
					if seen[i] = append(seen[i], records...); next == at {
						break
					}
					at = next
				}
			}
		})
	}
	committing.Wait()
	close(over)
	reading.Wait()
	next := map[string]int64{}
	for _, r := range seen[0] {
		rec, err := bide.ParseRecord(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if next[r.RunID]++; rec.Seq != next[r.RunID] {
			t.Fatalf("record %d of %s is in the place of %d", rec.Seq, r.RunID, next[r.RunID])
		}
	}
	if len(seen[0]) != 3*4*2*commits {
		t.Errorf("a reader saw %d records, want %d", len(seen[0]), 3*4*2*commits)
	}
	for _, other := range seen[1:] {
		if d := cmp.Diff(seen[0], other); d != "" {
			t.Errorf("two readers saw different feeds:\n%s", d)
		}
	}
}

// TestTheFeedOutlivesAClockThatIsSetBack makes what was committed look as if the
// server's clock had been an hour ahead then.
func TestTheFeedOutlivesAClockThatIsSetBack(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Sweep: time.Hour})
	conn := connect(t, url)
	a, b := storetest.NewChain("a"), storetest.NewChain("b")
	must(t, s, a.Next(1), a.Next(1), b.Next(1))
	run(t, conn, "UPDATE feed_new SET at = at + 3600000000")
	run(t, conn, "UPDATE runs SET fed_at = fed_at + 3600000000")
	child := storetest.NewChain("child")
	parent := a.Next(1)
	parent.Starts = []*bide.Commit{child.Next(1)}
	must(t, s, parent, child.Next(1), b.Next(1), storetest.NewChain("new").Next(1))
	got, _ := readFeed(t, s, 0)
	wantFeed(t, "the feed", got, "new:1", "a:1", "a:2", "a:3", "child:1", "child:2", "b:1", "b:2")
}

func TestTheFeedIsPruned(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Sweep: time.Hour})
	conn := connect(t, url)
	keep := storetest.NewChain("keep")
	must(t, s, keep.Next(1))
	for i := range 5 {
		c := storetest.NewChain(fmt.Sprint("gone-", i))
		must(t, s, c.Next(1), c.Next(1))
		must(t, s, &bide.Commit{RunID: c.Info.ID, Expect: c.Info.Position(), Delete: true})
	}
	must(t, s, keep.Next(1))
	_, end := readFeed(t, s, 0)
	if err := s.PruneFeed(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM feed").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("the feed has %d rows (%v), want 2", rows, err)
	}
	got, again := readFeed(t, s, 0)
	wantFeed(t, "the feed", got, "keep:1", "keep:2")
	must(t, s, storetest.NewChain("gone-0").Next(1))
	got, _ = readFeed(t, s, end)
	wantFeed(t, "what came since", got, "gone-0:1")
	if end != again {
		t.Errorf("the feed ends at %d, and before it was pruned at %d", again, end)
	}
}

// former takes the tables back to what the version before the feed made of them.
var former = []string{
	"DROP TABLE feed, feed_new, feed_end, labels, documents, broadcasts",
	"ALTER TABLE runs DROP COLUMN root, DROP COLUMN origin, DROP COLUMN born, DROP COLUMN fed, DROP COLUMN fed_before, DROP COLUMN fed_at, DROP COLUMN fed_since, DROP COLUMN settled_at",
	"ALTER TABLE waits DROP COLUMN since, DROP COLUMN moment",
	"DROP INDEX mail_waiting",
	"CREATE INDEX mail_open ON mail (mailbox, sent_at, ord) WHERE NOT taken",
	"UPDATE bide_schema SET version = 7",
}

// TestAFormerStoreIsBroughtUpToDate migrates a store with runs, whose processes
// go on for a while.
func TestAFormerStoreIsBroughtUpToDate(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Sweep: time.Hour})
	conn := connect(t, url)
	in := func(id, parent, root string, at time.Duration) *storetest.Chain {
		c := storetest.NewChain(id)
		c.Info.Parent, c.Info.Root, c.Info.CreatedAt = parent, root, start.Add(at)
		return c
	}
	top, child, below, other := in("top", "", "top", 0), in("child", "top", "top", 1e6), in("below", "child", "top", 2e6), in("other", "", "other", 3e6)
	below.Info.Status = bide.StatusCompleted
	must(t, s, other.Next(1), below.Next(2), child.Next(1), top.Next(2))
	for _, sql := range former {
		run(t, conn, sql)
	}
	for range 2 { // the second time as if the first had been cut off at its end
		open(t, url, &postgres.Options{Sweep: time.Hour})
		run(t, conn, "UPDATE bide_schema SET version = 7")
	}
	s = open(t, url, &postgres.Options{Sweep: time.Hour})
	got, end := readFeed(t, s, 0)
	wantFeed(t, "the feed", got, "top:1", "top:2", "child:1", "below:1", "below:2", "other:1")
	tree, err := s.Runs(t.Context(), bide.RunQuery{Root: "top", Order: bide.OrderUpdated})
	if err != nil || len(tree.Runs) != 3 {
		t.Errorf("Runs of the tree = %v, %v, want 3", tree, err)
	}
	old := other.Next(1) // by a process of the version before
	run(t, conn, "UPDATE runs SET seq = $1, head = $2 WHERE run_id = 'other'", old.Info.Seq, old.Info.Head[:])
	run(t, conn, "INSERT INTO ledger VALUES ('other', $1, $2)", old.Info.Seq, string(old.Records[0].Raw))
	must(t, s, other.Next(1))
	got, _ = readFeed(t, s, end)
	wantFeed(t, "what came since", got, "other:2", "other:3")
}
