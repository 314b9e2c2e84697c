package storetest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/bide-dev/bide"
)

// victimEnv tells a test binary to be the process that is killed, and names its store.
const victimEnv = "BIDE_STORETEST_VICTIM"

// Main is the TestMain of a store's tests that use a Victim. In a victim's
// process it opens the store by the victim's name and commits to several runs until it
// is killed; elsewhere it runs the tests. It does not return.
func Main(m *testing.M, open func(ctx context.Context, name string) (bide.Store, error)) {
	name := os.Getenv(victimEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, commitForever(context.Background(), name, open))
	os.Exit(1)
}

// commitForever commits to several runs and prints every position that was acknowledged.
func commitForever(ctx context.Context, name string, open func(context.Context, string) (bide.Store, error)) error {
	s, err := open(ctx, name)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range 8 {
		go func() { failed <- commitRun(ctx, s, fmt.Sprintf("run-%d-%d", os.Getpid(), i)) }()
	}
	return <-failed
}

func commitRun(ctx context.Context, s bide.Store, id string) error {
	c := NewChain(id)
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

// Victim is a process of the test binary, which has to have Main, that commits
// to a store until it is killed.
type Victim struct {
	*exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

// StartVictim starts a process on the store of a name and waits for its first
// commit. It is killed at the end of the test at the latest.
func StartVictim(t testing.TB, name string) *Victim {
	t.Helper()
	v := &Victim{Cmd: exec.Command(os.Args[0])}
	v.Env = append(os.Environ(), victimEnv+"="+name)
	v.Stderr = &v.stderr
	out, err := v.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.out = bufio.NewReader(out)
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Process.Kill() }) // it may have ended
	if _, err := v.out.Peek(1); err != nil {
		t.Fatalf("the process did not commit: %v: %s", err, &v.stderr)
	}
	return v
}

// Kill kills the process once it has been told of a number of commits, and returns
// the last position of every run that it has been told of.
func (v *Victim) Kill(t testing.TB, after int) map[string]bide.Position {
	t.Helper()
	told := map[string]bide.Position{}
	lines := bufio.NewScanner(v.out)
	n := 0
	for ; lines.Scan(); n++ { // to the end: what was said before the kill counts
		var id, head string
		var at bide.Position
		if _, err := fmt.Sscan(lines.Text(), &id, &at.Seq, &head); err != nil {
			t.Fatalf("the process said %q: %v", lines.Text(), err)
		}
		if err := at.Head.UnmarshalText([]byte(head)); err != nil {
			t.Fatal(err)
		}
		told[id] = at
		if n == after {
			if err := v.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = v.Wait() // it was killed
	if n < after {
		t.Fatalf("the process ended by itself after %d commits: %s", n, &v.stderr)
	}
	return told
}

// CheckTold checks that every run has the record that was told of, and that all
// its records are a chain up to the position of its row.
func CheckTold(t testing.TB, s bide.Store, told map[string]bide.Position) {
	t.Helper()
	for id, want := range told {
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
		stored, err := s.Load(t.Context(), id, bide.Position{})
		if err != nil || stored.Position != at {
			t.Fatalf("the records of %s end at %d, its row says %d: %v", id, at.Seq, stored.Seq, err)
		}
	}
}
