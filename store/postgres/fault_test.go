package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

// proxy passes on what clients and a server say, until it is told to cut.
type proxy struct {
	dir    string
	target string
	cut    atomic.Bool // drop the next answer that ends a transaction, and the connection with it
	cuts   atomic.Int32
	// statements is how many the clients have sent.
	statements atomic.Int64
	one        sync.Mutex
	when       func() bool // if not nil, says whether it is time to cut
}

// ended is how the server says that it is ready, outside of any transaction.
var ended = []byte{'Z', 0, 0, 0, 5, 'I'}

func newProxy(t *testing.T, server *pgtest.Server) *proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxy") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{dir: dir, target: server.Socket()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.pass(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
		os.RemoveAll(dir)
	})
	return p
}

func (p *proxy) url() string { return "postgres://postgres@/postgres?port=5432&host=" + p.dir }

// pass serves one connection until one side ends it.
func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		copyUntil(server, client, p.count())
	}()
	copyUntil(client, server, func(b []byte) bool {
		if !bytes.HasSuffix(b, ended) {
			return false
		}
		p.one.Lock() // while one answer is looked at, no other passes by
		defer p.one.Unlock()
		if !p.cut.Load() || p.when != nil && !p.when() {
			return false
		}
		p.cut.Store(false)
		p.cuts.Add(1)
		return true
	})
}

// copyUntil copies until stop says that a piece is not to be passed on.
func copyUntil(to, from net.Conn, stop func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || stop(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// count returns what counts the statements that a client sends over one connection.
func (p *proxy) count() func([]byte) bool {
	var left []byte
	started := false
	return func(b []byte) bool {
		left = append(left, b...)
		for {
			head := 5
			if !started {
				head = 4 // the first message has no kind
			}
			if len(left) < head {
				return false
			}
			n := int(binary.BigEndian.Uint32(left[head-4:])) + head - 4
			if len(left) < n {
				return false
			}
			if started && (left[0] == 'Q' || left[0] == 'E') {
				p.statements.Add(1)
			}
			started, left = true, left[n:]
		}
	}
}

// TestACommitWhoseAnswerIsLostIsAppliedOnce cuts connections after the server
// has done what it was asked to, and before the store hears of it.
func TestACommitWhoseAnswerIsLostIsAppliedOnce(t *testing.T) {
	server := pgtest.NewServer(t)
	p := newProxy(t, server)
	s := open(t, p.url(), &postgres.Options{Committers: 1, Sweep: time.Hour})
	c := storetest.NewChain("run")
	c.Info.Status = bide.StatusWaiting
	first := c.Next(1)
	first.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitForEvent, Key: "k", CreatedAt: start}}
	must(t, s, first)
	var want int64 = 1
	for i := range 20 {
		commit := c.Next(2)
		commit.Send = []bide.Message{{ID: commit.Info.Head.String(), To: "run", Key: "k", At: start}}
		commit.Starts = []*bide.Commit{storetest.NewChain(commit.Info.Head.String()).Next(1)}
		p.cut.Store(i%3 < 2)
		must(t, s, commit)
		want += 2
		if got := load(t, s, "run"); got.Seq != want || int64(len(got.Records)) != want || len(got.Mail) != i+1 {
			t.Fatalf("after commit %d the run is at record %d with %d records and %d messages, want %d", i, got.Seq, len(got.Records), len(got.Mail), want)
		}
	}
	if p.cuts.Load() < 10 {
		t.Fatalf("the proxy cut %d connections", p.cuts.Load())
	}
	if _, err := s.SweepOnce(t.Context(), -time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := load(t, s, "run"); got.MailSeq != 20 {
		t.Errorf("the run was told of %d messages, want 20", got.MailSeq)
	}
	last := c.Next(1)
	last.Took = []string{load(t, s, "run").Mail[0].ID}
	p.cut.Store(true)
	must(t, s, last) // the cut may hit the search for the message or the commit
	if got := load(t, s, "run"); len(got.Mail) != 19 {
		t.Errorf("the run has %d messages, want 19", len(got.Mail))
	}
	end := &bide.Commit{RunID: "run", Expect: last.Info.Position(), Delete: true}
	p.cut.Store(true)
	must(t, s, end)
	_, err := s.Load(t.Context(), "run", bide.Position{})
	wantCode(t, "Load of a run that was deleted", err, bide.CodeNotFound)
}

// TestACommitIsRecognizedWhenOthersWentOn lets another store continue the run
// before the first one learns that its commit was applied.
func TestACommitIsRecognizedWhenOthersWentOn(t *testing.T) {
	server := pgtest.NewServer(t)
	p := newProxy(t, server)
	here, there := open(t, p.url(), &postgres.Options{Committers: 1, Sweep: time.Hour}), open(t, server.URL(), nil)
	c := storetest.NewChain("run")
	c.Info.Status = bide.StatusWaiting
	must(t, here, c.Next(1))
	commit, after := c.Next(2), c.Next(1)
	p.when = func() bool {
		if load(t, there, "run").Position != commit.Info.Position() {
			return false // the answer is to something else
		}
		must(t, there, after)
		return true
	}
	p.cut.Store(true)
	must(t, here, commit)
	if got := load(t, there, "run"); got.Position != after.Info.Position() || p.cuts.Load() != 1 {
		t.Errorf("the run is at record %d after %d cuts, want %d after one", got.Seq, p.cuts.Load(), after.Info.Seq)
	}
	wantCode(t, "Commit of what was acknowledged before", here.Commit(t.Context(), commit), bide.CodeConflict)
}

// TestACommitWhoseServerProcessIsKilledIsAppliedOnce ends the server's side of a
// connection while a commit waits there for a lock.
func TestACommitWhoseServerProcessIsKilledIsAppliedOnce(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Committers: 1})
	conn, other := connect(t, url), connect(t, url)
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	run(t, conn, "BEGIN")
	run(t, conn, "SELECT 1 FROM runs FOR UPDATE")
	commit := c.Next(1)
	done := make(chan error)
	go func() { done <- s.Commit(context.Background(), commit) }()
	for killed := 0; killed == 0; {
		err := other.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&killed)
		if err != nil {
			t.Fatal(err)
		}
	}
	run(t, conn, "COMMIT")
	if err := <-done; err != nil {
		t.Errorf("Commit = %v", err)
	}
	if got := load(t, s, "run"); got.Seq != 2 || len(got.Records) != 2 {
		t.Errorf("the run is at record %d with %d records, want 2", got.Seq, len(got.Records))
	}
}

