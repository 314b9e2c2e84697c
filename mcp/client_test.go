package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/mcp"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

var ctx = context.Background()

const token = "s3cret-t0ken"

func secrets(_ context.Context, name string) (string, error) {
	if name != "TOKEN" {
		return "", errors.New("there is none")
	}
	return token, nil
}

// stdio is this test as a server.
func stdio(t *testing.T, kind string) mcp.Server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return mcp.Server{Name: "srv", Command: []string{self}, Env: map[string]string{asServer: kind, "TOKEN": "${secret:TOKEN}"}}
}

// host is one process: a client of the server and a runtime.
type host struct {
	t      *testing.T
	client *mcp.Client
	set    *tool.Set
	rt     *bide.Runtime
}

func newHost(t *testing.T, store bide.Store, server mcp.Server, opts *tool.Options) *host {
	t.Helper()
	h := &host{t: t, client: bide.Must(mcp.New(server, &mcp.Options{Secrets: secrets}))}
	t.Cleanup(h.close)
	tools, err := h.client.Tools(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = &tool.Options{}
	}
	opts.Policy = bide.Must(tool.NewPolicy(tool.Rule{Source: "mcp:srv", Decide: tool.Auto}))
	h.set = bide.Must(tool.New(opts, tools...))
	h.rt = bide.Must(bide.New(store, &bide.Options{NewID: func() string { return "r" }}))
	h.set.Register(h.rt)
	if err := h.rt.Register(h.workflow()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) close() {
	if err := h.client.Close(); err != nil {
		h.t.Logf("close: %v", err) // a server that died on purpose says so
	}
}

func (h *host) workflow() bide.Workflow {
	return bide.Workflow{ID: "calls", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(r *bide.Run) (bide.StepPlan, error) {
			calls, err := bide.Input[[]tool.Call](r)
			plan, perr := h.set.Plan(calls, "results")
			return plan.Then("observe"), errors.Join(err, perr)
		},
		"observe": func(r *bide.Run) (bide.StepPlan, error) {
			calls, err := bide.Input[[]tool.Call](r)
			results, rerr := tool.Results(r.Vars, "results", calls)
			return bide.Complete(results), errors.Join(err, rerr)
		},
	}}
}

