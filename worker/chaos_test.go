package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/worker"
)

// Worker processes are killed and stopped at random while runs with every kind
// of wait go through them. In the end every run has completed, every chain
// verifies, each idempotent side effect happened once by its key and each
// at-most-once effect at most once (K8, K20, K23, K24).
func TestChaosOnSQLite(t *testing.T) {
	chaos{url: "sqlite:" + filepath.Join(t.TempDir(), "bide.db"), workers: 1, runs: 40, blows: 12}.play(t)
}

func TestChaosOnPostgreSQL(t *testing.T) {
	server := pgtest.NewServer(t)
	chaos{url: server.URL(), workers: 4, runs: 500, blows: 30, outage: func(t *testing.T) {
		server.Kill(t)
		server.Start(t)
	}}.play(t)
}

// The environment variables that make the test binary a worker process.
const (
	envStore = "BIDE_CHAOS_STORE"
	envDir   = "BIDE_CHAOS_DIR"   // of the side effects
	envLives = "BIDE_CHAOS_LIVES" // the number of processes so far, when it is to be the client as well
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envStore); url != "" {
		run := workerProcess
		if os.Getenv(envLives) != "" {
			run = wholeProcess
		}
		if err := run(url, os.Getenv(envDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Main(m))
}

// chaosLease is short, so that what a killed worker left is soon taken over.
const chaosLease = time.Second

type chaosStore interface {
	bide.Store
	bide.Claims
}

func openChaosStore(ctx context.Context, url string) (chaosStore, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return sqlite.Open(ctx, path, nil)
	}
	if dir, ok := strings.CutPrefix(url, "file:"); ok {
		return file.Open(ctx, dir, nil)
	}
	return postgres.Open(ctx, url, nil)
}

