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
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/worker"
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
	os.Exit(pgtest.Main(m))
}

// lease is short, so that what a killed server left is soon taken over by another.
const lease = 2 * time.Second

// serveInherited serves until SIGTERM.
func serveInherited(store string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, store, &engine.Options{Worker: worker.Options{Lease: lease}})
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

func newProcess(t *testing.T, store string) *process {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, store: store, file: file, url: "http://" + l.Addr().String()}
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

// restart ends a server, by a signal, and starts it again.
func (p *process) restart(sig syscall.Signal) {
	p.kill(sig)
	p.start()
}

// load starts runs and answers their questions, and remembers what was acknowledged.
type load struct {
	// servers are where: a run is started and answered at one, in turn, and followed at the next.
	servers []*client.Client

	mu   sync.Mutex
	done []acknowledged
	grew chan int // how many there are, after each
}

func newLoad(t *testing.T, runs int, servers ...*process) *load {
	l := &load{grew: make(chan int, 2*runs)}
	for _, p := range servers {
		opts := &client.Options{Token: "admin", Tries: 200, Pause: 5 * time.Millisecond, HTTP: &http.Client{}}
		c, err := client.New(p.url, opts)
		if err != nil {
			t.Fatal(err)
		}
		l.servers = append(l.servers, c)
	}
	return l
}

func (l *load) acked(run, command string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, acknowledged{run, command})
	l.grew <- len(l.done)
}

// one starts a run, waits for its question on its stream, and answers it.
func (l *load) one(ctx context.Context, n int) error {
	at, next := l.servers[n%len(l.servers)], l.servers[(n+1)%len(l.servers)]
	start := fmt.Sprintf("start-%d", n)
	run, err := at.Start(ctx, api.StartRun{Workflow: "approval", Input: bide.JSON(fmt.Sprintf(`{"amount":%d}`, n))}, start)
	if err != nil {
		return err
	}
	l.acked(run.ID, start)
	seq := int64(1)
	for rec, err := range next.Watch(ctx, run.ID, 0) {
		if err != nil {
			return fmt.Errorf("stream of run %s: %w", run.ID, err)
		}
		if rec.Seq != seq {
			return fmt.Errorf("run %s: record %d came where %d was due", run.ID, rec.Seq, seq)
		}
		seq++
		if rec.Kind != bide.KindWaitOpened {
			continue
		}
		answer := fmt.Sprintf("answer-%d", n)
		if _, err := at.Answer(ctx, run.ID+".1", "approve", answer); err != nil {
			return fmt.Errorf("answer %s: %w", run.ID, err)
		}
		l.acked(run.ID, answer)
	}
	return nil
}

// drive makes runs, so many at once, while each acknowledgement is told to whoever disturbs.
func (l *load) drive(ctx context.Context, t *testing.T, runs, at int, disturb func(acked int)) {
	var disturber, driving sync.WaitGroup
	disturber.Go(func() {
		for n := range l.grew {
			disturb(n)
		}
	})
	for d := range at {
		driving.Go(func() {
			for n := d; n < runs; n += at {
				if err := l.one(ctx, n); err != nil {
					t.Errorf("run %d: %v", n, err)
					return
				}
			}
		})
	}
	driving.Wait()
	close(l.grew)
	disturber.Wait()
	if len(l.done) != 2*runs {
		t.Errorf("%d commands were acknowledged, want %d", len(l.done), 2*runs)
	}
}

// everything follows the stream of everything until so many runs have ended, and returns where each ended. A record
// that is missing or comes twice fails the test.
func everything(ctx context.Context, t *testing.T, c *client.Client, runs int) map[string]bide.Position {
	ends, ended := map[string]bide.Position{}, 0
	for e, err := range c.WatchAll(ctx, bide.FeedQuery{}) {
		if err != nil {
			t.Errorf("the stream of everything, after %d of %d runs: %v", ended, runs, err)
			return ends
		}
		at := ends[e.RunID]
		if e.Record.Seq != at.Seq+1 || e.Record.Prev != at.Head {
			t.Errorf("run %s: record %d came after %d in the stream of everything", e.RunID, e.Record.Seq, at.Seq)
		}
		ends[e.RunID] = bide.Position{Seq: e.Record.Seq, Head: e.Record.Hash}
		if e.Record.Kind == bide.KindRunCompleted {
			if ended++; ended == runs {
				return ends
			}
		}
	}
	return ends
}

// check looks for every command that was acknowledged in the ledgers, and compares these with what streams told.
func (l *load) check(t *testing.T, streams []map[string]bide.Position) {
	t.Helper()
	ctx, c := t.Context(), l.servers[0]
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
		if err != nil {
			t.Fatal(err)
		}
		for i, ends := range streams {
			if ends[a.run] != (bide.Position{Seq: v.Records, Head: v.Head}) {
				t.Errorf("run %s: stream %d of everything ended at %v, the ledger at %+v", a.run, i, ends[a.run], v)
			}
		}
	}
}

// A server is killed again and again under load, once is told to end, and is started again: every command that was
// acknowledged is in the ledger once, and every stream goes on without gap or double.
func TestAServerThatIsKilledLosesNothingAndItsStreamsGoOn(t *testing.T) {
	const runs, drivers, readers = 120, 6, 20
	p := newProcess(t, "sqlite:"+filepath.Join(t.TempDir(), "bide.db"))
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	l := newLoad(t, runs, p)
	ends := make([]map[string]bide.Position, readers)
	var reading sync.WaitGroup
	for i := range ends {
		reading.Go(func() { ends[i] = everything(ctx, t, l.servers[0], runs) })
	}
	restarts := 0
	l.drive(ctx, t, runs, drivers, func(acked int) {
		switch {
		case acked == 120:
			p.restart(syscall.SIGTERM) // as an upgrade does it
		case acked%40 == 0:
			p.restart(syscall.SIGKILL)
		default:
			return
		}
		restarts++
	})
	reading.Wait()
	if restarts < 5 {
		t.Errorf("the server was started again %d times; the test shows too little", restarts)
	}
	l.check(t, ends)
}

// Of two servers on one PostgreSQL one is killed again and again under load: what is started and answered at one is
// followed at the other, wherever it is driven, and nothing is lost or comes twice.
func TestServersOnOnePostgreSQLStandInForEachOther(t *testing.T) {
	const runs, drivers = 60, 6
	store := pgtest.Start(t)
	a, b := newProcess(t, store), newProcess(t, store)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	l := newLoad(t, runs, a, b)
	ends := make([]map[string]bide.Position, 2*len(l.servers))
	var reading sync.WaitGroup
	for i := range ends {
		reading.Go(func() { ends[i] = everything(ctx, t, l.servers[i%2], runs) })
	}
	kills := 0
	l.drive(ctx, t, runs, drivers, func(acked int) {
		if acked%40 == 20 {
			[]*process{a, b, a}[kills].restart(syscall.SIGKILL)
			kills++
		}
	})
	reading.Wait()
	if kills != 3 {
		t.Errorf("servers were killed %d times, want 3", kills)
	}
	l.check(t, ends)
}
