package cli_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// askOverMCP starts the flow ask with its tool, and tries to answer.
func askOverMCP(t *testing.T, over mcp.Transport, actor string, decides bool) {
	t.Helper()
	c, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), over, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func(name string, args map[string]any) (text string, refused bool) {
		t.Helper()
		got, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
		if err != nil {
			t.Fatal(err)
		}
		return got.Content[0].(*mcp.TextContent).Text, got.IsError
	}
	var run struct {
		ID    string `json:"run_id"`
		Actor string `json:"actor"`
		Waits []struct {
			ID string `json:"wait_id"`
		} `json:"waits"`
	}
	text, refused := call("run_ask", map[string]any{})
	if err := json.Unmarshal([]byte(text), &run); err != nil || refused || run.Actor != actor {
		t.Fatalf("run_ask = %s (%v), want a run of %s", text, err, actor)
	}
	text, _ = call("get_run", map[string]any{"run_id": run.ID, "wait": 20})
	if err := json.Unmarshal([]byte(text), &run); err != nil || len(run.Waits) != 1 {
		t.Fatalf("get_run = %s (%v), want a wait", text, err)
	}
	if text, refused = call("answer_wait", map[string]any{"wait_id": run.Waits[0].ID, "answer": "approve"}); refused == decides {
		t.Errorf("answer_wait = %s, want allowed %v", text, decides)
	}
}

// command is bide as a server of MCP.
func command(dir string, env ...string) mcp.Transport {
	cmd := exec.Command("bide", "mcp")
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "BIDE_ACTOR=ann"), env...)
	return &mcp.CommandTransport{Command: cmd}
}

// A program that starts bide mcp in a project starts its flows, and decides nothing.
func TestMCPOnStandardInput(t *testing.T) {
	askOverMCP(t, command(project(t)), "agent:ann", false)
}

// Through a server, over standard input or HTTP, a program may do what its token may.
func TestMCPThroughAServer(t *testing.T) {
	dir := project(t)
	token := wants(t, dir, 0, []string{"token", "create", "boss", "--role", "admin", "--actor", "zoe"})
	url, _ := serving(t, dir, "serve")
	t.Setenv("BIDE_TOKEN", token)
	wants(t, dir, 0, strings.Fields("--server "+url+" start ask"))
	askOverMCP(t, command(t.TempDir(), "BIDE_SERVER="+url), "zoe", true)
	askOverMCP(t, &mcp.StreamableClientTransport{Endpoint: url + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, DisableStandaloneSSE: true}, "zoe", true)
	nobody, err := http.Post(url+"/mcp", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Body.Close(); err != nil || nobody.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token = %s (%v)", nobody.Status, err)
	}
}

// withToken adds a token to requests.
type withToken string

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(w))
	return http.DefaultTransport.RoundTrip(r)
}
