package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide/gateway/webhook"
)

// A server tells a URL what happens, signed with the secret that was shown, and again when it is asked to.
func TestServeSendsWebhooks(t *testing.T) {
	dir := project(t)
	type message struct {
		head http.Header
		body []byte
	}
	got := make(chan message, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- message{r.Header, body}
	}))
	t.Cleanup(receiver.Close)
	wants(t, dir, 2, []string{"webhook", "add", receiver.URL}, "https")
	t.Setenv("BIDE_WEBHOOKS_PRIVATE", "true")
	secret := wants(t, dir, 0, []string{"webhook", "add", receiver.URL, "--type", "wait.opened"}, "not shown again")
	list := wants(t, dir, 0, []string{"webhook", "ls", "-o", "jsonl"}, receiver.URL)
	if strings.Contains(list, secret) {
		t.Errorf("the list shows the secret: %s", list)
	}
	url, _ := serving(t, dir, "dev")
	id := wants(t, dir, 0, []string{"start", "ask", "--server", url})
	receive := func() string {
		t.Helper()
		select {
		case m := <-got:
			name, err := webhook.Verify(m.head, []string{secret}, time.Now(), m.body)
			if err != nil || !strings.Contains(string(m.body), id) {
				t.Errorf("received %s: %v", m.body, err)
			}
			return name
		case <-time.After(patience):
			t.Fatal("nothing was received")
			return ""
		}
	}
	first := receive()
	sends := regexp.MustCompile(`"run_id":"([^"]+)"`).FindStringSubmatch(wants(t, dir, 0, []string{"ls", "flow:bide.webhook", "-o", "jsonl"}))
	if sends == nil {
		t.Fatal("no run sends the message")
	}
	wants(t, dir, 0, []string{"tail", sends[1], "--follow", "--server", url}, "run.completed")
	wants(t, dir, 0, []string{"webhook", "redeliver", sends[1]})
	if again := receive(); again != first {
		t.Errorf("sent again as %s, want %s", again, first)
	}
	wants(t, dir, 3, []string{"webhook", "rm", "none"})
}

// A worker without a server sends webhooks too.
func TestWorkSendsWebhooks(t *testing.T) {
	dir := project(t)
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- string(body)
	}))
	t.Cleanup(receiver.Close)
	t.Setenv("BIDE_WEBHOOKS_PRIVATE", "true")
	wants(t, dir, 0, []string{"webhook", "add", receiver.URL, "--type", "wait.opened"})
	id := wants(t, dir, 0, []string{"start", "ask"})
	wants(t, dir, 0, []string{"work", "--once"})
	select {
	case body := <-got:
		if !strings.Contains(body, id) {
			t.Errorf("received %s, want it about %s", body, id)
		}
	default:
		t.Error("nothing was sent")
	}
}
