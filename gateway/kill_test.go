package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
)

// serverVariable makes the test binary a server over the store that it names, on the listener that it inherits.
const serverVariable = "BIDE_TEST_SERVER"

func TestMain(m *testing.M) {
	if store := os.Getenv(serverVariable); store != "" {
		if err := serveInherited(store); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveInherited serves until SIGTERM.
func serveInherited(store string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, store, nil)
	if err != nil {
		return err
	}
	flow.Handle(e.Runtime, nil)
	if err := flow.Publish(ctx, e.Runtime, flow.MustParse("approval.yaml", []byte(approval))); err != nil {
		return err
	}
	srv, err := gateway.New(e.Runtime, e.Store(), &gateway.Options{Authenticate: byToken, Worker: e.Worker()})
	if err != nil {
		return err
	}
	return errors.Join(srv.Serve(ctx, l), e.Close(context.WithoutCancel(ctx)))
}

// process is a server in a process of its own, to be killed and started again behind the same listener.
type process struct {
	t     *testing.T
	store string
	file  *os.File
	url   string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func newProcess(t *testing.T) *process {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, store: "sqlite:" + filepath.Join(t.TempDir(), "bide.db"), file: file, url: "http://" + l.Addr().String()}
	if err := l.Close(); err != nil { // the file stays open: who comes meanwhile waits
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(func() {
		p.kill(syscall.SIGKILL)
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *process) start() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"="+p.store)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{p.file}, os.Stderr
	if err := cmd.Start(); err != nil {
		p.t.Error(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = cmd
}

func (p *process) kill(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Error(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Error(err)
	}
}

// acknowledged is a command that a server said was done.
type acknowledged struct{ run, command string }

// load starts runs and answers their questions, and remembers what was acknowledged.
type load struct {
	c *client.Client

	mu   sync.Mutex
	done []acknowledged
	grew chan int // how many there are, after each
}

func (l *load) acked(run, command string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, acknowledged{run, command})
	l.grew <- len(l.done)
}

// one starts a run, waits for its question on its stream, and answers it.
func (l *load) one(ctx context.Context, n int) error {
	start := fmt.Sprintf("start-%d", n)
	run, err := l.c.Start(ctx, api.StartRun{Workflow: "approval", Input: bide.JSON(fmt.Sprintf(`{"amount":%d}`, n))}, start)
	if err != nil {
		return err
	}
	l.acked(run.ID, start)
	next := int64(1)
	for rec, err := range l.c.Watch(ctx, run.ID, 0) {
		if err != nil {
			return fmt.Errorf("stream of run %s: %w", run.ID, err)
		}
		if rec.Seq != next {
			return fmt.Errorf("run %s: record %d came where %d was due", run.ID, rec.Seq, next)
		}
		next++
		if rec.Kind != bide.KindWaitOpened {
			continue
		}
		answer := fmt.Sprintf("answer-%d", n)
		if _, err := l.c.Answer(ctx, run.ID+".1", "approve", answer); err != nil {
			return fmt.Errorf("answer %s: %w", run.ID, err)
		}
		l.acked(run.ID, answer)
	}
	return nil
}

// A server is killed again and again under load, once is told to end, and is started again: every command that was
// acknowledged is in the ledger once, and every stream goes on without gap or double.
func TestAServerThatIsKilledLosesNothingAndItsStreamsGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	const runs, drivers = 120, 6
	p := newProcess(t)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	opts := &client.Options{Token: "admin", Tries: 200, Pause: 5 * time.Millisecond, HTTP: &http.Client{}}
	c := bide.Must(client.New(p.url, opts))
	l := &load{c: c, grew: make(chan int, 4*runs)}

	restarts := 0
	var killer sync.WaitGroup
	killer.Go(func() {
		next := 40
		for n := range l.grew {
			if n < next {
				continue
			}
			sig := syscall.SIGKILL
			if next == 120 {
				sig = syscall.SIGTERM // as an upgrade does it
			}
			p.kill(sig)
			p.start()
			next += 40
			restarts++
		}
	})
	ends := map[string]bide.Position{} // by run, as the stream of everything tells it
	var watcher sync.WaitGroup
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	watcher.Go(func() {
		ended := 0
		for e, err := range c.WatchAll(watching, bide.FeedQuery{}) {
			if err != nil {
				t.Errorf("the stream of everything: %v", err)
				return
			}
			at := ends[e.RunID]
			if e.Record.Seq != at.Seq+1 || e.Record.Prev != at.Head {
				t.Errorf("run %s: record %d came after %d in the stream of everything", e.RunID, e.Record.Seq, at.Seq)
			}
			ends[e.RunID] = bide.Position{Seq: e.Record.Seq, Head: e.Record.Hash}
			if e.Record.Kind == bide.KindRunCompleted {
				if ended++; ended == runs {
					return
				}
			}
		}
	})
	var driving sync.WaitGroup
	for d := range drivers {
		driving.Go(func() {
			for n := d; n < runs; n += drivers {
				if err := l.one(ctx, n); err != nil {
					t.Errorf("run %d: %v", n, err)
					unwatch()
					return
				}
			}
		})
	}
	driving.Wait()
	close(l.grew)
	killer.Wait()
	watcher.Wait()
	if restarts < 5 {
		t.Errorf("the server was started again %d times; the test shows too little", restarts)
	}
	if len(l.done) != 2*runs {
		t.Errorf("%d commands were acknowledged, want %d", len(l.done), 2*runs)
	}
	for _, a := range l.done {
		times := 0
		for rec, err := range c.Ledger(ctx, a.run, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Command == a.command && (rec.Kind == bide.KindRunStarted || rec.Kind == bide.KindWaitResolved) {
				times++
			}
		}
		if times != 1 {
			t.Errorf("command %s is %d times in the ledger of run %s", a.command, times, a.run)
		}
		v, err := c.Verify(ctx, a.run)
		if err != nil || ends[a.run] != (bide.Position{Seq: v.Records, Head: v.Head}) {
			t.Errorf("run %s: the stream of everything ended at %v, the ledger at %+v (%v)", a.run, ends[a.run], v, err)
		}
	}
}
