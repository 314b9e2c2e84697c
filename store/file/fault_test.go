package file

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

// filing is when the store of the fault tests brings the journal to the files, by step.
func filing(s *Store, n int) error {
	switch n % 5 {
	case 1:
		return s.fileLedgers()
	case 3:
		return s.checkpoint()
	}
	return nil
}

// TestTheProcessMayStopAtEveryFileOperation lets each write, flush, rename and
// so on in turn be the one at which the process stops, half done. What the disk then
// has, after a kill and after loss of power, must be what the acknowledged steps leave
// behind, or one step more; and the rest of the script must go on from there.
func TestTheProcessMayStopAtEveryFileOperation(t *testing.T) {
	for seed, opts := range map[uint64]*Options{2: nil, 3: {Durability: DurabilityNormal}} {
		sc := writeScript(t, seed, 11, kind{documents: opts == nil}) // documents are flushed whatever the level is
		for k, reached := 1, true; reached; k++ {
			d := newMemDisk()
			d.stopAt(k)
			acknowledged := 0
			s, err := openOn(t, d, opts)
			if err == nil {
				for n, st := range sc.steps {
					if st.do(t.Context(), s) != nil {
						break
					}
					acknowledged++
					_ = filing(s, n) // the process may stop there as well
				}
				_ = s.Close()
			}
			reached = d.stopped
			r := rand.New(rand.NewPCG(uint64(k), seed))
			for how, left := range map[string]func(*rand.Rand) *memDisk{"killed": d.killed, "powerless": d.powerless, "torn": d.tornApart} {
				atLeast := acknowledged
				if opts != nil && how != "killed" {
					atLeast = 0 // loss of power may undo the last ones, in order
				}
				goOn(t, sc, left(r), fmt.Sprintf("seed %d, stopped at operation %d, %s", seed, k, how), atLeast, min(acknowledged+1, len(sc.steps)))
			}
		}
	}
}

// goOn opens what is left on a disk, checks it, and plays the rest of the script.
func goOn(t *testing.T, sc *script, d *memDisk, what string, atLeast, atMost int) {
	t.Helper()
	s, err := openOn(t, d, nil)
	if err != nil {
		t.Fatalf("%s: open = %v", what, err)
	}
	at := sc.wantState(t, what, s, atLeast, atMost)
	for n, st := range sc.steps[at:] {
		if err := errors.Join(st.do(t.Context(), s), filing(s, n)); err != nil {
			t.Fatalf("%s: step %d (%s): %v", what, at+n, st.name, err)
		}
	}
	sc.wantState(t, what+", played to the end", s, len(sc.steps), len(sc.steps))
	if err := s.Close(); err != nil {
		t.Fatalf("%s: Close = %v", what, err)
	}
	again := mustOpenOn(t, d.powerless(nil), nil)
	sc.wantState(t, what+", closed and opened", again, len(sc.steps), len(sc.steps))
}

// TestEveryFileOperationMayFailForAWhile lets each operation in turn fail, alone
// or with those after it. A step that fails must change nothing, and succeed later.
func TestEveryFileOperationMayFailForAWhile(t *testing.T) {
	for _, errs := range []int{1, 2, 5} {
		sc := newScript(t, uint64(errs), 11)
		for k, reached := 1, true; reached; k++ {
			what := fmt.Sprintf("%d operations failed from %d on", errs, k)
			d := newMemDisk()
			s := mustOpenOn(t, d, nil)
			base := d.ops
			d.fault = func(op int, _ string) error {
				if op >= base+k && op < base+k+errs {
					return errInjected
				}
				return nil
			}
			for n, st := range sc.steps {
				for tries := 0; ; tries++ {
					err := st.do(t.Context(), s)
					if err == nil {
						break
					}
					if !errors.Is(err, errInjected) || tries > errs {
						t.Fatalf("%s: step %d (%s): %v", what, n, st.name, err)
					}
					sc.wantState(t, what, s, n, n)
				}
				_ = filing(s, n)
			}
			reached = d.ops >= base+k
			d.fault = nil
			sc.wantState(t, what, s, len(sc.steps), len(sc.steps))
			for _, left := range []*memDisk{d.killed(nil), d.powerless(nil)} {
				sc.wantState(t, what+", stopped and opened", mustOpenOn(t, left, nil), len(sc.steps), len(sc.steps))
			}
			if err := s.Close(); err != nil {
				t.Fatalf("%s: Close = %v", what, err)
			}
		}
	}
}

