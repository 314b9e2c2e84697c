package gateway_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/store/mem"
)

// Sent again with the same Idempotency-Key, a change is made once and answered as the first time.
func TestAChangeSentAgainIsMadeOnce(t *testing.T) {
	s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{broken()}})
	f := s.fixtures()
	again := func(as, method, path, body, key string, status int) *reply {
		t.Helper()
		first := s.ask(as, method, path, body, "Idempotency-Key", key)
		second := s.ask(as, method, path, body, "Idempotency-Key", key)
		if first.Status != status || second.Status != status {
			t.Fatalf("%s %s = %d %s, then %d %s, want %d both times", method, path, first.Status, first.Body, second.Status, second.Body, status)
		}
		if string(first.Body) != string(second.Body) {
			t.Errorf("%s %s = %s, then %s", method, path, first.Body, second.Body)
		}
		return second
	}
	run := again("operator", "POST", "/v1/runs", `{"workflow":"approval","input":{"amount":5}}`, "s1", 201)
	again("operator", "POST", "/v1/runs/"+f["waiting"]+"/pause", "", "p1", 200)
	again("operator", "POST", "/v1/runs/"+f["waiting"]+"/unpause", "", "u1", 200)
	answered := again("approver", "POST", "/v1/waits/"+f["wait"]+"/answer", `{"answer":"approve"}`, "a1", 200)
	if other := s.ask("admin", "POST", "/v1/waits/"+f["wait"]+"/answer", `{"answer":"approve"}`); string(other.Body) != string(answered.Body) {
		t.Errorf("the same answer from somebody else = %s, want %s", other.Body, answered.Body)
	}
	again("operator", "POST", "/v1/runs/"+f["failed"]+"/retry", "", "r1", 200)
	again("operator", "POST", "/v1/events", `{"scope":"session","scope_id":"x","name":"paid"}`, "e1", 202)
	again("author", "POST", "/v1/schedules", `{"name":"weekly","cron":"@weekly","workflow":"approval","input":{"amount":1}}`, "c1", 201)
	again("author", "DELETE", "/v1/schedules/weekly", "", "d1", 204)
	again("operator", "DELETE", "/v1/runs/"+f["done"], "", "d2", 204)
	if gone := s.ask("operator", "DELETE", "/v1/runs/"+f["done"], "", "Idempotency-Key", "d3"); gone.Status != 404 {
		t.Errorf("another command to delete what is gone = %d", gone.Status)
	}
	status := s.ask("viewer", "GET", "/v1/runs/"+run.field(t, "run_id")+"/commands/s1", "")
	if status.Status != 200 || status.field(t, "seq") != "1" {
		t.Errorf("the command s1 = %d %s", status.Status, status.Body)
	}
	for _, body := range []string{`{"workflow":"approval","input":{"amount":6}}`, `{"workflow":"broken"}`} {
		if got := s.ask("operator", "POST", "/v1/runs", body, "Idempotency-Key", "s1"); got.Status != 422 || got.field(t, "code") != "command_reused" {
			t.Errorf("key s1 for %s = %d %s", body, got.Status, got.Body)
		}
	}
	theirs := s.ask("operator@acme", "POST", "/v1/runs", `{"workflow":"approval","input":{"amount":5}}`, "Idempotency-Key", "s1")
	if theirs.Status != 201 || theirs.field(t, "run_id") == run.field(t, "run_id") {
		t.Errorf("the same key in another namespace = %d %s", theirs.Status, theirs.Body)
	}
}

