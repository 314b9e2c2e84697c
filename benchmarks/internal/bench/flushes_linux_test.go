package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFlushesAreCountedOnTheirOwn(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "file")
	cases := []Case{{Setting: map[string]string{}, Sample: func(_ context.Context, v *Values) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		stop := v.Flushes("run", 2)
		err = errors.Join(f.Sync(), f.Sync(), f.Sync(), f.Close())
		stop()
		v.Add("time", "ms", 1)
		return err
	}}}
	if err := errors.Join(b.Turn(t.Context(), cases), b.Count(t.Context(), cases)); err != nil {
		t.Fatal(err)
	}
	if len(b.found) != 2 || len(b.found[0].Samples) != 1 || b.found[1].Unit != "a run" || !slices.Equal(b.found[1].Samples, []float64{1.5}) {
		t.Errorf("found %v, want one time, and 1.5 flushes a run", b.found)
	}
}
