package file

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

// openOn opens a store on a disk; it files only when the test says so.
func openOn(t testing.TB, d disk, opts *Options) (*Store, error) {
	t.Helper()
	s, err := open(t.Context(), "/data/store", opts, d)
	if err != nil {
		return nil, err
	}
	s.filer.idle = true
	s.shrinkFrom = 1
	return s, nil
}

func mustOpenOn(t testing.TB, d disk, opts *Options) *Store {
	t.Helper()
	s, err := openOn(t, d, opts)
	if err != nil {
		t.Fatalf("open = %v", err)
	}
	return s
}

// TestTheStoreDoesWhatTheReferenceDoes runs random programs on both. Now and
// then records are filed, a checkpoint is made, or the process dies.
func TestTheStoreDoesWhatTheReferenceDoes(t *testing.T) {
	for seed := range uint64(8) {
		sc := newScript(t, seed, 60)
		r := rand.New(rand.NewPCG(seed, 8))
		d := newMemDisk()
		s := mustOpenOn(t, d, nil)
		for n, st := range sc.steps {
			what := fmt.Sprintf("seed %d, step %d (%s)", seed, n, st.name)
			if err := st.do(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			d, s = disturb(t, r, d, s)
			sc.wantState(t, what, s, n+1, n+1)
		}
	}
}

// disturb lets something happen to a store that nobody must notice.
func disturb(t *testing.T, r *rand.Rand, d *memDisk, s *Store) (*memDisk, *Store) {
	t.Helper()
	var err error
	switch r.IntN(8) {
	case 0:
		err = s.fileLedgers()
	case 1:
		err = s.checkpoint()
	case 2:
		err = s.Close()
		s = mustOpenOn(t, d, nil)
	case 3:
		d = d.killed(r)
		s = mustOpenOn(t, d, nil)
	case 4:
		d = d.powerless(r)
		s = mustOpenOn(t, d, nil)
	case 5:
		d = d.tornApart(r)
		s = mustOpenOn(t, d, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

func TestClaimsAreThoseOfTheReference(t *testing.T) {
	for seed := range uint64(30) {
		sc := writeScript(t, seed, 80, kind{live: true, documents: true})
		s := mustOpenOn(t, newMemDisk(), nil)
		for n, st := range sc.steps {
			if err := st.do(t.Context(), s); err != nil {
				t.Fatalf("seed %d, step %d (%s): %v", seed, n, st.name, err)
			}
		}
		sc.wantState(t, fmt.Sprintf("seed %d", seed), s, len(sc.steps), len(sc.steps))
	}
}

func TestDelete(t *testing.T) {
	storetest.Delete(t, func(t *testing.T) bide.Store {
		s, err := Open(t.Context(), t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestADeletedRunLeavesNothing deletes a run, in all the ways in which its end
// may meet the death of the process, and begins another one with its id.
func TestADeletedRunLeavesNothing(t *testing.T) {
	for name, leave := range map[string]func(*memDisk, *Store) (*memDisk, error){
		"closed":       func(d *memDisk, s *Store) (*memDisk, error) { return d, s.Close() },
		"killed":       func(d *memDisk, _ *Store) (*memDisk, error) { return d.killed(nil), nil },
		"powerless":    func(d *memDisk, _ *Store) (*memDisk, error) { return d.powerless(nil), nil },
		"checkpointed": func(d *memDisk, s *Store) (*memDisk, error) { return d.powerless(nil), s.checkpoint() },
	} {
		t.Run(name, func(t *testing.T) {
			d := newMemDisk()
			s := mustOpenOn(t, d, nil)
			c, other := storetest.NewChain("run"), storetest.NewChain("other")
			first := c.Next(3)
			first.Command = &bide.CommandRecord{ID: "cmd", Seq: 3}
			first.Snapshot = []byte(`{"at":3}`)
			mail := &bide.Commit{Send: []bide.Message{{ID: "m", To: "run", Key: "cancel:run"}}}
			must(t, s, first, mail, other.Next(1))
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
			must(t, s, &bide.Commit{RunID: "run", Expect: first.Info.Position(), Delete: true})
			d, err := leave(d, s)
			if err != nil {
				t.Fatal(err)
			}
			s = mustOpenOn(t, d, nil)
			wantAt(t, s, "run", bide.Position{})
			wantAt(t, s, "other", other.Info.Position())
			again := storetest.NewChain("run").NextWith(`"another"`)
			must(t, s, again, mail)
			stored, err := s.Load(t.Context(), "run", bide.Position{})
			if err != nil || stored.Snapshot != nil || len(stored.Mail) != 1 || len(stored.Records) != 1 {
				t.Errorf("Load of a run begun anew = %+v, %v, want one record, one message and no snapshot", stored, err)
			}
			if _, err := s.Command(t.Context(), "run", "cmd"); !errors.Is(err, bide.ErrNotFound) {
				t.Errorf("Command = %v, want code %s", err, bide.CodeNotFound)
			}
			must(t, s, &bide.Commit{RunID: "run", Expect: again.Info.Position(), Delete: true})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for path := range d.now {
				if strings.HasPrefix(path, "/data/store/runs/run") {
					t.Errorf("%s is still there", path)
				}
			}
		})
	}
}
