package worker_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
)

// One process at a time has a file store, so the process that is killed is
// worker and client at once. Each one starts runs of its own and carries on with those of all
// before it; the last one is left alone until all runs have ended. The runs are those of the other
// chaos tests: with effects of both kinds, retries, timers, questions, events and a fan-out.
func TestChaosOnFiles(t *testing.T) {
	const kills = 15
	dir, effects := t.TempDir(), t.TempDir()
	for life := 1; life <= kills; life++ {
		cmd := liveOn(t, dir, effects, life)
		after := time.NewTimer(time.Duration(rand.IntN(300)) * time.Millisecond)
		<-after.C
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
	}
	last := liveOn(t, dir, effects, kills+1)
	if err := last.Wait(); err != nil {
		t.Fatalf("the last process: %v", err)
	}

	store, err := file.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for life := range kills + 1 {
		for i := range runsPerLife {
			ids = append(ids, fmt.Sprint(lifeName(life+1), "-", i))
		}
	}
	chaos{}.check(t, rt, effects, ids)
	checkFeed(t, store)
}

// runsPerLife is how many runs each process starts.
const runsPerLife = 10

func lifeName(life int) string { return fmt.Sprint("life-", life) }

// liveOn starts a process on a file store and returns when it has the store.
func liveOn(t *testing.T, dir, effects string, life int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), envStore+"=file:"+dir, envDir+"="+effects, envLives+"="+strconv.Itoa(life))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("process %d did not open the store: %v", life, err)
	}
	return cmd
}

// wholeProcess is worker and client until all runs have ended.
func wholeProcess(url, dir string) error {
	lives, err := strconv.Atoi(os.Getenv(envLives))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	store, err := openChaosStore(ctx, url)
	if err != nil {
		return err
	}
	rt, w, err := newChaosWorker(store, dir)
	if err != nil {
		return err
	}
	fmt.Println("the store is open")
	working, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.Run(working) }()
	p := &patient{ctx: ctx, rt: rt, fatal: func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }}
	for life := range lives {
		p.start(lifeName(life+1), runsPerLife)
	}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for open := p.serve(); open > 0; open = p.serve() {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return fmt.Errorf("%d runs are still open: %s", open, p.last)
		}
	}
	stop()
	if err := <-done; err != nil {
		return err
	}
	return store.Close()
}

// checkFeed checks that the feed has every record of every run once, in the order of its ledger.
func checkFeed(t *testing.T, store bide.Store) {
	t.Helper()
	seen := map[string]bide.Position{}
	for q := (bide.FeedQuery{Limit: 1000}); ; {
		page, err := store.Feed(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			rec, err := bide.ParseRecord(r.Body)
			if err != nil || rec.Seq != seen[r.RunID].Seq+1 || rec.Prev != seen[r.RunID].Head {
				t.Fatalf("the feed has record %d of %s at %d after record %d: %v", rec.Seq, r.RunID, r.Pos, seen[r.RunID].Seq, err)
			}
			seen[r.RunID] = bide.Position{Seq: rec.Seq, Head: rec.Hash}
		}
		if q.After = page.Next; !page.More {
			break
		}
	}
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := store.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			if seen[r.ID] != r.Position() {
				t.Errorf("the feed has %s up to record %d, the run is at %d", r.ID, seen[r.ID].Seq, r.Seq)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return
		}
	}
}
