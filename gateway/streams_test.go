package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/sqlite"
)

// event is one event of a stream.
type event struct{ ID, Name, Data string }

// follower reads a stream.
type follower struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
	stop context.CancelFunc
}

// follow opens a stream of a server that listens.
func follow(t *testing.T, url, as string, header ...string) *follower {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+as)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t, resp, bufio.NewReader(resp.Body), stop}
	t.Cleanup(f.close)
	return f
}

func (f *follower) close() {
	f.stop()
	_ = f.resp.Body.Close() // it was cut off on purpose
}

// next returns the next event that has a name or an id.
func (f *follower) next() (event, error) {
	var e event
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		switch name {
		case "":
			if e != (event{}) {
				return e, nil
			}
		case "id":
			e.ID = value
		case "event":
			e.Name = value
		case "data":
			e.Data = value
		}
	}
}

// must returns the next event.
func (f *follower) must() event {
	f.t.Helper()
	e, err := f.next()
	if err != nil {
		f.t.Fatalf("the stream ended: %v", err)
	}
	return e
}

// kinds reads n records and says what they are.
func (f *follower) kinds(n int) (kinds []string) {
	f.t.Helper()
	for range n {
		kinds = append(kinds, kindOf(f.t, f.must()))
	}
	return kinds
}

func kindOf(t *testing.T, e event) string {
	t.Helper()
	var entry struct{ Record bide.Record }
	if err := json.Unmarshal([]byte(e.Data), &entry); err != nil || e.Name != "record" {
		t.Fatalf("event %v is no record: %v", e, err)
	}
	return string(entry.Record.Kind)
}

func (s *server) listen() string {
	s.t.Helper()
	ts := httptest.NewServer(s)
	s.t.Cleanup(func() {
		s.Close() // streams end, so that the server can
		ts.Close()
	})
	return ts.URL
}

func TestTheStreamOfARunTellsItFromBeginningToEnd(t *testing.T) {
	s := newServer(t, nil)
	url := s.listen()
	run := s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	f := follow(t, url+"/v1/runs/"+run.ID+"/stream", "viewer")
	if ct := f.resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %q", ct)
	}
	first := f.must()
	if kindOf(t, first) != "run.started" || first.ID != "1" {
		t.Errorf("the first event is %v", first)
	}
	if got := f.kinds(3); got[2] != "wait.opened" {
		t.Errorf("then came %q", got)
	}
	if _, err := s.rt.Resume(t.Context(), run.ID, run.Waits[0].ID, "approve"); err != nil {
		t.Fatal(err)
	}
	s.tick(run.ID)
	var last, before event
	for last = f.must(); last.Name == "record"; last = f.must() {
		before = last
	}
	if kindOf(t, before) != "run.completed" || last.Name != "end" || last.Data != fmt.Sprintf(`{"run_id":%q,"status":"completed"}`, run.ID) {
		t.Errorf("it ended with %v, %v", before, last)
	}
	if _, err := f.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	again := follow(t, url+"/v1/runs/"+run.ID+"/stream", "viewer", "Last-Event-ID", before.ID)
	if again.resp.StatusCode != http.StatusNoContent {
		t.Errorf("asked again after the end: %d", again.resp.StatusCode)
	}
}

// What was read before is not read again, and nothing is left out, wherever a reader was cut off.
func TestAStreamGoesOnWhereAReaderWasCutOff(t *testing.T) {
	s := newServer(t, nil)
	url := s.listen()
	run := s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	if _, err := s.rt.Cancel(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/runs/" + run.ID + "/stream", "/v1/runs/" + run.ID + "/tree/stream", "/v1/stream?after=0"} {
		var whole []event
		f := follow(t, url+path, "viewer")
		for {
			e := f.must()
			if whole = append(whole, e); kindOf(t, e) == "run.cancelled" {
				break
			}
		}
		f.close()
		if len(whole) < 5 {
			t.Fatalf("%s gave %v", path, whole)
		}
		for cut := range len(whole) - 1 {
			rest := follow(t, url+path, "viewer", "Last-Event-ID", whole[cut].ID)
			for _, want := range whole[cut+1:] {
				if got := rest.must(); got != want {
					t.Fatalf("%s after %s = %v, want %v", path, whole[cut].ID, got, want)
				}
			}
			rest.close()
		}
	}
}

func TestStreamsOfManyRunsShowWhatTheReaderSees(t *testing.T) {
	s := newServer(t, &gateway.Options{Heartbeat: 5 * time.Millisecond})
	url := s.listen()
	theirs := follow(t, url+"/v1/stream", "viewer@acme")
	s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	passed := theirs.must() // they are told where they are, not what there was
	if passed.Name != "" || passed.ID == "" {
		t.Errorf("the first thing they hear is %v", passed)
	}
	run := s.start("operator@acme", `{"workflow":"approval","input":{"amount":2}}`)
	for {
		e := theirs.must()
		if e.Name == "" {
			continue
		}
		var entry api.StreamEntry
		if err := json.Unmarshal([]byte(e.Data), &entry); err != nil || entry.RunID != run.ID {
			t.Errorf("they heard %v (%v)", e, err)
		}
		break
	}
}

