// Package flows_test kills the example flows at every commit.
package flows_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/store/sqlite"
)

// The variables by which a test makes its own binary run a flow.
const (
	asDocument = "BIDE_KILL_DOCUMENT" // the flow's file
	asStore    = "BIDE_KILL_STORE"    // the store's file
	asBefore   = "BIDE_KILL_BEFORE"   // the commit before which the process dies; 0 for none
	asAfter    = "BIDE_KILL_AFTER"    // the commit after which it dies
)

func TestMain(m *testing.M) {
	if os.Getenv(asDocument) == "" {
		os.Exit(m.Run())
	}
	output, err := child(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(output)
}

// mortal kills its process around a commit.
type mortal struct {
	*sqlite.Store
	kill bidetest.Kill
}

func (m *mortal) Commit(ctx context.Context, c *bide.Commit) error {
	return m.kill.Around(func() error { return m.Store.Commit(ctx, c) })
}

// child runs a flow to its end, answering its questions, or goes on with the run that is there.
func child(ctx context.Context) (string, error) {
	before, err := strconv.Atoi(os.Getenv(asBefore))
	if err != nil {
		return "", err
	}
	after, err := strconv.Atoi(os.Getenv(asAfter))
	if err != nil {
		return "", err
	}
	db, err := sqlite.Open(ctx, os.Getenv(asStore), nil)
	if err != nil {
		return "", err
	}
	rt, err := bide.New(&mortal{Store: db, kill: bidetest.Kill{Before: before, After: after}}, nil)
	if err != nil {
		return "", err
	}
	flow.Handle(rt, nil)
	source, err := os.ReadFile(os.Getenv(asDocument))
	if err != nil {
		return "", err
	}
	doc, err := flow.Parse(os.Getenv(asDocument), source)
	if err != nil {
		return "", err
	}
	root, err := flow.Start(ctx, rt, doc, bide.JSON("{}"), &bide.StartOptions{Key: "the one"})
	if err != nil {
		return "", err
	}
	for range 10_000 {
		page, err := rt.Runs(ctx, bide.RunQuery{Root: root.ID})
		if err != nil {
			return "", err
		}
		for _, r := range page.Runs {
			run, err := rt.Tick(ctx, r.ID)
			if err != nil {
				return "", err
			}
			if run.ID == root.ID && run.Status.Final() {
				return fmt.Sprintf("%s %s", run.Status, run.Output), db.Close()
			}
			if err := answer(ctx, rt, run); err != nil {
				return "", err
			}
		}
	}
	return "", errors.New("the run does not end")
}

// answer gives every question the first choice, and every form the answer yes.
func answer(ctx context.Context, rt *bide.Runtime, run *bide.Run) error {
	for _, w := range run.Waits {
		var with any
		switch w.Kind {
		case bide.WaitQuestion:
			with = w.Choices[0]
		case bide.WaitForm:
			with = map[string]any{"ok": true}
		default:
			continue
		}
		if _, err := rt.Resume(ctx, run.ID, w.ID, with, bide.Command{ID: "answer-" + w.ID, Actor: "ann"}); err != nil {
			return err
		}
	}
	return nil
}

// start runs a child and returns what it printed, and whether it was killed.
func start(t *testing.T, document, store string, before, after int) (output string, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), asDocument+"="+document, asStore+"="+store, asBefore+"="+strconv.Itoa(before), asAfter+"="+strconv.Itoa(after))
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), false
	case errors.As(err, &exit) && exit.ExitCode() < 0 && ctx.Err() == nil:
		return "", true
	case errors.As(err, &exit):
		t.Fatalf("%s: %v\n%s", document, err, exit.Stderr)
	}
	t.Fatalf("%s: %v", document, err)
	return "", false
}

func TestAFlowKilledAtAnyCommitEndsAsTheUndisturbedOne(t *testing.T) {
	for _, document := range []string{"../refund.yaml", "trip.yaml", "pipeline.yaml", "review.yaml"} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			want, killed := start(t, document, filepath.Join(t.TempDir(), "bide.db"), 0, 0)
			if killed || want == "" {
				t.Fatalf("undisturbed it gives %q", want)
			}
			kills := 0
			for n, more := 1, true; more; n++ {
				more = false
				for _, after := range []bool{false, true} {
					store, killed := filepath.Join(t.TempDir(), "bide.db"), false
					if after {
						_, killed = start(t, document, store, 0, n)
					} else {
						_, killed = start(t, document, store, n, 0)
					}
					if !killed {
						continue // it came to its end before
					}
					more, kills = true, kills+1
					if got, _ := start(t, document, store, 0, 0); got != want {
						t.Errorf("killed at commit %d (after it: %v) it gives %q, undisturbed %q", n, after, got, want)
					}
				}
			}
			if kills < 6 {
				t.Errorf("it was killed %d times; there are more commits than that", kills)
			}
		})
	}
}
