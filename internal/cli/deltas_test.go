package cli_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/llm"
)

// What a model says reaches whoever follows the run on a server, while it says it.
func TestAServerPassesOnWhatAModelSays(t *testing.T) {
	dir := project(t)
	for name, text := range map[string]string{
		"bide.yaml":    "models: {providers: {scripted: {file: replies.yaml}}}\n",
		"replies.yaml": "talk: [{text: so I say}]\n",
		"talk.yaml":    "bide: 1\nflow: talk\nsteps:\n  - {ask: Now?}\n  - {llm: {model: scripted/talk, prompt: hi}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url, _ := serving(t, dir, "dev")
	id := wants(t, dir, 0, []string{"start", "talk.yaml", "--server", url})
	stream, err := http.Get(url + "/v1/runs/" + id + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	answered, said := false, ""
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() && lines.Text() != "event: end" {
		switch line := lines.Text(); {
		case strings.Contains(line, `"wait.opened"`) && !answered:
			answered = true
			wants(t, dir, 0, []string{"answer", id, "now", "--server", url})
		case line == "event: delta":
			lines.Scan()
			said += lines.Text()
		}
	}
	if !answered || !strings.Contains(said, `"event":"delta"`) || !strings.Contains(said, "say") {
		t.Errorf("answered %v, heard %q, %v", answered, said, lines.Err())
	}
}

// saidOn reads the stream of a run to its end: what a model said, live, and how often it began to. The answer's record comes after
// its text.
func saidOn(stream io.Reader, waiting func()) (said string, began int, err error) {
	lines := bufio.NewScanner(stream)
	event, recorded := "", false
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			event = value
		case name != "data":
		case event == "end":
			return said, began, nil
		case event == "record" && strings.Contains(value, `"wait.opened"`):
			waiting()
		case event == "record" && strings.Contains(value, `"effect.completed"`):
			recorded = true
		case event == "delta":
			var e llm.Event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return said, began, err
			}
			if e.Kind == llm.EventStarted {
				said, began = "", began+1
			}
			if e.Delta != nil {
				said += e.Delta.Part.Text
				if recorded {
					return said, began, fmt.Errorf("%q comes after the record", e.Delta.Part.Text)
				}
			}
		}
	}
	return said, began, fmt.Errorf("the stream broke off: %w", lines.Err())
}

// Of several servers on one PostgreSQL one asks the model; whoever follows the run at another one hears it as well.
func TestEveryServerPassesOnWhatAModelSaysAtOneOfThem(t *testing.T) {
	t.Setenv("BIDE_STORE", pgtest.NewServer(t).URL())
	dir := project(t)
	for name, text := range map[string]string{
		"bide.yaml": "models: {providers: {scripted: {file: replies.yaml}}}\n",
		"replies.yaml": "talk: [{text: one two three four five six seven eight, delay: 30ms, " +
			"fail: {code: overloaded, attempts: 1, retry_after: 10ms}}]\n",
		"talk.yaml": "bide: 1\nflow: talk\nsteps:\n  - {ask: Now?}\n  - {llm: {model: scripted/talk, prompt: hi}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token := wants(t, dir, 0, []string{"token", "create", "ann", "--role", "admin"})
	stranger := wants(t, dir, 0, []string{"token", "create", "eve", "--role", "admin", "--namespace", "acme"})
	one, _ := serving(t, dir, "serve")
	two, _ := serving(t, dir, "serve")
	t.Setenv("BIDE_TOKEN", token)
	id := wants(t, dir, 0, []string{"start", "talk.yaml", "--server", one})
	open := func(at, token string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/v1/runs/"+id+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	for _, at := range []string{one, two} {
		if res := open(at, stranger); res.StatusCode != http.StatusNotFound {
			t.Errorf("somebody of another namespace may follow the run: %s", res.Status)
		}
	}
	type heard struct {
		said  string
		began int
		err   error
	}
	waiting, all := make(chan bool, 2), make(chan heard, 2)
	for _, at := range []string{one, two} {
		stream := open(at, token)
		go func() {
			said, began, err := saidOn(stream.Body, func() { waiting <- true })
			all <- heard{said, began, err}
		}()
	}
	for range 2 {
		<-waiting
	}
	wants(t, dir, 0, []string{"answer", id, "now", "--server", one})
	for range 2 {
		if h := <-all; h != (heard{"one two three four five six seven eight", 2, nil}) {
			t.Errorf("a reader heard %+v", h)
		}
	}
}
