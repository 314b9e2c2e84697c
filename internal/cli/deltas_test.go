package cli_test

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
