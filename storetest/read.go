package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
)

func notFound(t *testing.T, s Store) {
	must(t, s, NewChain("run").Next(1))
	_, err := s.Load(t.Context(), "missing", bide.Position{})
	wantError(t, "Load of a run that does not exist", err, bide.ErrNotFound)
	_, err = s.Load(t.Context(), "missing", bide.Position{Seq: 1})
	wantError(t, "Load of a run that does not exist, from record 1", err, bide.ErrNotFound)
	_, err = s.Records(t.Context(), "missing", 1, 10)
	wantError(t, "Records of a run that does not exist", err, bide.ErrNotFound)
	_, err = s.Command(t.Context(), "missing", "cmd")
	wantError(t, "Command of a run that does not exist", err, bide.ErrNotFound)
	_, err = s.Command(t.Context(), "run", "cmd")
	wantError(t, "Command that was not given", err, bide.ErrNotFound)
	runs, err := s.Runs(t.Context(), bide.RunQuery{Workflow: "missing"})
	if err != nil || len(runs.Runs) != 0 || runs.Next != "" {
		t.Errorf("Runs of a workflow that does not exist = %v, %v, want none", runs, err)
	}
	waits, err := s.Waits(t.Context(), bide.WaitQuery{Key: "missing"})
	if err != nil || len(waits.Waits) != 0 || waits.Next != "" {
		t.Errorf("Waits with a key that nothing has = %v, %v, want none", waits, err)
	}
}

func loadSnapshot(t *testing.T, s Store) {
	c := NewChain("run")
	load := func(want *bide.Stored) {
		t.Helper()
		got, err := s.Load(t.Context(), "run", bide.Position{})
		if err != nil {
			t.Fatalf("Load = %v", err)
		}
		if (got.Snapshot == nil) != (want.Snapshot == nil) {
			t.Errorf("Load gives the snapshot %q, want %q", got.Snapshot, want.Snapshot)
		}
		same(t, "the run", got, want)
	}
	first := c.Next(2)
	must(t, s, first)
	load(&bide.Stored{Position: first.Info.Position(), Records: raws(first)})
	second := c.Next(2)
	second.Snapshot = []byte(`{"at":4}`)
	must(t, s, second)
	load(&bide.Stored{Position: second.Info.Position(), Snapshot: []byte(`{"at":4}`), SnapshotSeq: 4})
	third := c.Next(1)
	must(t, s, third)
	load(&bide.Stored{Position: third.Info.Position(), Snapshot: []byte(`{"at":4}`), SnapshotSeq: 4, Records: raws(third)})
	fourth := c.Next(1)
	fourth.Snapshot = []byte("\x00\xff not text")
	fifth := c.Next(3)
	must(t, s, fourth, fifth)
	load(&bide.Stored{Position: fifth.Info.Position(), Snapshot: []byte("\x00\xff not text"), SnapshotSeq: 6, Records: raws(fifth)})
}

func loadHave(t *testing.T, s Store) {
	c := NewChain("run")
	first, second, third := c.Next(2), c.Next(1), c.Next(2)
	second.Snapshot = []byte(`{"at":3}`)
	must(t, s, first, second, third)
	at := third.Info.Position()
	for _, test := range []struct {
		name string
		have bide.Position
		want [][]byte
	}{
		{"everything", at, nil},
		{"all but the last commit", second.Info.Position(), raws(third)},
		{"less than the snapshot", first.Info.Position(), raws(second, third)},
		{"more than there is", bide.Position{Seq: at.Seq + 5, Head: bide.Hash{1}}, nil},
	} {
		got, err := s.Load(t.Context(), "run", test.have)
		if err != nil {
			t.Fatalf("Load(%s) = %v", test.name, err)
		}
		same(t, "Load for a caller that has "+test.name, got, &bide.Stored{Position: at, Records: test.want})
	}
}

func loadConsistent(t *testing.T, s Store) {
	c := NewChain("run")
	must(t, s, c.Next(1))
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(done)
		for i := range 200 {
			commit := c.Next(1 + i%3)
			if i%10 == 0 {
				commit.Snapshot = fmt.Appendf(nil, "%d", commit.Info.Seq)
			}
			if err := s.Commit(t.Context(), commit); err != nil {
				t.Errorf("Commit = %v", err)
				return
			}
		}
	})
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := checkLoaded(s.Load(t.Context(), "run", bide.Position{})); err != nil {
					t.Errorf("Load while the run goes on: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// checkLoaded checks that records, snapshot and position are of one moment.
func checkLoaded(got *bide.Stored, err error) error {
	if err != nil {
		return err
	}
	if got.SnapshotSeq > 0 && string(got.Snapshot) != fmt.Sprint(got.SnapshotSeq) {
		return fmt.Errorf("the snapshot of record %s is given as that of record %d", got.Snapshot, got.SnapshotSeq)
	}
	if n := got.SnapshotSeq + int64(len(got.Records)); n != got.Seq {
		return fmt.Errorf("the records end at %d, the position is %d", n, got.Seq)
	}
	if len(got.Records) == 0 {
		return nil
	}
	last, err := bide.ParseRecord(got.Records[len(got.Records)-1])
	if err == nil && last.Hash != got.Head {
		err = fmt.Errorf("record %d is not the one that the position names", last.Seq)
	}
	return err
}

func recordsPages(t *testing.T, s Store) {
	c := NewChain("run")
	var all [][]byte
	for range 5 {
		commit := c.Next(2)
		commit.Snapshot = []byte("{}")
		must(t, s, commit)
		all = append(all, raws(commit)...)
		must(t, s, NewChain(fmt.Sprintf("other-%d", len(all))).Next(3))
	}
	for _, test := range []struct {
		from  int64
		limit int
		want  [][]byte
	}{
		{0, 100, all}, {1, 100, all}, {1, 10, all}, {1, 1, all[:1]}, {4, 3, all[3:6]}, {10, 5, all[9:]}, {11, 5, nil}, {99, 5, nil}, {1, 0, nil},
	} {
		got, err := s.Records(t.Context(), "run", test.from, test.limit)
		if err != nil {
			t.Fatalf("Records(%d, %d) = %v", test.from, test.limit, err)
		}
		same(t, fmt.Sprintf("Records(%d, %d)", test.from, test.limit), got, test.want)
	}
}

func commandsPerRun(t *testing.T, s Store) {
	want := map[string]*bide.CommandRecord{}
	for i, run := range []string{"a", "b"} {
		c := NewChain(run)
		for j, id := range []string{"start", "pause it", "ünpause"} {
			commit := c.Next(1 + i)
			commit.Command = &bide.CommandRecord{ID: id, Fingerprint: bide.Hash{byte(i), byte(j)}, Seq: commit.Info.Seq}
			must(t, s, commit)
			want[run+"/"+id] = commit.Command
		}
		must(t, s, c.Next(2))
	}
	for _, run := range []string{"a", "b"} {
		for _, id := range []string{"start", "pause it", "ünpause"} {
			got, err := s.Command(t.Context(), run, id)
			if err != nil {
				t.Fatalf("Command(%s, %s) = %v", run, id, err)
			}
			same(t, "command "+id+" of run "+run, got, want[run+"/"+id])
		}
	}
}
