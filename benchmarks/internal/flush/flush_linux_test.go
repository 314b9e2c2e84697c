package flush_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bide-dev/bide/benchmarks/internal/flush"
)

func TestFlushesOfThisProcessAndOfItsChildrenAreCountedAndDelayed(t *testing.T) {
	const delay = 20 * time.Millisecond
	if err := flush.Watch(delay); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	began := time.Now()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("a flush took %v, want at least %v", took, delay)
	}
	if got := flush.Count(); got != 1 {
		t.Errorf("after one flush, Count() = %d", got)
	}
	if out, err := exec.Command("sync", "-d", path, path).CombinedOutput(); err != nil {
		t.Fatalf("sync: %v: %s", err, out)
	}
	if got := flush.Count(); got != 3 {
		t.Errorf("after two more of another process, Count() = %d, want 3", got)
	}
}