func TestAFaultOfTheDiskIsExplained(t *testing.T) {
	for _, test := range []struct {
		name, op string
		err      error
		want     bide.Code // empty: an ordinary error, which the runtime tries again
	}{
		{"no space left", "write", syscall.ENOSPC, bide.CodeStoreFull},
		{"no space left for a new file", "create", syscall.ENOSPC, bide.CodeStoreFull},
		{"no space left at the flush", "sync", syscall.ENOSPC, bide.CodeStoreFull},
		{"quota used up", "write", syscall.EDQUOT, bide.CodeStoreFull},
		{"write fails", "write", syscall.EIO, ""},
		{"flush fails", "sync", syscall.EIO, ""},
		{"read-only", "create", syscall.EROFS, bide.CodeStoreReadOnly},
		{"no permission", "create", syscall.EACCES, bide.CodeStoreReadOnly},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newMemDisk()
			s := mustOpenOn(t, d, nil)
			c := storetest.NewChain("run")
			before, failing := c.Next(2), c.Next(2)
			if err := s.Commit(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			if err := s.checkpoint(); err != nil { // the next group needs a new segment
				t.Fatal(err)
			}
			d.fault = func(_ int, what string) error {
				if what == test.op {
					return test.err
				}
				return nil
			}
			for range 3 {
				wantCode(t, "Commit", s.Commit(t.Context(), failing), test.want, test.err)
				if at, err := s.Load(t.Context(), "run", bide.Position{}); err != nil || at.Position != before.Info.Position() {
					t.Errorf("Load = %v, %v, want record %d", at, err, before.Info.Seq)
				}
			}
			d.fault = nil
			if err := s.Commit(t.Context(), failing); err != nil {
				t.Errorf("Commit = %v once the disk works again", err)
			}
			s = mustOpenOn(t, d.powerless(nil), nil)
			if at, err := s.Load(t.Context(), "run", bide.Position{}); err != nil || at.Position != failing.Info.Position() {
				t.Errorf("Load = %v, %v, want record %d", at, err, failing.Info.Seq)
			}
		})
	}
}

// TestRecordsThatCannotBeFiledDoNotFillTheMemory: the ledgers cannot be written,
// the journal can. At some point commits fail, and later go on.
func TestRecordsThatCannotBeFiledDoNotFillTheMemory(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	d.fault = func(_ int, what string) error {
		if what == "mkdir" {
			return syscall.ENOSPC
		}
		return nil
	}
	c := storetest.NewChain("run")
	if err := s.Commit(t.Context(), c.Next(1)); err != nil {
		t.Fatal(err)
	}
	s.backlog += maxBacklog // as if there were so many
	next := c.Next(1)
	wantCode(t, "Commit", s.Commit(t.Context(), next), bide.CodeStoreFull, syscall.ENOSPC)
	d.fault = nil
	if err := s.Commit(t.Context(), next); err != nil {
		t.Errorf("Commit = %v once the ledgers can be written", err)
	}
}

func wantCode(t *testing.T, what string, got error, want bide.Code, cause error) {
	t.Helper()
	var e *bide.Error
	has := bide.Code("")
	if errors.As(got, &e) {
		has = e.Code
	}
	if got == nil || has != want || !errors.Is(got, cause) {
		t.Errorf("%s = %v (code %q), want code %q and %v", what, got, has, want, cause)
	}
}
