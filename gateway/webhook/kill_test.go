package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/worker"
)

// The environment of the processes that a test starts of itself.
const (
	envStore = "BIDE_TEST_STORE"
	envLives = "BIDE_TEST_LIVES"
)

const runsPerLife = 8

func TestMain(m *testing.M) {
	if os.Getenv(envStore) == "" {
		os.Exit(m.Run())
	}
	if err := live(os.Getenv(envStore)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// short completes by itself.
var short = bide.Workflow{ID: "short", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("done"), nil },
}}

// open opens a store with a runtime and webhooks over it.
func open(ctx context.Context, path string) (*sqlite.Store, *bide.Runtime, *webhook.Hooks, error) {
	store, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	rt, err := bide.New(store, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	retry := &bide.RetryPolicy{Attempts: 20, Backoff: bide.Duration(time.Millisecond), Max: bide.Duration(10 * time.Millisecond)}
	hooks, err := webhook.New(rt, store, &webhook.Options{AllowPrivate: true, Retry: retry})
	return store, rt, hooks, err
}

// live is a process that starts the runs of its life and all before, and works until every message was received.
func live(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	lives, err := strconv.Atoi(os.Getenv(envLives))
	if err != nil {
		return err
	}
	store, rt, hooks, err := open(ctx, path)
	if err != nil {
		return err
	}
	w, err := worker.New(rt, store, &worker.Options{Sole: true})
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	failed := make(chan error, 2)
	for _, run := range []func(context.Context) error{w.Run, hooks.Run} {
		group.Go(func() { failed <- run(working) })
	}
	for n := range lives * runsPerLife {
		if _, err := rt.Start(ctx, short, nil, &bide.StartOptions{Key: strconv.Itoa(n)}); err != nil {
			return err
		}
	}
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for done := 0; done < lives*runsPerLife; {
		page, err := rt.Runs(ctx, bide.RunQuery{Workflow: webhook.WorkflowID, Status: bide.StatusCompleted, Limit: 1000})
		if err != nil {
			return fmt.Errorf("%d messages were received: %w", done, err)
		}
		done = len(page.Runs)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages were received", done)
		}
	}
	stop()
	group.Wait()
	return errors.Join(<-failed, <-failed, store.Close())
}

// killer is a receiver that kills the process that sends the nth message of its life, before it answers.
type killer struct {
	mu      sync.Mutex
	victim  *exec.Cmd
	left    int
	ids     map[string]map[string]int // by run, the messages and how often they came
	refused error
}

func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	k.mu.Lock()
	defer k.mu.Unlock()
	var m webhook.Message
	if err != nil || json.Unmarshal(body, &m) != nil {
		k.refused = errors.Join(err, fmt.Errorf("received %q", body))
		return
	}
	if k.ids[m.Data.RunID] == nil {
		k.ids[m.Data.RunID] = map[string]int{}
	}
	k.ids[m.Data.RunID][r.Header.Get(webhook.HeaderID)]++
	if k.left--; k.left == 0 {
		k.refused = errors.Join(k.refused, k.victim.Process.Kill())
	}
}

// No message is lost and none has two ids, wherever the sender is killed; one may come twice.
func TestMessagesSurviveTheDeathOfTheirSender(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bide.db")
	k := &killer{ids: map[string]map[string]int{}}
	to := httptest.NewServer(k)
	defer to.Close()
	store, _, hooks, err := open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := hooks.Subscribe(t.Context(), root, webhook.SubscriptionSpec{URL: to.URL, Types: []string{"run.completed"}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	const kills = 8
	for life := 1; life <= kills+1; life++ {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), envStore+"="+path, envLives+"="+strconv.Itoa(life))
		cmd.Stderr = os.Stderr
		k.mu.Lock()
		k.victim, k.left = cmd, life
		if life > kills {
			k.left = 0
		}
		err := cmd.Start()
		k.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); (err == nil) != (life > kills) {
			t.Fatalf("life %d ended with %v", life, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused != nil {
		t.Fatal(k.refused)
	}
	if want := (kills + 1) * runsPerLife; len(k.ids) != want {
		t.Errorf("messages about %d runs, want %d", len(k.ids), want)
	}
	twice := 0
	for run, ids := range k.ids {
		if len(ids) != 1 {
			t.Errorf("messages about run %s: %v", run, ids)
		}
		for _, n := range ids {
			twice += n - 1
		}
	}
	if twice < kills/2 {
		t.Errorf("%d messages came again after %d kills: the kills did not hit", twice, kills)
	}
}
