package cli_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// What happens to be in the environment of a server is not for the flows that others upload: they get what its configuration names.
func TestUploadedFlowsGetWhatTheConfigurationNames(t *testing.T) {
	var asked atomic.Int64
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "not here", http.StatusTeapot)
	}))
	defer outside.Close()
	t.Setenv("OPENAI_API_KEY", "sk-not-for-you")
	t.Setenv("BIDE_SECRET_SHOP_KEY", "hush-hush")
	t.Setenv("BIDE_MODELS", fmt.Sprintf(`{"providers":{"work":{"kind":"openai","base_url":%q}}}`, outside.URL))
	t.Setenv("BIDE_ALLOW_ADDRESSES", "127.0.0.0/8")
	flows := map[string]struct{ text, refused string }{
		"ask":    {`llm: {model: openai/gpt-5-mini, prompt: hi}`, `there is no provider "openai" here; there are work; name it under providers in the configuration of models`},
		"works":  {`agent: {model: ollama/x, task: hi}`, `there is no provider "ollama" here`},
		"secret": {fmt.Sprintf(`http: {url: %q, headers: {k: '{{ secret("shop_key") }}'}}`, outside.URL), "flows of this server may not use it; the setting allow.secrets names those that they may"},
		"exec":   {`exec: {command: [id]}`, `the program "id" is not allowed here`},
		"tool":   {`tool: {name: run_command, args: {command: [id]}}`, ""},
	}
	source := func(name string) string {
		return fmt.Sprintf("bide: 1\nflow: %s\nsteps:\n  - id: it\n    %s\noutput: \"{{ it }}\"\n", name, flows[name].text)
	}
	dir := project(t)
	for name := range flows {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(source(name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	author := wants(t, dir, 0, []string{"token", "create", "anna", "--role", "author"})
	url, end := serving(t, dir, "serve")
	t.Setenv("BIDE_TOKEN", author)
	for name, f := range flows {
		code, want := 5, f.refused
		if name == "tool" { // the result of a call says why it was not made
			code, want = 0, `there is no tool \"run_command\"`
		}
		said := wants(t, dir, code, []string{"run", name + ".yaml", "--server", url}, want)
		if strings.Contains(said, "hush") || strings.Contains(said, "sk-not") {
			t.Errorf("%s says a secret: %s", name, said)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the flows made %d requests", n)
	}
	end()
	t.Setenv("BIDE_ALLOW_SECRETS", "shop_key")
	url, _ = serving(t, dir, "serve")
	wants(t, dir, 5, []string{"run", "secret.yaml", "--server", url}, "418")
	wants(t, dir, 5, []string{"run", "secret.yaml", "--store", "mem:"}, "418") // on one's own, nothing needs to be named
	if n := asked.Load(); n == 0 {
		t.Error("a secret that is allowed reached nobody")
	}
}

// A server of tools that is down keeps nothing else from starting, is named, and its tools are there when it is up.
func TestAServerOfToolsThatIsDownIsNamedAndTakenUpLater(t *testing.T) {
	dir, address := project(t), freePort(t)
	config := fmt.Sprintf("tools: {policy: [{decide: auto}], mcp: [{name: far, url: \"http://localhost:%s\"}]}\n", address[strings.LastIndex(address, ":")+1:])
	for name, text := range map[string]string{
		"bide.yaml":  config,
		"call.yaml":  "bide: 1\nflow: call\nsteps:\n  - {id: it, tool: {name: far__hello}}\noutput: \"{{ it.content }}\"\n",
		"again.yaml": "bide: 1\nflow: again\nsteps:\n  - {id: it, tool: {name: far__hello}, retry: {attempts: 1000, backoff: 100ms, max: 100ms}}\noutput: \"{{ it.content }}\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, dir, 0, []string{"run", "hello", "--input", "name=Ann"}, "a server of tools cannot be reached", "server=far")
	wants(t, dir, 5, []string{"run", "call.yaml"}, "the server far of tool far__hello cannot be reached")

	url, _ := serving(t, dir, "dev")
	if got := wants(t, dir, 0, []string{"start", "again.yaml", "--server", url}); got == "" {
		t.Fatal("no run")
	}
	at, err := http.Get(url + "/v1/tools")
	if err != nil {
		t.Fatal(err)
	}
	defer at.Body.Close()
	text, err := io.ReadAll(at.Body)
	if err != nil || !strings.Contains(string(text), `"servers":[{"name":"far","up":false,"error":`) {
		t.Errorf("/v1/tools = %s, %v", text, err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "far", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "hello"}, func(_ context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello from afar"}}}, nil, nil
	})
	place, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	far := &http.Server{Handler: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)}
	ended := make(chan error)
	go func() { ended <- far.Serve(place) }()
	defer func() {
		if err := far.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	}()
	wants(t, dir, 0, []string{"run", "--resume", "--server", url}, "hello from afar")
}
