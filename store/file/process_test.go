package file_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(ctx context.Context, dir string) (bide.Store, error) {
		return file.Open(ctx, dir, &file.Options{CheckpointEvery: 1, JournalBytes: 100 << 10}) // many of them
	})
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	told := map[string]bide.Position{}
	for _, after := range []int{1, 400, 3000} { // kills, one after the other, of the same store
		maps.Copy(told, storetest.StartVictim(t, dir).Kill(t, after))
		s := open(t, dir, nil)
		storetest.CheckTold(t, s, told)
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

func TestOneProcessAtATimeHasTheStore(t *testing.T) {
	dir := t.TempDir()
	victim := storetest.StartVictim(t, dir) // it has the store now
	_, err := file.Open(t.Context(), dir, nil)
	if !errors.Is(err, bide.ErrStoreLocked) || !strings.Contains(err.Error(), fmt.Sprint(victim.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v, want code %s, process %d and %s", err, bide.CodeStoreLocked, victim.Process.Pid, dir)
	}
	victim.Kill(t, 0)
	s := open(t, dir, nil)
	_, err = file.Open(t.Context(), dir, nil)
	if !errors.Is(err, bide.ErrStoreLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("Open of a store that this process has open = %v, want code %s and process %d", err, bide.CodeStoreLocked, os.Getpid())
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := open(t, dir, nil).Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}