func TestAStoreOutlivesItsServer(t *testing.T) {
	server := pgtest.NewServer(t)
	s := open(t, server.URL(), nil)
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	for name, stop := range map[string]func(testing.TB){"stopped": server.Stop, "killed": server.Kill} {
		stop(t)
		var all sync.WaitGroup
		for i := range 10 {
			commit := storetest.NewChain(name + string(rune('a'+i))).Next(1)
			all.Go(func() { // it waits for the server
				if err := s.Commit(context.Background(), commit); err != nil {
					t.Errorf("Commit while the server is %s = %v", name, err)
				}
			})
		}
		next := c.Next(1)
		all.Go(func() {
			if err := s.Commit(context.Background(), next); err != nil {
				t.Errorf("Commit while the server is %s = %v", name, err)
			}
		})
		_, err := s.Load(t.Context(), "run", bide.Position{})
		wantCode(t, "Load while the server is "+name, err, bide.CodeStoreUnavailable)
		server.Start(t)
		all.Wait()
		if got := load(t, s, "run"); got.Position != next.Info.Position() {
			t.Errorf("the run is at record %d, want %d", got.Seq, next.Info.Seq)
		}
	}
}

func TestACommitDoesNotWaitForeverForAServer(t *testing.T) {
	server := pgtest.NewServer(t)
	s := open(t, server.URL(), &postgres.Options{Patience: 20 * time.Millisecond})
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	server.Stop(t)
	next := c.Next(1)
	wantCode(t, "Commit", s.Commit(t.Context(), next), bide.CodeStoreUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, next); err != context.Canceled {
		t.Errorf("Commit = %v, want context.Canceled", err)
	}
	server.Start(t)
	for err := error(bide.ErrConflict); err != nil; { // until the connection is there again
		if err = s.Commit(t.Context(), next); err != nil {
			wantCode(t, "Commit", err, bide.CodeStoreUnavailable)
		}
	}
	if got := load(t, s, "run"); got.Seq != 2 {
		t.Errorf("the run is at record %d, want 2", got.Seq)
	}
}

func TestCloseDoesNotWaitForAServerThatIsGone(t *testing.T) {
	server := pgtest.NewServer(t)
	s := open(t, server.URL(), &postgres.Options{Committers: 1})
	c := storetest.NewChain("run")
	must(t, s, c.Next(1))
	server.Stop(t)
	done := make(chan error)
	go func() { done <- s.Commit(context.Background(), c.Next(1)) }()
	for first := true; first; first = s.Queued() > 0 {
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := <-done; err == nil {
		t.Error("a commit that the server did not get was acknowledged")
	}
}

// TestADocumentWhoseAnswerIsLostIsStoredOnce cuts connections after the server
// has stored a document.
func TestADocumentWhoseAnswerIsLostIsStoredOnce(t *testing.T) {
	p := newProxy(t, pgtest.NewServer(t))
	s := open(t, p.url(), &postgres.Options{Sweep: time.Hour})
	d := bide.Document{Kind: "flow", ID: "a", Body: bide.JSON(`1`), UpdatedAt: start}
	for range 4 {
		if _, err := s.Documents(t.Context(), bide.DocumentQuery{Kind: "flow"}); err != nil { // there is a connection then
			t.Fatal(err)
		}
		cuts := p.cuts.Load()
		p.cut.Store(true)
		rev, err := s.PutDocument(t.Context(), d)
		if err != nil || rev != d.Rev+1 || p.cuts.Load() == cuts {
			t.Fatalf("PutDocument at revision %d = %d, %v", d.Rev, rev, err)
		}
		d.Rev = rev
	}
	wantDocument := func(want int) {
		if page, err := s.Documents(t.Context(), bide.DocumentQuery{Kind: "flow"}); err != nil || len(page.Documents) != want {
			t.Errorf("Documents = %v, %v, want %d", page, err, want)
		}
	}
	wantDocument(1)
	p.cut.Store(true)
	if err := s.DeleteDocument(t.Context(), "flow", "a", d.Rev); err != nil {
		t.Errorf("DeleteDocument = %v", err)
	}
	wantDocument(0)
}
