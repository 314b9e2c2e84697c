package file

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

var reading = &Options{ReadOnly: true}

// writeProtected is a disk on which every operation that changes something fails.
func (d *memDisk) writeProtected(t *testing.T) *memDisk {
	d.fault = func(_ int, what string) error {
		t.Errorf("%s on a disk that is only read", what)
		return errInjected
	}
	return d
}

// However a process died, the store shows to who only reads what it would show to who mends it, and stays as it is.
func TestAStoreIsReadAsItWasLeft(t *testing.T) {
	for seed := range uint64(4) {
		sc := newScript(t, seed, 40)
		r := rand.New(rand.NewPCG(seed, 9))
		d := newMemDisk()
		s := mustOpenOn(t, d, nil)
		for n, st := range sc.steps {
			what := fmt.Sprintf("seed %d, step %d (%s)", seed, n, st.name)
			if err := st.do(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for name, died := range map[string]func(*rand.Rand) *memDisk{"killed": d.killed, "powerless": d.powerless, "torn apart": d.tornApart} {
				look := mustOpenOn(t, died(r).writeProtected(t), reading)
				sc.wantState(t, what+", "+name, look, n+1, n+1)
				if err := look.Close(); err != nil {
					t.Errorf("%s, %s: Close = %v", what, name, err)
				}
			}
			d, s = disturb(t, r, d, s)
		}
	}
}

func TestAWriteToAStoreThatIsReadIsRefused(t *testing.T) {
	d, all, c := unclosed(t, 2, 1)
	s := mustOpenOn(t, d.writeProtected(t), reading)
	wantAt(t, s, "run", all[3].Info.Position())
	for what, do := range map[string]func() error{
		"Commit": func() error { return s.Commit(t.Context(), c.Next(1)) },
		"PutDocument": func() error {
			_, err := s.PutDocument(t.Context(), bide.Document{Kind: "note", ID: "1", Body: bide.JSON("1")})
			return err
		},
		"DeleteDocument": func() error { return s.DeleteDocument(t.Context(), "note", "1", 0) },
		"SetAside":       func() error { return s.SetAside(t.Context(), "run", "why") },
	} {
		wantCode(t, what, do(), bide.CodeStoreReadOnly, bide.ErrStoreReadOnly)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	wantCode(t, "Commit after Close", s.Commit(t.Context(), c.Next(1)), bide.CodeStoreClosed, bide.ErrStoreClosed)
}

func TestManyReadAStoreOrOneWritesIt(t *testing.T) {
	dir := t.TempDir()
	writing, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := storetest.NewChain("run")
	first := c.Next(2)
	must(t, writing, first)
	if _, err := Open(t.Context(), dir, reading); !errors.Is(err, bide.ErrStoreLocked) {
		t.Errorf("Open for reading beside who writes = %v, want code %s", err, bide.CodeStoreLocked)
	}
	if err := writing.Close(); err != nil {
		t.Fatal(err)
	}
	var readers []*Store
	for range 2 {
		s, err := Open(t.Context(), dir, reading)
		if err != nil {
			t.Fatalf("Open for reading = %v", err)
		}
		wantAt(t, s, "run", first.Info.Position())
		readers = append(readers, s)
	}
	if _, err := Open(t.Context(), dir, nil); !errors.Is(err, bide.ErrStoreLocked) {
		t.Errorf("Open beside those who read = %v, want code %s", err, bide.CodeStoreLocked)
	}
	for _, s := range readers {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if writing, err = Open(t.Context(), dir, nil); err != nil {
		t.Fatalf("Open after those who read = %v", err)
	}
	must(t, writing, c.Next(1))
	if err := writing.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadingMakesNoStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if s, err := Open(t.Context(), dir, reading); err == nil {
		t.Errorf("Open of a directory that is not there = %v, want an error", s)
	}
	if s, err := Open(t.Context(), t.TempDir(), reading); err == nil {
		t.Errorf("Open of an empty directory = %v, want an error", s)
	}
	_, err := openOn(t, version1(t).writeProtected(t), reading)
	wantCode(t, "Open of a store of version 1", err, bide.CodeStoreReadOnly, bide.ErrStoreReadOnly)
}
