package mcpserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/mcpserver"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

const refund = `
bide: 1
flow: refund
title: Refund an order
input: {type: object, required: [amount], properties: {amount: {type: number}}}
steps:
  - id: ask
    ask: {prompt: "Refund {{ input.amount }}?", choices: [approve, reject]}
  - id: paid
    wait_event: {name: paid}
output: {said: "{{ ask.choice }}"}
`

// code is a workflow that is no document: any input will do.
var code = bide.Workflow{ID: "code", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("done"), nil },
}}

// site is a gateway with MCP, tokens and a worker.
type site struct {
	rt     *bide.Runtime
	store  *mem.Store
	guard  *auth.Guard
	server *httptest.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	store := mem.New()
	rt := bide.Must(bide.New(store, nil))
	flow.Handle(rt, nil)
	if err := flow.Publish(t.Context(), rt, flow.MustParse("refund.yaml", []byte(refund))); err != nil {
		t.Fatal(err)
	}
	s := &site{rt: rt, store: store, guard: auth.New(store, nil)}
	var srv *gateway.Server
	whole := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.ServeHTTP(w, r) })
	srv, err := gateway.New(rt, store, &gateway.Options{Authenticate: s.guard.Protect, Workflows: []bide.Workflow{code},
		Routes: map[string]http.Handler{"/mcp": mcpserver.Handler(whole, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	s.server = httptest.NewServer(srv)
	t.Cleanup(s.server.Close)
	w, err := worker.New(rt, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// bearer adds a token to requests.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (s *site) token(t *testing.T, spec auth.TokenSpec) bearer {
	t.Helper()
	spec.Name = "test"
	text, _, err := s.guard.Tokens().Create(t.Context(), spec, "")
	if err != nil {
		t.Fatal(err)
	}
	return bearer(text)
}

// client is the official client, connected over some transport.
type client struct{ *mcp.ClientSession }

func connect(t *testing.T, over mcp.Transport) *client {
	t.Helper()
	c, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), over, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may be gone
	return &client{c}
}

func (s *site) connect(t *testing.T, spec auth.TokenSpec) *client {
	return connect(t, &mcp.StreamableClientTransport{Endpoint: s.server.URL + "/mcp", HTTPClient: &http.Client{Transport: s.token(t, spec)}, DisableStandaloneSSE: true})
}

// call calls a tool and reads its structured answer, or returns the text of a refusal.
func (c *client) call(t *testing.T, name string, args any, into any, meta ...string) (refusal string) {
	t.Helper()
	params := &mcp.CallToolParams{Name: name, Arguments: args}
	if len(meta) > 0 {
		params.Meta = mcp.Meta{mcpserver.MetaKey: meta[0]}
	}
	res, err := c.CallTool(t.Context(), params)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text := res.Content[0].(*mcp.TextContent).Text
	if res.IsError {
		return text
	}
	raw, err := json.Marshal(res.StructuredContent)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", name, text, err)
	}
	return ""
}

type run struct {
	ID     string          `json:"run_id"`
	Status bide.Status     `json:"status"`
	Actor  string          `json:"actor"`
	Output json.RawMessage `json:"output"`
}

type waits struct {
	Waits []struct {
		ID      string `json:"wait_id"`
		Message string `json:"message"`
	} `json:"waits"`
}

type args map[string]any

// The same journey over HTTP, over a pipe to a server elsewhere, and over a pipe to one in the same process.
func TestAClientRunsAWorkflowWithAWaitFromStartToEnd(t *testing.T) {
	s := newSite(t)
	piped := func(a mcpserver.API) *client {
		here, there := mcp.NewInMemoryTransports()
		session, err := mcpserver.New(a, nil).Connect(t.Context(), there, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = session.Close() }) // the client may have closed it
		return connect(t, here)
	}
	admin := auth.TokenSpec{Actor: "token:boss", Roles: []auth.Role{auth.Administrator}}
	base, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	anyone := &auth.Principal{Actor: "token:boss", Roles: []auth.Role{auth.Administrator}}
	dev := bide.Must(gateway.New(s.rt, s.store, &gateway.Options{Authenticate: auth.New(s.store, &auth.Options{Anonymous: anyone}).Protect}))
	t.Cleanup(dev.Close)
	for name, c := range map[string]*client{
		"http":      s.connect(t, admin),
		"elsewhere": piped(mcpserver.At(base, &http.Client{Transport: s.token(t, admin)})),
		"here":      piped(mcpserver.Within(dev)),
	} {
		t.Run(name, func(t *testing.T) { journey(t, c) })
	}
}

func journey(t *testing.T, c *client) {
	tools, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
		if schema, err := json.Marshal(tool.InputSchema); tool.Name == "run_refund" && (err != nil || !strings.Contains(string(schema), `"amount"`)) {
			t.Errorf("the schema of run_refund is %s, %v", schema, err)
		}
	}
	for _, want := range []string{"start_run", "get_run", "list_waits", "answer_wait", "send_event", "get_ledger", "run_refund"} {
		if !slices.Contains(names, want) {
			t.Fatalf("the tools are %v, without %s", names, want)
		}
	}
	var r, again run
	if no := c.call(t, "run_refund", args{"amount": 7}, &r, "key-1-"+t.Name()); no != "" {
		t.Fatal(no)
	}
	if no := c.call(t, "run_refund", args{"amount": 7}, &again, "key-1-"+t.Name()); no != "" || again.ID != r.ID {
		t.Errorf("the same key began %s after %s: %s", again.ID, r.ID, no)
	}
	if no := c.call(t, "get_run", args{"run_id": r.ID, "wait": 20}, &r); no != "" || r.Status != bide.StatusWaiting || r.Actor != "token:boss" {
		t.Fatalf("run %+v %s", r, no)
	}
	var w waits
	if no := c.call(t, "list_waits", args{"run_id": r.ID, "kind": "question", "limit": 5}, &w); no != "" || len(w.Waits) != 1 || w.Waits[0].Message != "Refund 7?" {
		t.Fatalf("waits %+v %s", w, no)
	}
	if no := c.call(t, "answer_wait", args{"wait_id": w.Waits[0].ID, "answer": "perhaps"}, nil); !strings.Contains(no, "invalid_answer") {
		t.Errorf("an answer that is no choice: %s", no)
	}
	if no := c.call(t, "answer_wait", args{"wait_id": w.Waits[0].ID, "answer": "approve"}, nil); no != "" {
		t.Fatal(no)
	}
	if no := c.call(t, "send_event", args{"scope_id": r.ID, "name": "paid", "payload": args{"by": "card"}, "event_id": "e1"}, nil); no != "" {
		t.Fatal(no)
	}
	for r.Status == bide.StatusWaiting { // for the event, which is taken a moment later
		if no := c.call(t, "get_run", args{"run_id": r.ID, "wait": 20}, &r); no != "" {
			t.Fatal(no)
		}
	}
	if string(r.Output) != `{"said":"approve"}` {
		t.Errorf("run %+v", r)
	}
	var ledger struct {
		Records []struct {
			Kind  bide.Kind `json:"kind"`
			Actor string    `json:"actor"`
		} `json:"records"`
	}
	if no := c.call(t, "get_ledger", args{"run_id": r.ID, "from": 1, "limit": 1000}, &ledger); no != "" {
		t.Fatal(no)
	}
	last := ledger.Records[len(ledger.Records)-1]
	if last.Kind != bide.KindRunCompleted || !slices.ContainsFunc(ledger.Records, func(rec struct {
		Kind  bide.Kind `json:"kind"`
		Actor string    `json:"actor"`
	}) bool {
		return rec.Kind == bide.KindWaitResolved && rec.Actor == "token:boss"
	}) {
		t.Errorf("ledger %+v", ledger)
	}
}

