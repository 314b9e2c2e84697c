package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
)

// version1 is a disk with a store of version 1, as a killed process left it.
func version1(t *testing.T) *memDisk {
	t.Helper()
	d := newMemDisk()
	err := filepath.WalkDir("testdata/version1", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := "/data/store" + filepath.ToSlash(strings.TrimPrefix(path, filepath.FromSlash("testdata/version1")))
		if e.IsDir() {
			return d.MakeDir(to)
		}
		text, err := os.ReadFile(path)
		d.now[to] = &memFile{now: text, safe: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.safe = d.now
	return d.killed(nil)
}

// wantUpgraded checks the runs of that store, and returns the feed.
func wantUpgraded(t *testing.T, s *Store) (pos []int64) {
	t.Helper()
	runs, err := s.Runs(t.Context(), bide.RunQuery{Root: "parent"})
	if err != nil || len(runs.Runs) != 3 {
		t.Fatalf("Runs of the tree = %v, %v, want 3", runs, err)
	}
	for _, r := range runs.Runs {
		wantAt(t, s, r.ID, r.Position())
	}
	page, err := s.Feed(t.Context(), bide.FeedQuery{})
	if err != nil {
		t.Fatalf("Feed = %v", err)
	}
	var got []string
	for _, r := range page.Records {
		got, pos = append(got, r.RunID), append(pos, r.Pos)
	}
	want := []string{"parent", "parent", "parent", "child", "child", "child", "a-grandchild"}
	if !slices.Equal(got, want) || !slices.IsSorted(pos) {
		t.Errorf("the feed has records of %q at %d, want %q", got, pos, want)
	}
	return pos
}

func TestAStoreOfVersion1IsUpgraded(t *testing.T) {
	d := version1(t)
	s := mustOpenOn(t, d, nil)
	pos := wantUpgraded(t, s)
	left := map[string]*memDisk{"killed": d.killed(nil), "powerless": d.powerless(nil)}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left["closed"] = d
	for how, d := range left {
		if got := wantUpgraded(t, mustOpenOn(t, d, nil)); !slices.Equal(got, pos) {
			t.Errorf("%s: the feed has the positions %d, want %d", how, got, pos)
		}
	}
}

func TestAnUpgradeMayStopAtEveryFileOperation(t *testing.T) {
	for k, reached := 1, true; reached; k++ {
		d := version1(t)
		d.stopAt(k)
		if s, err := openOn(t, d, nil); err == nil {
			_ = s.Close() // the process stops there at the latest
		}
		reached = d.stopped
		for _, left := range []*memDisk{d.killed(nil), d.powerless(nil)} {
			s := mustOpenOn(t, left, nil)
			wantUpgraded(t, s)
			if err := s.Close(); err != nil {
				t.Fatalf("stopped at operation %d: Close = %v", k, err)
			}
			wantUpgraded(t, mustOpenOn(t, left, nil))
		}
	}
}