// Pages put together are the whole, without gap or double.
func TestPagesPutTogetherAreTheWhole(t *testing.T) {
	s := newServer(t, nil)
	want := 23
	for i := range want {
		s.start("operator", fmt.Sprintf(`{"workflow":"approval","input":{"amount":%d}}`, i))
		s.start("operator@acme", fmt.Sprintf(`{"workflow":"approval","input":{"amount":%d}}`, i))
	}
	for _, c := range []struct{ path, list, id string }{{"/v1/runs?limit=5", "runs", "run_id"}, {"/v1/waits?limit=5", "waits", "wait_id"}} {
		seen := map[string]bool{}
		for cursor, pages := "", 0; ; pages++ {
			got := s.ask("viewer", "GET", c.path+"&cursor="+cursor, "")
			var page map[string]any
			got.into(t, &page)
			for _, item := range page[c.list].([]any) {
				id := item.(map[string]any)[c.id].(string)
				if seen[id] {
					t.Errorf("%s: %s comes twice", c.path, id)
				}
				seen[id] = true
			}
			next, more := page["next"].(string)
			if cursor = next; !more {
				break
			}
			if pages > 50 {
				t.Fatalf("%s has no end", c.path)
			}
		}
		if len(seen) != want {
			t.Errorf("%s: %d came, want %d", c.path, len(seen), want)
		}
	}
}

func TestWhatIsTooMuchIsRefused(t *testing.T) {
	s := newServer(t, &gateway.Options{BodyBytes: 2000, ArtifactBytes: 3000})
	big := `{"workflow":"approval","input":{"amount":1,"note":"` + strings.Repeat("x", 3000) + `"}}`
	if got := s.ask("operator", "POST", "/v1/runs", big); got.Status != 413 || got.field(t, "code") != "too_large" {
		t.Errorf("a large body = %d %s", got.Status, got.Body)
	}
	if got := s.ask("operator", "POST", "/v1/artifacts", strings.Repeat("x", 3001)); got.Status != 413 || got.field(t, "code") != "too_large" {
		t.Errorf("a large artifact = %d %s", got.Status, got.Body)
	}
	if got := s.ask("operator", "POST", "/v1/runs", `{"workflow":"approval"}`, "Idempotency-Key", strings.Repeat("k", 201)); got.Status != 422 {
		t.Errorf("a long key = %d %s", got.Status, got.Body)
	}
	if got := s.ask("viewer", "PATCH", "/v1/runs", ""); got.Status != 405 || got.Header.Get("Allow") != "GET, POST" || got.field(t, "code") != "method_not_allowed" {
		t.Errorf("PATCH = %d %v %s", got.Status, got.Header, got.Body)
	}
	if got := s.ask("viewer", "GET", "/v1/nothing", ""); got.Status != 404 || got.field(t, "code") != "no_such_endpoint" {
		t.Errorf("an unknown path = %d %s", got.Status, got.Body)
	}
}

