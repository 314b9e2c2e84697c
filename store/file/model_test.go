package file

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// openOn opens a store on a disk; it files only when the test says so.
func openOn(t testing.TB, d disk, opts *Options) (*Store, error) {
	t.Helper()
	s, err := open(t.Context(), "/data/store", opts, d)
	if err != nil {
		return nil, err
	}
	s.filer.idle = true
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
	for seed := range uint64(20) {
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
		sc := writeScript(t, seed, 80, true)
		s := mustOpenOn(t, newMemDisk(), nil)
		for n, st := range sc.steps {
			if err := st.do(t.Context(), s); err != nil {
				t.Fatalf("seed %d, step %d (%s): %v", seed, n, st.name, err)
			}
		}
		sc.wantState(t, fmt.Sprintf("seed %d", seed), s, len(sc.steps), len(sc.steps))
	}
}
