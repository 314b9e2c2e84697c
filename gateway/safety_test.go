package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/store/mem"
)

// logbook is what was logged, down to the last detail.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Whatever goes well or wrong, neither credentials nor payloads are in the log.
func TestCredentialsAndPayloadsAreNotLogged(t *testing.T) {
	var log logbook
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := mem.New()
	guard := auth.New(store, &auth.Options{Logger: logger, Sessions: auth.NewSessions(store, nil)})
	rt := bide.Must(bide.New(store, &bide.Options{Logger: logger}))
	s := serverOf(t, rt, store, &gateway.Options{Authenticate: guard.Protect, Logger: logger, Workflows: []bide.Workflow{broken()}})
	token, made, err := guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "x", Roles: []auth.Role{auth.Administrator}}, "")
	if err != nil {
		t.Fatal(err)
	}
	const payload = "4111-1111-1111-1111"
	s.start(token, `{"workflow":"approval","input":{"amount":1,"card":"`+payload+`"}}`)
	s.start(token, `{"workflow":"broken","input":"`+payload+`"}`)
	for path, body := range map[string]string{
		"/v1/runs":     `{"workflow":"approval","input":{"amount":"` + payload + `"}}`,
		"/v1/events":   `{"scope":"session","scope_id":"s","name":"paid","payload":"` + payload + `"}`,
		"/v1/webhooks": `{"url":"http://127.0.0.1:1/` + payload + `"}`,
		"/v1/hooks":    `{"style":"github","scope":"global","name":"x","secret":"` + payload + `"}`,
		"/v1/work":     `{"worker":"` + payload,
	} {
		s.ask(token, "POST", path, body)
		s.ask(token+"x", "POST", path, body)
	}
	other := strings.Replace(token, token[len(token)-52:], strings.Repeat("a", 52), 1)
	s.ask(other, "GET", "/v1/runs", "")
	form := httptest.NewRequestWithContext(t.Context(), "POST", "/auth/token", strings.NewReader("token="+other))
	guard.SignIn(nil).ServeHTTP(httptest.NewRecorder(), form)
	said := log.String()
	if !strings.Contains(said, "token refused") || !strings.Contains(said, made.ID) {
		t.Errorf("a token that was refused is not logged:\n%s", said)
	}
	for name, secret := range map[string]string{"token": token[len(token)-52:], "another token": strings.Repeat("a", 52), "payload": payload} {
		if strings.Contains(said, secret) {
			t.Errorf("the log holds the %s:\n%s", name, said)
		}
	}
}

// Answers tell browsers to run, frame and guess nothing; over https, to come by https alone.
func TestAnswersAreNoPages(t *testing.T) {
	s := newServer(t, nil)
	for _, path := range []string{"/v1/runs", "/healthz", "/nothing"} {
		h := s.ask("viewer", "GET", path, "").Header
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'; frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/healthz", nil)
	req.TLS = &tls.ConnectionState{}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	if rec.Header().Get("Strict-Transport-Security") == "" {
		t.Errorf("over https: %v", rec.Header())
	}
}

// What is served beside the API has its limits too.
func TestRoutesAreBounded(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	})
	s := newServer(t, &gateway.Options{BodyBytes: 100, Routes: map[string]http.Handler{"/echo": echo}})
	if got := s.ask("viewer", "POST", "/echo", "hello"); got.Status != 200 || string(got.Body) != "hello" {
		t.Errorf("echo = %d %s", got.Status, got.Body)
	}
	if got := s.ask("viewer", "POST", "/echo", strings.Repeat("x", 101)); got.Status != 413 || got.field(t, "code") != "too_large" {
		t.Errorf("a large body = %d %s", got.Status, got.Body)
	}
}

// A client that takes nothing of a large answer is cut off, and holds nothing of the server.
func TestAnAnswerThatNobodyTakesIsCutOff(t *testing.T) {
	done := make(chan error, 1)
	flood := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		block := bytes.Repeat([]byte("x"), 1<<20)
		for range 200 { // more than the buffers of a connection hold
			if _, err := w.Write(block); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	})
	s := newServer(t, &gateway.Options{RequestTime: 50 * time.Millisecond, WriteTime: 50 * time.Millisecond, Routes: map[string]http.Handler{"/flood": flood}})
	addr, _ := s.listening()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /flood HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if err := <-done; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("writing ends with %v, want a timeout", err)
	}
}

// Who made a change stands in the ledger, whatever the request says.
func TestTheActorOfEveryChangeIsInTheLedger(t *testing.T) {
	s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{broken()}})
	waiting := func() *bide.Run { return s.start("operator", `{"workflow":"approval","input":{"amount":1}}`) }
	paused := waiting()
	s.ask("operator", "POST", "/v1/runs/"+paused.ID+"/pause", "")
	failed := s.start("operator", `{"workflow":"broken"}`)
	run := waiting()
	for _, c := range []struct{ as, path, body, run string }{
		{"operator", "/v1/runs", `{"workflow":"approval","input":{"amount":1},"run_id":"mine"}`, "mine"},
		{"admin", "/v1/runs/" + run.ID + "/pause", "", run.ID},
		{"author", "/v1/runs/" + paused.ID + "/unpause", "", paused.ID},
		{"author", "/v1/runs/" + failed.ID + "/retry", "", failed.ID},
		{"author", "/v1/runs/" + run.ID + "/fork", `{"seq":1,"run_id":"forked"}`, "forked"},
		{"author", "/v1/runs/" + run.ID + "/cancel", `{"reason":"enough"}`, run.ID},
		{"approver", "/v1/waits/" + paused.Waits[0].ID + "/answer", `{"answer":"approve"}`, paused.ID},
		{"admin", "/v1/runs/mine/migrate", `{"version":"` + s.doc.Version() + `"}`, "mine"},
	} {
		got := s.ask(c.as, "POST", c.path, c.body)
		if got.Status/100 != 2 {
			t.Errorf("%s = %d %s", c.path, got.Status, got.Body)
			continue
		}
		var page struct {
			Records []struct {
				Kind, Actor string
			} `json:"records"`
		}
		s.ask("viewer", "GET", "/v1/runs/"+c.run+"/ledger", "").into(t, &page)
		found := false
		for _, rec := range page.Records {
			found = found || rec.Actor == c.as
		}
		if !found {
			raw, err := json.Marshal(page.Records)
			t.Errorf("%s by %s is not in the ledger: %s %v", c.path, c.as, raw, err)
		}
	}
}