// workerProcess drives runs until it is told to stop, or killed.
func workerProcess(url, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := openChaosStore(ctx, url)
	if err != nil {
		return err
	}
	defer store.Close()
	_, w, err := newChaosWorker(store, dir)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

func newChaosWorker(store chaosStore, dir string) (*bide.Runtime, *worker.Worker, error) {
	rt, err := bide.New(store, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := rt.Register(chaosWorkflows()...); err != nil {
		return nil, nil, err
	}
	effects := sideEffects{dir}
	rt.Handle("keyed", effects.keyed)
	rt.Handle("once", effects.once)
	w, err := worker.New(rt, store, &worker.Options{Lease: chaosLease, Poll: 50 * time.Millisecond})
	return rt, w, err
}

func chaosWorkflows() []bide.Workflow {
	retry := bide.RetryPolicy{Attempts: 5, Backoff: bide.Duration(20 * time.Millisecond)}
	return []bide.Workflow{
		{ID: "chaos", Version: "1", Entry: "act", Nodes: bide.Nodes{
			"act": func(*bide.Run) (bide.StepPlan, error) {
				return bide.Do(bide.Call("once", nil).Once(), bide.Call("keyed", nil).WithRetry(retry), bide.SleepFor(30*time.Millisecond)).Then("wait"), nil
			},
			"wait": func(*bide.Run) (bide.StepPlan, error) {
				return bide.Do(bide.Ask("Go on?", nil), bide.WaitEvent("go", nil).As("event")).Then("fan"), nil
			},
			"fan": func(*bide.Run) (bide.StepPlan, error) {
				return bide.Do(bide.FanOut("kid", []int{0, 1, 2, 3}, &bide.FanOutOptions{AtOnce: 2})).ThenCompleteWith("event.payload"), nil
			},
		}},
		{ID: "kid", Version: "1", Entry: "act", Nodes: bide.Nodes{
			"act": func(*bide.Run) (bide.StepPlan, error) {
				return bide.Do(bide.Call("keyed", nil).WithRetry(retry)).ThenComplete("ok"), nil
			},
		}},
	}
}

// sideEffects are files in a folder, which the store knows nothing of.
type sideEffects struct{ dir string }

func (s sideEffects) path(kind, key string) string {
	return filepath.Join(s.dir, kind+"-"+strings.ReplaceAll(key, "/", "_"))
}

// keyed happens once however often it is called: the key is the file's name. A third of the first attempts fail.
func (s sideEffects) keyed(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
	h := fnv.New32a()
	fmt.Fprint(h, call.Key)
	if call.Attempt == 1 && h.Sum32()%3 == 0 {
		return bide.Outcome{}, errors.New("not at the first attempt")
	}
	f, err := os.OpenFile(s.path("keyed", call.Key), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return bide.Outcome{}, err
	}
	return bide.Completed(call.Key), f.Close()
}

// once leaves one more byte each time that it is called.
func (s sideEffects) once(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
	f, err := os.OpenFile(s.path("once", call.Key), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return bide.Outcome{}, err
	}
	_, err = f.WriteString("x")
	return bide.Completed(nil), errors.Join(err, f.Close())
}

// chaos is one such test.
type chaos struct {
	url     string
	workers int
	runs    int
	blows   int                // kills and stops in all
	outage  func(t *testing.T) // made once, in the middle, when not nil
}

func (c chaos) play(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	store, err := openChaosStore(ctx, c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	crew := make([]*process, c.workers)
	for i := range crew {
		crew[i] = &process{t: t, url: c.url, dir: dir}
		crew[i].start()
		defer crew[i].kill()
	}
	p := &patient{ctx: ctx, rt: rt, fatal: t.Fatalf}
	p.start("run", c.runs)
	pace := time.NewTicker(150 * time.Millisecond)
	defer pace.Stop()
	for blow := 0; ; {
		open := p.serve()
		switch {
		case open == 0:
			c.check(t, rt, dir, p.ids)
			return
		case blow < c.blows:
			crew[rand.IntN(len(crew))].hit()
			if blow++; blow == c.blows/2 && c.outage != nil {
				c.outage(t)
			}
		}
		for _, w := range crew {
			w.revive()
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d runs are still open: %s", open, c.runs, p.last)
		}
	}
}

// patient is the client of the runs: it tries again until the store is there.
type patient struct {
	ctx   context.Context
	rt    *bide.Runtime
	fatal func(format string, args ...any) // does not return
	ids   []string

	last string // of the runs that had not ended at the last look
}

func (p *patient) try(what string, do func() error) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		err := do()
		var e *bide.Error
		if err == nil || errors.As(err, &e) && (e.Code == bide.CodeAlreadyDecided || e.Code == bide.CodeWrongStatus) {
			return
		}
		select {
		case <-pace.C:
		case <-p.ctx.Done():
			p.fatal("%s: %v", what, err)
		}
	}
}

func (p *patient) start(name string, n int) {
	wf := chaosWorkflows()[0]
	for i := range n {
		id := fmt.Sprint(name, "-", i)
		p.ids = append(p.ids, id)
		p.try("start", func() error {
			_, err := p.rt.Start(p.ctx, wf, nil, &bide.StartOptions{RunID: id})
			return err
		})
		if i%2 == 0 { // half of the events come before anybody waits
			p.event(id)
		}
	}
}

func (p *patient) event(id string) {
	p.try("event", func() error {
		return p.rt.Send(p.ctx, bide.Event{ID: "go-" + id, ScopeID: id, Name: "go", Payload: id})
	})
}

// serve answers what is open and returns how many runs have not ended.
func (p *patient) serve() (open int) {
	q := bide.WaitQuery{Limit: 1000}
	for {
		var page *bide.WaitPage
		p.try("waits", func() (err error) { page, err = p.rt.Waits(p.ctx, q); return err })
		for _, w := range page.Waits {
			run, _ := bide.WaitRun(w.ID)
			var answer any
			switch w.Kind {
			case bide.WaitQuestion:
				answer = "yes"
			case bide.WaitAttention:
				answer = bide.Attention{Type: bide.AttentionDone}
			case bide.WaitForEvent:
				p.event(run)
				continue
			default:
				continue
			}
			p.try("answer", func() error {
				_, err := p.rt.Resume(p.ctx, run, w.ID, answer, bide.Command{ID: "answer-" + w.ID})
				return err
			})
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for _, id := range p.ids {
		var run *bide.Run
		p.try("get", func() (err error) { run, err = p.rt.Get(p.ctx, id); return err })
		if !run.Status.Final() {
			open++
			p.last = fmt.Sprintf("%s is %s in step %d at record %d with %+v", id, run.Status, run.Step, run.Seq, run.Waits)
		}
	}
	return open
}

func (c chaos) check(t *testing.T, rt *bide.Runtime, dir string, ids []string) {
	ctx := context.Background()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	keyed := 0
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(f.Name(), "keyed-"):
			keyed++
		case info.Size() > 1:
			t.Errorf("%s happened %d times at most once", f.Name(), info.Size())
		}
	}
	if want := len(ids) * 5; keyed != want {
		t.Errorf("%d keyed side effects, want %d", keyed, want)
	}
	seen := 0
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := rt.Runs(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			seen++
			if r.Status != bide.StatusCompleted {
				t.Errorf("run %s of %s is %s", r.ID, r.Workflow, r.Status)
			}
			if _, err := rt.Verify(ctx, r.ID); err != nil {
				t.Errorf("verify %s: %v", r.ID, err)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if want := len(ids) * 5; seen != want {
		t.Errorf("%d runs in all, want %d", seen, want)
	}
	for _, id := range ids {
		run, err := rt.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := json.Marshal(id); string(run.Output) != string(want) {
			t.Errorf("run %s has output %s: not its event", id, run.Output)
		}
	}
}

// process is a worker process that is killed and stopped.
type process struct {
	t        *testing.T
	url, dir string
	cmd      *exec.Cmd
	gone     chan struct{} // closed when it has ended
}

func (p *process) start() {
	p.cmd = exec.Command(os.Args[0], "-test.run=^$")
	p.cmd.Env = append(os.Environ(), envStore+"="+p.url, envDir+"="+p.dir)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait() // killed: its error says no more
		close(gone)
	}(p.cmd, p.gone)
}

// hit kills the process, or stops it for longer than its lease. A stopped one
// goes on by itself, whatever it may hold that others wait for.
func (p *process) hit() {
	if rand.IntN(2) == 0 {
		p.kill()
		return
	}
	p.signal(syscall.SIGSTOP)
	stopped := p.cmd.Process
	time.AfterFunc(chaosLease*3/2, func() { _ = stopped.Signal(syscall.SIGCONT) }) // unless it was killed since
}

// revive starts a killed process again.
func (p *process) revive() {
	select {
	case <-p.gone:
		p.start()
	default:
	}
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.gone
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}