func TestLargeAnswersAreCompressedForWhoTakesIt(t *testing.T) {
	s := newServer(t, nil)
	plain := s.ask("", "GET", "/openapi.json", "")
	zipped := s.ask("", "GET", "/openapi.json", "", "Accept-Encoding", "gzip")
	if plain.Header.Get("Content-Encoding") != "" || zipped.Header.Get("Content-Encoding") != "gzip" || len(zipped.Body)*3 > len(plain.Body) {
		t.Fatalf("plain %v with %d bytes, compressed %v with %d", plain.Header, len(plain.Body), zipped.Header, len(zipped.Body))
	}
	r, err := gzip.NewReader(strings.NewReader(string(zipped.Body)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != string(plain.Body) {
		t.Errorf("decompressed, it is another one (%v)", err)
	}
}

// failing is a store whose feed and listings fail or hang.
type failing struct {
	*mem.Store
	hang bool
	err  error // of looking for waits
}

func (f *failing) Feed(context.Context, bide.FeedQuery) (*bide.FeedPage, error) {
	return nil, errors.New("secret: disk sdb1 is on fire")
}

func (f *failing) Waits(ctx context.Context, _ bide.WaitQuery) (*bide.WaitPage, error) {
	if f.err != nil {
		return nil, f.err
	}
	if !f.hang {
		panic("secret: out of range")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// What goes wrong inside is a problem that tells nothing of the inside.
func TestFailuresInsideTellNothingOfTheInside(t *testing.T) {
	s := serverOver(t, &failing{Store: mem.New()}, nil)
	for path, status := range map[string]int{"/v1/waits": 500, "/readyz": 503} {
		got := s.ask("viewer", "GET", path, "")
		if got.Status != status || strings.Contains(string(got.Body), "secret") {
			t.Errorf("%s = %d %s, want %d", path, got.Status, got.Body, status)
		}
	}
	slow := serverOver(t, &failing{Store: mem.New(), hang: true}, &gateway.Options{RequestTime: 10 * time.Millisecond})
	if got := slow.ask("viewer", "GET", "/v1/waits", ""); got.Status != 503 || got.field(t, "code") != "timeout" {
		t.Errorf("a request that takes too long = %d %s", got.Status, got.Body)
	}
	gone := serverOver(t, &failing{Store: mem.New(), err: &bide.Error{Code: bide.CodeStoreUnavailable, Message: "the database does not answer", Err: errors.New("secret: 10.0.0.7")}}, nil)
	if got := gone.ask("viewer", "GET", "/v1/waits", ""); got.Status != 503 || got.field(t, "code") != "store_unavailable" || strings.Contains(string(got.Body), "secret") {
		t.Errorf("a store that is gone = %d %s, want a 503 at which clients come again, without where it is", got.Status, got.Body)
	}
	if got := slow.ask("", "GET", "/healthz", ""); got.Status != 200 {
		t.Errorf("health = %d", got.Status)
	}
}

// listening serves a server on a port until the test ends, and returns the address and what ends it.
func (s *server) listening() (addr string, end func() error) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	end = sync.OnceValue(func() error {
		stop()
		return <-served
	})
	s.t.Cleanup(func() {
		if err := end(); err != nil {
			s.t.Error(err)
		}
	})
	return l.Addr().String(), end
}

// A client that sends its head or its body by drops, or too much of it, is cut off.
func TestClientsThatDawdleAreCutOff(t *testing.T) {
	s := newServer(t, &gateway.Options{HeaderTime: 50 * time.Millisecond, RequestTime: 100 * time.Millisecond, HeaderBytes: 4096})
	addr, _ := s.listening()
	for name, sent := range map[string]string{
		"half a head": "GET /v1/runs HTTP/1.1\r\nHost: x\r\nAuthor",
		"half a body": "POST /v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"work",
		"a long head": "GET /v1/runs HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 20_000) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			t.Errorf("%s: the server still waits", name)
		case err == nil && resp.StatusCode < 400:
			t.Errorf("%s = %s", name, resp.Status)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// gate is a store whose listing of waits blocks until it is opened.
type gate struct {
	*mem.Store
	entered, open chan struct{}
}

func (g *gate) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	close(g.entered)
	<-g.open
	return g.Store.Waits(ctx, q)
}

// A server that shuts down lets the requests end that it has begun.
func TestAShutdownLetsRequestsEnd(t *testing.T) {
	g := &gate{mem.New(), make(chan struct{}), make(chan struct{})}
	s := serverOver(t, g, nil)
	addr, end := s.listening()
	got := make(chan error, 1)
	go func() {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/v1/waits", nil)
		if err != nil {
			got <- err
			return
		}
		req.Header.Set("Authorization", "Bearer viewer")
		resp, err := http.DefaultClient.Do(req)
		if err == nil && resp.StatusCode != 200 {
			err = errors.New(resp.Status)
		}
		if err == nil {
			err = resp.Body.Close()
		}
		got <- err
	}()
	<-g.entered
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	for s.ask("", "GET", "/readyz", "").Status == 200 { // until the shutdown has begun
		if t.Context().Err() != nil {
			t.Fatal("the shutdown does not begin")
		}
	}
	close(g.open)
	if err := <-got; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v", err)
	}
}
