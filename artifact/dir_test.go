package artifact_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/artifact/artifacttest"
)

var ctx = context.Background()

// hello is the SHA-256 of "hello" (FIPS 180-4, as any tool prints it).
const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func open(t *testing.T, path string) *artifact.Dir {
	t.Helper()
	d, err := artifact.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// files lists the files below a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestABlobIsKeptOnceUnderItsHash(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if sum, size, err := d.Put(ctx, strings.NewReader("hello")); sum != hello || size != 5 || err != nil {
				t.Errorf("Put = %s, %d, %v", sum, size, err)
			}
		})
	}
	all.Wait()
	r, err := open(t, dir).Open(ctx, hello)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "hello" || err != nil {
		t.Errorf("Open = %q, %v", got, err)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("the directory holds %q, want one file", got)
	}
}

func TestAPutThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	if _, _, err := open(t, dir).Put(ctx, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Put = %v, want the reader's error", err)
	}
	over, cancel := context.WithCancelCause(ctx)
	cancel(broken)
	if _, _, err := open(t, dir).Put(over, strings.NewReader("x")); !errors.Is(err, broken) {
		t.Errorf("Put after the end = %v, want its cause", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("the directory holds %q, want nothing", got)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	if _, err := d.Open(ctx, "../../etc/passwd"); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Open of a path = %v, want ErrInvalidInput", err)
	}
	if _, err := d.Open(ctx, hello); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Open of what is not there = %v, want ErrNotFound", err)
	}
	if _, _, err := d.Put(ctx, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files(t, dir)[0], []byte("jello"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := d.Open(ctx, hello)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, bide.ErrCorrupt) {
		t.Errorf("reading a changed blob = %v, want ErrCorrupt", err)
	}
}

// Somebody who can write to the folder has put a link where a blob goes: nothing outside is written or read.
func TestALinkOutOfTheFolderIsNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, hello), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "blobs", hello[:2])); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	if r, err := d.Open(ctx, hello); err == nil {
		r.Close()
		t.Error("a blob outside of the folder was opened")
	}
	if err := os.Remove(filepath.Join(outside, hello)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Put(ctx, strings.NewReader("hello")); err == nil {
		t.Error("Put followed the link")
	}
	if got := files(t, outside); len(got) > 0 {
		t.Errorf("%q was written outside of the folder", got)
	}
}

func TestDir(t *testing.T) {
	artifacttest.Run(t, func(t *testing.T) artifacttest.Subject {
		dir := t.TempDir()
		return artifacttest.Subject{Store: open(t, dir), Age: func() {
			for _, name := range files(t, dir) {
				old := time.Now().Add(-48 * time.Hour)
				if err := os.Chtimes(name, old, old); err != nil {
					t.Fatal(err)
				}
			}
		}}
	})
}

// A sweep that died between moving a blob aside and deciding has lost nothing.
func TestWhatASweepLeftAsideComesBack(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	sum, _, err := d.Put(ctx, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "aside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files(t, dir)[0], filepath.Join(dir, "aside", sum)); err != nil {
		t.Fatal(err)
	}
	r, err := d.Open(ctx, sum)
	if err != nil {
		t.Fatalf("before the next sweep: %v", err)
	}
	r.Close()
	out, err := d.Sweep(ctx, time.Now().Add(-2*time.Hour), func(context.Context, string) (bool, error) { return false, nil })
	if err != nil || out.Kept != 1 {
		t.Errorf("Sweep = %+v, %v; want it kept", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs", sum[:2], sum)); err != nil {
		t.Error(err)
	}
}