func (h *host) start(name, args string) *bide.Run {
	h.t.Helper()
	run, err := h.rt.Run(ctx, h.workflow(), []tool.Call{{ID: "c", Name: name, Args: args}}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return run
}

func (h *host) result(run *bide.Run) tool.Result {
	h.t.Helper()
	var out []tool.Result
	if run.Status != bide.StatusCompleted {
		h.t.Fatalf("run = %s %v with waits %+v", run.Status, run.Error, run.Waits)
	}
	if err := json.Unmarshal(run.Output, &out); err != nil || len(out) != 1 {
		h.t.Fatalf("output = %s, %v", run.Output, err)
	}
	return out[0]
}

// servers are the two ways to reach a server.
func servers(t *testing.T) map[string]mcp.Server {
	server := httptest.NewServer(overHTTP(t, "Bearer "+token, &sdk.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(server.Close)
	return map[string]mcp.Server{
		"stdio": stdio(t, "plain"),
		"http":  {Name: "srv", URL: server.URL, Header: map[string]string{"Authorization": "Bearer ${secret:TOKEN}"}},
	}
}

func TestCallsOverEitherTransport(t *testing.T) {
	for way, server := range servers(t) {
		t.Run(way, func(t *testing.T) {
			keep := bide.Must(artifact.OpenDir(t.TempDir()))
			defer keep.Close()
			for _, c := range []struct{ name, args, want string }{
				{"srv__look", `{"where":"home"}`, "ok: home, with the key r/1/0 and the token "},
				{"srv__look", `{"where":7}`, "error: The call was not made: the arguments do not fit: /where: got number, want string"},
				{"srv__refuse", `{"where":"home"}`, "error: no entry"},
				{"srv__picture", `{"where":"home"}`, `ok: [{"type":"text","text":"here"},{"type":"image","mimeType":"image/png","data":"AQI="}]`},
			} {
				h := newHost(t, mem.New(), server, &tool.Options{Artifacts: keep})
				res := h.result(h.start(c.name, c.args))
				if got := res.Status + ": " + res.Text(); !strings.HasPrefix(got, c.want) || strings.Contains(got, token) {
					t.Errorf("%s %s = %q, want %q", c.name, c.args, got, c.want)
				}
				if len(res.Evidence) == 2 == strings.Contains(c.want, "not made") {
					t.Errorf("%s has the evidence %+v", c.name, res.Evidence)
				}
				for i, e := range res.Evidence {
					r := bide.Must(keep.Open(ctx, e.SHA256))
					body := string(bide.Must(io.ReadAll(r)))
					if err := r.Close(); err != nil {
						t.Error(err)
					}
					if want := []string{`"arguments":{"where":"home"}`, `"content":`}[i]; !strings.Contains(body, want) || strings.Contains(body, token) {
						t.Errorf("evidence %s = %s, want %s", e.Name, body, want)
					}
				}
			}
		})
	}
}

func TestWhatAServerAsksIsADurableWaitThatAnotherProcessAnswers(t *testing.T) {
	for way, server := range servers(t) {
		t.Run(way, func(t *testing.T) {
			store := mem.New()
			first := newHost(t, store, server, nil)
			run := first.start("srv__deploy", `{"where":"prod"}`)
			first.close()
			if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitForm || run.Waits[0].Message != "Who is responsible?" {
				t.Fatalf("waits = %+v", run.Waits)
			}
			second := newHost(t, store, server, nil)
			w := run.Waits[0]
			for _, wrong := range []string{`{}`, `{"who":{"action":"accept"}}`, `{"who":{"action":"accept","content":{"name":"x"}}}`, `{"who":{"action":"perhaps"}}`, `{"who":{"action":"decline"},"else":1}`} {
				if _, err := second.rt.Resume(ctx, "r", w.ID, json.RawMessage(wrong)); !errors.Is(err, bide.ErrInvalidAnswer) {
					t.Errorf("Resume(%s) = %v, want ErrInvalidAnswer", wrong, err)
				}
			}
			bide.Must(second.rt.Resume(ctx, "r", w.ID, json.RawMessage(`{"who":{"action":"accept","content":{"name":"anna"}}}`)))
			run = bide.Must(second.rt.Tick(ctx, "r"))
			second.close()
			if len(run.Waits) != 1 || run.Waits[0].Message != "Really?" {
				t.Fatalf("waits = %+v", run.Waits)
			}
			third := newHost(t, store, server, nil)
			bide.Must(third.rt.Resume(ctx, "r", run.Waits[0].ID, json.RawMessage(`{"sure":{"action":"accept"}}`)))
			res := third.result(bide.Must(third.rt.Tick(ctx, "r")))
			if got := res.Text(); res.Status != tool.StatusOK || got != "deployed to prod by anna" {
				t.Errorf("result = %s %q", res.Status, got)
			}
			bide.Must(third.rt.Verify(ctx, "r"))
		})
	}
}

// Before multi-round calls a server asked while it held the call open. It is told that nobody answers.
func TestAServerOfAnOlderProtocolIsToldThatNobodyAnswers(t *testing.T) {
	server := httptest.NewServer(overHTTP(t, "", nil))
	defer server.Close()
	h := newHost(t, mem.New(), mcp.Server{Name: "srv", URL: server.URL}, nil)
	defer h.close()
	if res := h.result(h.start("srv__deploy", `{"where":"prod"}`)); res.Text() != "given up: cancel" {
		t.Errorf("result = %s %q", res.Status, res.Text())
	}
}

func TestADeclinedQuestionGoesBackToTheServer(t *testing.T) {
	h := newHost(t, mem.New(), stdio(t, "plain"), nil)
	run := h.start("srv__deploy", `{"where":"prod"}`)
	bide.Must(h.rt.Resume(ctx, "r", run.Waits[0].ID, json.RawMessage(`{"who":{"action":"decline"}}`)))
	if res := h.result(bide.Must(h.rt.Tick(ctx, "r"))); res.Text() != "given up: decline" {
		t.Errorf("result = %q", res.Text())
	}
}

func TestAServerThatDiesIsStartedAgainAndTheCallSaysWhatIsNotKnown(t *testing.T) {
	h := newHost(t, mem.New(), stdio(t, "plain"), nil)
	res := h.result(h.start("srv__die", `{"where":"x"}`))
	if res.Status != tool.StatusError || !strings.Contains(res.Text(), "whether the call happened is not known") {
		t.Errorf("result = %s %q", res.Status, res.Text())
	}
	h.rt = bide.Must(bide.New(mem.New(), nil))
	h.set.Register(h.rt)
	if res := h.result(h.start("srv__look", `{"where":"x"}`)); res.Status != tool.StatusOK {
		t.Errorf("the next call = %s %q", res.Status, res.Text())
	}
}

func TestASlowServerIsToldToStop(t *testing.T) {
	server := stdio(t, "plain")
	server.Timeout = bide.Duration(50 * time.Millisecond)
	h := newHost(t, mem.New(), server, nil)
	res := h.result(h.start("srv__wait", `{"where":"x"}`))
	if res.Status != tool.StatusError || !strings.Contains(res.Text(), "stopped after 50ms; whether the other side stopped is not known") {
		t.Errorf("result = %s %q", res.Status, res.Text())
	}
}

func TestToolsWhoseNamesModelsCannotSayHaveOthers(t *testing.T) {
	h := newHost(t, mem.New(), stdio(t, "odd"), nil)
	names := map[string]string{}
	for _, name := range h.set.Names() {
		if slices.Contains([]string{"srv__wait", "srv__die", "srv__deploy"}, name) {
			continue
		}
		res := h.result(h.start(name, `{"where":"x"}`))
		if slices.Contains(oddNames, res.Text()) {
			names[res.Text()] = name
		}
		h.rt = bide.Must(bide.New(mem.New(), nil))
		h.set.Register(h.rt)
	}
	if want := "srv__files_list_"; len(names) != len(oddNames) || !strings.HasPrefix(names["files.list"], want) || names["files.list"] == names["files/list"] || len(names[oddNames[2]]) != 64 {
		t.Errorf("the names are %v", names)
	}
}

func TestAToolThatTheServerChangedIsNotCalled(t *testing.T) {
	server := stdio(t, "plain")
	dir := t.TempDir() // the second process of the server finds that it has changed
	server.Command = []string{"sh", "-c", `if [ -e ` + dir + `/seen ]; then export ` + asServer + `=changed; fi; touch ` + dir + `/seen; exec "$0"`, server.Command[0]}
	h := newHost(t, mem.New(), server, nil)
	h.result(h.start("srv__die", `{"where":"x"}`))
	h.rt = bide.Must(bide.New(mem.New(), nil))
	h.set.Register(h.rt)
	if res := h.result(h.start("srv__look", `{"where":"x"}`)); res.Status != tool.StatusError || !strings.Contains(res.Text(), "has changed the tool look") {
		t.Errorf("result = %s %q", res.Status, res.Text())
	}
	if got, want := bide.Must(h.client.Tools(ctx)), "sends it to everybody"; !slices.ContainsFunc(got, func(t tool.Tool) bool { return strings.Contains(t.Description, want) }) {
		t.Errorf("the tools listed anew do not say %q", want)
	}
}

func TestHintsCountOnlyOfAServerThatIsTrusted(t *testing.T) {
	for trusted, want := range map[bool]tool.Safety{false: tool.Once, true: tool.ReadOnly} {
		server := stdio(t, "plain")
		server.Trusted = trusted
		look, _ := newHost(t, mem.New(), server, nil).set.Tool("srv__look")
		if look.Safety != want || !look.Annotations.ReadOnly || look.Annotations.OpenWorld {
			t.Errorf("trusted %v: safety = %q, annotations = %+v", trusted, look.Safety, look.Annotations)
		}
	}
}

func TestTheHeaderGoesToNoOtherHost(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c := bide.Must(mcp.New(mcp.Server{Name: "srv", URL: server.URL, Header: map[string]string{"Authorization": "Bearer ${secret:TOKEN}"}}, &mcp.Options{Secrets: secrets}))
	defer c.Close()
	if _, err := c.Tools(ctx); err == nil || !strings.Contains(err.Error(), "away from "+server.URL) || reached {
		t.Errorf("Tools = %v; the other host was asked: %v", err, reached)
	}
}

func TestAServerThatCannotBeReachedSaysSoWithoutItsSecrets(t *testing.T) {
	for name, server := range map[string]mcp.Server{
		"nothing":      {Name: "srv"},
		"both":         {Name: "srv", Command: []string{"x"}, URL: "http://x"},
		"no name":      {Command: []string{"x"}},
		"no program":   {Name: "srv", Command: []string{"no-such-program"}, Env: map[string]string{"A": "${secret:TOKEN}"}},
		"no server":    {Name: "srv", URL: "http://127.0.0.1:1/${secret:TOKEN}"},
		"no secret":    {Name: "srv", URL: "http://127.0.0.1:1/${secret:OTHER}"},
		"dies at once": {Name: "srv", Command: []string{"false"}},
	} {
		client, err := mcp.New(server, &mcp.Options{Secrets: secrets})
		if err == nil {
			_, err = client.Tools(ctx)
		}
		if err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
