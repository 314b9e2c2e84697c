package sqlite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

// TestNoPositionComesTwice: SQLite gives the number of the newest record again
// when that was deleted, to whatever process writes next.
func TestNoPositionComesTwice(t *testing.T) {
	path := dbPath(t)
	here, there := open(t, path, nil), open(t, path, nil)
	after := int64(0)
	for i := range 6 {
		a, b := storetest.NewChain(fmt.Sprint("a", i)), storetest.NewChain(fmt.Sprint("b", i))
		must(t, here, a.Next(3))
		must(t, there, b.Next(2))
		page, err := there.Feed(t.Context(), bide.FeedQuery{After: after})
		if err != nil || len(page.Records) != 5 || page.Records[0].Pos <= after {
			t.Fatalf("Feed after %d = %+v, %v, want five records with later positions", after, page, err)
		}
		after = page.Next
		for j, c := range []*storetest.Chain{b, a} { // all, the newest first
			store := []*sqlite.Store{here, there}[(i+j)%2]
			must(t, store, &bide.Commit{RunID: c.Info.ID, Expect: c.Info.Position(), Delete: true})
		}
		if i%2 == 1 {
			if err := here.Close(); err != nil {
				t.Fatal(err)
			}
			if err := there.Close(); err != nil {
				t.Fatal(err)
			}
			here, there = open(t, path, nil), open(t, path, nil)
		}
	}
	page, err := here.Feed(t.Context(), bide.FeedQuery{})
	if err != nil || len(page.Records) > 0 || page.Next != after {
		t.Errorf("Feed of a store without runs = %+v, %v, want none, up to %d", page, err, after)
	}
}

func TestTheFeedOfATreeSkipsWhatWasBefore(t *testing.T) {
	s := open(t, dbPath(t), nil)
	for i := range 30 {
		must(t, s, storetest.NewChain(fmt.Sprint("other-", i)).Next(10))
	}
	must(t, s, storetest.NewChain("run").Next(2))
	page, err := s.Feed(t.Context(), bide.FeedQuery{Root: "run", Limit: 10})
	if err != nil || len(page.Records) != 2 || page.More {
		t.Errorf("Feed of a tree = %+v, %v, want its two records in the first page", page, err)
	}
}

func TestAPageOfTheFeedHoldsABoundedAmountOfText(t *testing.T) {
	s := open(t, dbPath(t), nil)
	c := storetest.NewChain("run")
	large := `"` + strings.Repeat("x", 4_000_000) + `"`
	for range 8 {
		must(t, s, c.NextWith(large))
	}
	var got int
	for after, pages := int64(0), 1; ; pages++ {
		page, err := s.Feed(t.Context(), bide.FeedQuery{After: after})
		if err != nil {
			t.Fatal(err)
		}
		got, after = got+len(page.Records), page.Next
		if len(page.Records) > 6 {
			t.Errorf("a page has %d records of 4 MB, want about 16 MB", len(page.Records))
		}
		if !page.More {
			break
		}
		if pages > 8 {
			t.Fatal("the feed has no end")
		}
	}
	if got != 8 {
		t.Errorf("the feed has %d records, want 8", got)
	}
}