func TestToolsDoNoMoreThanTheirCallerMay(t *testing.T) {
	s := newSite(t)
	agent := s.connect(t, auth.TokenSpec{Actor: bide.AgentActor + "helper", Roles: []auth.Role{auth.Administrator}})
	viewer := s.connect(t, auth.TokenSpec{Roles: []auth.Role{auth.Viewer}})
	foreign := s.connect(t, auth.TokenSpec{Roles: []auth.Role{auth.Administrator}, Namespace: "other"})
	limited := s.connect(t, auth.TokenSpec{Roles: []auth.Role{auth.Operator}, Workflows: []string{"code"}})
	var r run
	if no := agent.call(t, "start_run", args{"workflow": "refund", "input": args{"amount": 1}}, &r); no != "" {
		t.Fatal(no)
	}
	if no := agent.call(t, "get_run", args{"run_id": r.ID, "wait": 20}, &r); no != "" {
		t.Fatal(no)
	}
	var w waits
	if no := agent.call(t, "list_waits", nil, &w); no != "" || len(w.Waits) != 1 {
		t.Fatalf("waits %+v %s", w, no)
	}
	answer := args{"wait_id": w.Waits[0].ID, "answer": "approve"}
	for _, c := range []struct {
		name   string
		as     *client
		tool   string
		args   args
		reason string
	}{
		{"an agent decides", agent, "answer_wait", answer, "forbidden"},
		{"a viewer decides", viewer, "answer_wait", answer, "forbidden"},
		{"another namespace decides", foreign, "answer_wait", answer, "not_found"},
		{"a viewer starts", viewer, "start_run", args{"workflow": "code"}, "forbidden"},
		{"another namespace looks", foreign, "get_run", args{"run_id": r.ID}, "not_found"},
		{"another namespace reads", foreign, "get_ledger", args{"run_id": r.ID}, "not_found"},
		{"another namespace sends", foreign, "send_event", args{"scope_id": r.ID, "name": "paid"}, "not_found"},
		{"limited to another workflow", limited, "start_run", args{"workflow": "refund", "input": args{"amount": 1}}, "forbidden"},
		{"a workflow that there is not", agent, "start_run", args{"workflow": "x"}, "unknown_workflow"},
		{"an input that does not fit", agent, "run_refund", args{"amount": "much"}, "invalid_input"},
		{"an argument that is not known", viewer, "get_run", args{"run_id": r.ID, "x": 1}, "arguments cannot be used"},
		{"no wait", agent, "answer_wait", args{"answer": 1}, "wait_id"},
		{"a path as an id", viewer, "get_run", args{"run_id": "../waits"}, "not_found"},
	} {
		if no := c.as.call(t, c.tool, c.args, nil); !strings.Contains(no, c.reason) {
			t.Errorf("%s: %q, want %s", c.name, no, c.reason)
		}
	}
	tools, err := limited.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools.Tools {
		if tool.Name == "run_refund" {
			t.Error("a workflow that may not be started has a tool")
		}
	}
	if no := limited.call(t, "run_code", args{"any": "thing"}, &r); no != "" {
		t.Error(no)
	}
}

func TestMCPNeedsCredentials(t *testing.T) {
	s := newSite(t)
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: s.server.URL + "/mcp", DisableStandaloneSSE: true, MaxRetries: -1}, nil); err == nil {
		t.Error("connected without a token")
	}
}