func TestTheInboxStreamShowsWaitsComeAndGo(t *testing.T) {
	s := newServer(t, nil)
	url := s.listen()
	run := s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	s.start("operator@acme", `{"workflow":"approval","input":{"amount":1}}`)
	f := follow(t, url+"/v1/waits/stream?kind=question", "viewer")
	read := func() (c api.WaitChange) {
		t.Helper()
		e := f.must()
		if err := json.Unmarshal([]byte(e.Data), &c); err != nil || e.Name != "wait" {
			t.Fatalf("event %v: %v", e, err)
		}
		return c
	}
	if e := f.must(); e.Name != "reset" {
		t.Errorf("it begins with %v", e)
	}
	if c := read(); c.Wait.ID != run.Waits[0].ID || c.Closed || c.Wait.Status != api.WaitOpen {
		t.Errorf("the open wait is %+v", c)
	}
	other := s.start("operator", `{"workflow":"approval","input":{"amount":2}}`)
	if c := read(); c.Wait.RunID != other.ID || c.Closed {
		t.Errorf("the new wait is %+v", c)
	}
	if got := s.ask("approver", http.MethodPost, "/v1/waits/"+run.Waits[0].ID+"/answer", `{"answer":"approve"}`); got.Status != 200 {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	if c := read(); c.Wait.ID != run.Waits[0].ID || !c.Closed || c.Wait.Status != api.WaitClosed {
		t.Errorf("the answered wait is %+v", c)
	}
}

// patient is a model that says one thing, and ends when that was heard.
type patient chan struct{}

func (p patient) Generate(ctx context.Context, req *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	emit(llm.Delta{Part: llm.Text("hello there")})
	select {
	case <-p:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &llm.Response{Message: llm.Assistant("hello there"), Finish: llm.FinishStop}, nil
}

// What a model says comes live on the stream of its run, and its answer as a record.
func TestTheStreamOfARunHasWhatAModelSaysWhileItSaysIt(t *testing.T) {
	heard := make(chan struct{})
	models, err := llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"test": {Kind: "patient"}}},
		llm.Kinds{"patient": func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return patient(heard), nil }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, &gateway.Options{Deltas: models.Deltas(), Workflows: []bide.Workflow{{ID: "talk", Version: "1", Entry: "say", Nodes: bide.Nodes{"say": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(llm.Call(llm.Request{Model: "test/greet", Messages: []llm.Message{llm.User("hi")}}).As("reply")).ThenCompleteWith("reply"), nil
	}}}}})
	s.rt.Handle(llm.Type, models.Handle)
	url := s.listen()
	got := s.ask("operator", http.MethodPost, "/v1/runs", `{"workflow":"talk"}`)
	id := got.field(t, "run_id")
	f := follow(t, url+"/v1/runs/"+id+"/stream", "viewer")
	f.must()
	said := make(chan error, 1)
	go func() {
		_, err := s.rt.Tick(context.WithoutCancel(t.Context()), id)
		said <- err
	}()
	var told []string
	for e := f.must(); e.Name != "end"; e = f.must() {
		if e.Name == "record" {
			told = append(told, kindOf(t, e))
			continue
		}
		var d llm.Event
		if err := json.Unmarshal([]byte(e.Data), &d); err != nil || e.ID != "" {
			t.Errorf("event %v: %v", e, err)
		}
		if told = append(told, string(d.Kind)); d.Delta != nil {
			told = append(told, d.Delta.Part.Text)
			close(heard)
		}
	}
	wantSpoken(t, told)
	if err := <-said; err != nil {
		t.Error(err)
	}
}

// wantSpoken checks that what a model said was told before the record of it.
func wantSpoken(t *testing.T, told []string) {
	t.Helper()
	told = slices.DeleteFunc(told, func(kind string) bool { return kind == "step.planned" }) // it may come after the first text
	at := slices.Index(told, "started")
	if at < 0 || !slices.Equal(told[at:], []string{"started", "delta", "hello there", "ended", "effect.completed", "run.completed"}) {
		t.Errorf("the reader was told %q", told)
	}
}

