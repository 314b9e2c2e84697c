package sqlite_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
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

// TestALargeLogIsGivenBack: the log has all versions of pages, and is soon larger than what was written.
func TestALargeLogIsGivenBack(t *testing.T) {
	t.Parallel()
	s, fs, path := openFaulty(t, sqlite.Options{})
	cut := make(chan struct{}, 1)
	fs.Hook(func(op faultvfs.Op, file string) error {
		if op == faultvfs.OpTruncate && strings.HasSuffix(file, "-wal") {
			select {
			case cut <- struct{}{}:
			default:
			}
		}
		return nil
	})
	reader := connect(t, path)
	c := storetest.NewChain("run")
	for i := range 300 {
		must(t, s, c.NextWith(`"`+strings.Repeat("x", 8000)+`"`))
		if i == 150 {
			run(t, reader, "BEGIN; SELECT count(*) FROM runs")
		}
	}
	select {
	case <-cut: // before somebody read, when the disk was slow
	default:
	}
	run(t, reader, "ROLLBACK") // until then the log is needed
	<-cut
	must(t, s, c.Next(1))
	log, err := os.Stat(path + "-wal")
	if err != nil || log.Size() > 1<<20 {
		t.Errorf("the log has %d bytes, %v, want less than 1 MiB", log.Size(), err)
	}
	wantPosition(t, s, "run", c.Info.Position())
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
