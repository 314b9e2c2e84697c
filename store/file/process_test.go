package file_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/storetest"
)

// childEnv tells the test binary to be the process that is killed, and names its store.
const childEnv = "BIDE_FILE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := commitForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitForever commits to several runs and prints every position that was acknowledged.
func commitForever(dir string) error {
	ctx := context.Background()
	s, err := file.Open(ctx, dir, &file.Options{CheckpointEvery: 1, JournalBytes: 100 << 10}) // many of them
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range 8 {
		go func() { failed <- commitRun(ctx, s, fmt.Sprintf("run-%d-%d", os.Getpid(), i)) }()
	}
	return <-failed
}

func commitRun(ctx context.Context, s *file.Store, id string) error {
	c := storetest.NewChain(id)
	for n := 0; ; n++ {
		commit := c.Next(1 + n%3)
		if err := s.Commit(ctx, commit); err != nil {
			return err
		}
		if _, err := fmt.Printf("%s %d %s\n", id, commit.Info.Seq, commit.Info.Head); err != nil {
			return err
		}
	}
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	atLeast := map[string]bide.Position{}
	for _, after := range []int{1, 400, 3000} { // kills, one after the other, of the same store
		for id, at := range killed(t, dir, after) {
			atLeast[id] = at
		}
		s := open(t, dir, nil)
		for id, want := range atLeast {
			wantRecord(t, s, id, want)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

// wantRecord checks that a run has a record, and that all of its records are a chain.
func wantRecord(t *testing.T, s *file.Store, id string, want bide.Position) {
	t.Helper()
	raws, err := s.Records(t.Context(), id, 1, 1<<20)
	if err != nil || int64(len(raws)) < want.Seq {
		t.Fatalf("run %s has %d records, %v, but record %d was acknowledged", id, len(raws), err, want.Seq)
	}
	var at bide.Position
	for _, raw := range raws {
		rec, err := bide.ParseRecord(raw)
		if err != nil || rec.Seq != at.Seq+1 || rec.Prev != at.Head {
			t.Fatalf("record %d of %s does not follow record %d: %v", rec.Seq, id, at.Seq, err)
		}
		at = bide.Position{Seq: rec.Seq, Head: rec.Hash}
		if at.Seq == want.Seq && at != want {
			t.Errorf("record %d of %s is not the one that was acknowledged", at.Seq, id)
		}
	}
}

// child starts a process that commits, and returns its output.
func child(t *testing.T, dir string) (*exec.Cmd, io.Reader, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return cmd, out, stderr
}

// killed starts a process that commits, kills it after a number of
// acknowledgements, and returns the last one of every run.
func killed(t *testing.T, dir string, after int) map[string]bide.Position {
	t.Helper()
	cmd, out, stderr := child(t, dir)
	acknowledged := map[string]bide.Position{}
	lines := bufio.NewScanner(out)
	n := 0
	for ; lines.Scan(); n++ { // to the end: what was said before the kill counts
		var id, head string
		var at bide.Position
		if _, err := fmt.Sscan(lines.Text(), &id, &at.Seq, &head); err != nil {
			t.Fatalf("the child said %q: %v", lines.Text(), err)
		}
		if err := at.Head.UnmarshalText([]byte(head)); err != nil {
			t.Fatal(err)
		}
		acknowledged[id] = at
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if n < after {
		t.Fatalf("the child ended by itself after %d commits: %s", n, stderr)
	}
	return acknowledged
}

func TestOneProcessAtATimeHasTheStore(t *testing.T) {
	dir := t.TempDir()
	cmd, out, stderr := child(t, dir)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it has the store now
		t.Fatalf("the child did not commit: %v: %s", err, stderr)
	}
	_, err := file.Open(t.Context(), dir, nil)
	if !errors.Is(err, bide.ErrStoreLocked) || !strings.Contains(err.Error(), fmt.Sprint(cmd.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v, want code %s, process %d and %s", err, bide.CodeStoreLocked, cmd.Process.Pid, dir)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
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