// A server is stopped and another one started over the same store: readers go on with what they had.
func TestStreamsGoOnAcrossARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bide.db")
	var run *bide.Run
	var seen []string
	last := ""
	for round := range 4 {
		store := bide.Must(sqlite.Open(t.Context(), path, nil))
		s := serverOver(t, store, nil)
		ctx, stop := context.WithCancel(t.Context())
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		if run == nil {
			run = s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
		}
		f := follow(t, "http://"+l.Addr().String()+"/v1/runs/"+run.ID+"/tree/stream", "viewer", "Last-Event-ID", last)
		change := s.rt.Pause
		if round%2 == 1 {
			change = s.rt.Unpause
		}
		after, err := change(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		for len(seen) < int(after.Seq) {
			e := f.must()
			seen, last = append(seen, kindOf(t, e)), e.ID
		}
		stop() // gracefully: the stream is ended, and the server does not wait for its reader
		if e, err := f.next(); !errors.Is(err, io.EOF) {
			t.Errorf("the closing server sent %v, %v", e, err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	want := []string{"run.started", "step.planned", "step.planned", "wait.opened", "run.paused", "run.unpaused", "run.paused", "run.unpaused"}
	if !slices.Equal(seen, want) {
		t.Errorf("over four servers the reader saw %q, want %q", seen, want)
	}
}

// A reader that takes nothing is dropped; the others and the server go on.
func TestASlowReaderIsDropped(t *testing.T) {
	s := newServer(t, &gateway.Options{WriteTime: 50 * time.Millisecond})
	url := s.listen()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "GET /v1/stream?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 500_000)
	for i := 0; ; i++ {
		s.start("operator", fmt.Sprintf(`{"workflow":"approval","input":{"amount":%d,"note":%q}}`, i, big))
		if got := string(s.ask("admin", http.MethodGet, "/metrics", "").Body); strings.Contains(got, "bide_streams_dropped_total 1") {
			return
		}
		if i > 200 {
			t.Fatal("a reader that takes nothing is still there after 100 MB")
		}
	}
}

// One principal leaves streams for others.
func TestNobodyTakesAllStreams(t *testing.T) {
	s := newServer(t, &gateway.Options{Streams: 2})
	url := s.listen()
	one := follow(t, url+"/v1/waits/stream", "viewer")
	one.must()
	if got := s.ask("viewer", http.MethodGet, "/v1/waits/stream", ""); got.Status != http.StatusTooManyRequests {
		t.Errorf("a second stream of one principal = %d %s", got.Status, got.Body)
	}
	other := follow(t, url+"/v1/waits/stream", "viewer@acme")
	other.must()
}

func TestStreamsAreLimited(t *testing.T) {
	s := newServer(t, &gateway.Options{Streams: 1})
	url := s.listen()
	one := follow(t, url+"/v1/waits/stream", "viewer")
	one.must()
	if got := s.ask("viewer", http.MethodGet, "/v1/waits/stream", ""); got.Status != http.StatusTooManyRequests || got.field(t, "code") != "too_many" {
		t.Errorf("the second stream = %d %s", got.Status, got.Body)
	}
	s.Close()
	if got := s.ask("viewer", http.MethodGet, "/v1/stream", ""); got.Status != http.StatusServiceUnavailable {
		t.Errorf("a stream of a closing server = %d", got.Status)
	}
	if got := s.ask("", http.MethodGet, "/readyz", ""); got.Status != http.StatusServiceUnavailable || got.field(t, "status") != "closing" {
		t.Errorf("readiness of a closing server = %d %s", got.Status, got.Body)
	}
}

// Two servers share a store: a stream of one tells what the other did, and its ids lead on at the other.
func TestAStreamTellsWhatAnotherServerDid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bide.db")
	var servers []*server
	var urls []string
	for range 2 {
		store := bide.Must(sqlite.Open(t.Context(), path, nil))
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		s := serverOf(t, bide.Must(bide.New(store, &bide.Options{Poll: 5 * time.Millisecond})), store, nil)
		servers, urls = append(servers, s), append(urls, s.listen())
	}
	f := follow(t, urls[1]+"/v1/stream", "viewer")
	run := servers[0].start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	var last event
	for last = f.must(); kindOf(t, last) != "wait.opened"; {
		last = f.must()
	}
	if got := servers[1].ask("approver", http.MethodPost, "/v1/waits/"+run.Waits[0].ID+"/answer", `{"answer":"approve"}`); got.Status != 200 {
		t.Fatalf("the answer at the other server = %d %s", got.Status, got.Body)
	}
	servers[0].tick(run.ID)
	rest := follow(t, urls[0]+"/v1/stream", "viewer", "Last-Event-ID", last.ID)
	for _, want := range []string{"wait.resolved", "step.planned", "run.completed"} {
		if got, there := kindOf(t, f.must()), kindOf(t, rest.must()); got != want || there != want {
			t.Errorf("the streams tell %s and %s, want %s", got, there, want)
		}
	}
}

// lateEnd is a store that says where its feed ends only when something was started, or nobody starts anything.
type lateEnd struct {
	gateway.Store
	started chan struct{}
}

func (s *lateEnd) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	if q.After == bide.FeedEnd {
		select {
		case <-s.started:
		case <-time.After(100 * time.Millisecond):
		}
	}
	return s.Store.Feed(ctx, q)
}

func TestWhoHasAnOpenStreamHearsOfWhatIsStartedThen(t *testing.T) {
	store := &lateEnd{mem.New(), make(chan struct{})}
	s := serverOver(t, store, nil)
	f := follow(t, s.listen()+"/v1/stream", "viewer")
	s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	close(store.started)
	if got := kindOf(t, f.must()); got != "run.started" {
		t.Errorf("the first record is %s, want run.started", got)
	}
}
