package sqlite_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

func TestTheLogGrowsInFewSteps(t *testing.T) {
	path := dbPath(t)
	s := open(t, path, nil)
	c := storetest.NewChain("run")
	steps, size := 0, int64(0)
	for range 300 {
		must(t, s, c.Next(2))
		log, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if log.Size() != size {
			steps, size = steps+1, log.Size()
		}
	}
	if steps > 12 {
		t.Errorf("with 300 commits the log became longer %d times, want at most 12: each costs a flush twice the time", steps)
	}
}

// TestTwoProcessesLetTheLogGrow: neither may write its zeros over what the other wrote.
func TestTwoProcessesLetTheLogGrow(t *testing.T) {
	path := dbPath(t)
	stores := []*sqlite.Store{open(t, path, &sqlite.Options{CheckpointPages: 2000}), open(t, path, &sqlite.Options{CheckpointPages: 2000})}
	chains := []*storetest.Chain{storetest.NewChain("a"), storetest.NewChain("b")}
	for i := range 160 {
		chain := chains[i*i%7%2]
		must(t, stores[i%2], chain.NextWith(`"`+strings.Repeat("x", 1000*(i%90))+`"`))
	}
	for _, c := range chains {
		for _, s := range stores {
			wantPosition(t, s, c.Info.ID, c.Info.Position())
		}
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range chains {
		wantPosition(t, open(t, path, nil), c.Info.ID, c.Info.Position())
	}
}
