// Package mcpserver serves the gateway's API to programs that speak the Model Context Protocol (MCP): a few
// tools for runs, waits and events, and one tool for each workflow that can be started.
//
// Every tool is one request to the API, made with the caller's own credentials. So what a tool may do, what it is refused and what
// stands in the ledger is what the API says; there are no permissions here.
//
// The package knows the API's paths, and nothing of runtimes and stores.
package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide/gateway/api"
)

// Options refines a server. Nil means the defaults.
type Options struct {
	// Version is the program's. Defaults to "dev".
	Version string
	// Logger receives what goes wrong. Defaults to none.
	Logger *slog.Logger
}

// MetaKey is the member of a call's _meta that makes a change idempotent, as the header Idempotency-Key does for the API.
const MetaKey = "bide.dev/idempotency-key"

const instructions = "Runs of durable workflows. Start one with its own tool or with start_run; get_run with wait says when it has ended or waits for an answer; " +
	"list_waits shows what waits, and answer_wait answers, if your credentials may decide."

// Handler serves MCP over streamable HTTP, without sessions: mount it behind what authenticates h, which is the API. The
// credentials of each request go along to h.
func Handler(h http.Handler, opts *Options) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server { return New(forward(h, r), opts) }, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, PropagateRequestCancellation: true,
		DisableLocalhostProtection: true, // the host is checked where the request is authenticated, which knows of reverse proxies
	})
}

// Serve serves MCP on the process's standard input and output, until ctx or the input ends.
func Serve(ctx context.Context, a API, opts *Options) error {
	err := New(a, opts).Run(ctx, &mcp.StdioTransport{})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// New returns a server for one caller.
func New(a API, opts *Options) *mcp.Server {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{api: a, mcp: mcp.NewServer(&mcp.Implementation{Name: "bide", Version: o.Version},
		&mcp.ServerOptions{Instructions: instructions, Logger: o.Logger}), known: map[string]string{}}
	s.addTools()
	s.mcp.AddReceivingMiddleware(s.upToDate)
	return s.mcp
}

// server is the tools of one caller.
type server struct {
	api API
	mcp *mcp.Server

	mu    sync.Mutex
	known map[string]string // versions of the workflows that there are tools for, by tool
}

// runPrefix begins the names of the tools of workflows.
const runPrefix = "run_"

// upToDate looks for workflows before tools are listed, and before that of a workflow is called.
func (s *server) upToDate(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		call, _ := req.GetParams().(*mcp.CallToolParamsRaw)
		if method == "tools/list" || call != nil && strings.HasPrefix(call.Name, runPrefix) {
			if err := s.sync(ctx); err != nil {
				return nil, err
			}
		}
		return next(ctx, method, req)
	}
}

func (s *server) sync(ctx context.Context) error {
	var flows api.FlowList
	if err := s.get(ctx, "/v1/workflows", &flows); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[string]bool{}
	for _, f := range flows.Flows {
		name := runPrefix + f.ID
		there[name] = true
		if s.known[name] != f.Version {
			s.known[name] = f.Version
			s.addWorkflow(name, &f)
		}
	}
	var gone []string
	for name := range s.known {
		if !there[name] {
			gone = append(gone, name)
			delete(s.known, name)
		}
	}
	slices.Sort(gone)
	s.mcp.RemoveTools(gone...)
	return nil
}

// addWorkflow adds the tool of a workflow, whose arguments are its input. MCP wants an object; any other input is its member "input".
func (s *server) addWorkflow(name string, f *api.Flow) {
	var schema struct {
		Type any `json:"type"`
	}
	arguments, wrapped := json.RawMessage(`{"type":"object"}`), false
	if f.Schema != nil {
		arguments = f.Schema
		if json.Unmarshal(f.Schema, &schema) != nil || schema.Type != "object" {
			arguments, wrapped = json.RawMessage(`{"type":"object","properties":{"input":`+string(f.Schema)+`},"required":["input"],"additionalProperties":false}`), true
		}
	}
	title := f.Title
	if title == "" {
		title = f.ID
	}
	tool := &mcp.Tool{Name: name, Title: title, Description: fmt.Sprintf("Starts a run of the workflow %s (%s) and returns it. Use get_run to follow it.", f.ID, title), InputSchema: arguments}
	workflow, version := f.ID, f.Version
	s.mcp.AddTool(tool, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		input := req.Params.Arguments
		if wrapped {
			var in struct {
				Input json.RawMessage `json:"input"`
			}
			if err := json.Unmarshal(input, &in); err != nil {
				return refused(err), nil
			}
			input = in.Input
		}
		body, err := json.Marshal(api.StartRun{Workflow: workflow, Version: version, Input: input})
		if err != nil {
			return refused(err), nil
		}
		return s.do(ctx, req, http.MethodPost, "/v1/runs", body)
	})
}

// do makes a tool's request and returns its answer.
func (s *server) do(ctx context.Context, call *mcp.CallToolRequest, method, path string, body []byte) (*mcp.CallToolResult, error) {
	req, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return refused(err), nil
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key, ok := call.Params.Meta[MetaKey].(string); ok {
		req.Header.Set("Idempotency-Key", key)
	}
	status, text, err := s.api.ask(req)
	if err != nil {
		return refused(err), nil
	}
	result := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}, IsError: status >= 400}
	if !result.IsError && json.Valid(text) {
		result.StructuredContent = json.RawMessage(text)
	}
	return result, nil
}

// get reads what the API has.
func (s *server) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	status, text, err := s.api.ask(req)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		var p api.Problem
		if err := json.Unmarshal(text, &p); err != nil || p.Status == 0 {
			return fmt.Errorf("GET %s answers %d", path, status)
		}
		return &p
	}
	return json.Unmarshal(text, into)
}

func refused(err error) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: err.Error()}}}
}

// lookEvery is how often a tool that waits looks again.
const lookEvery = 200 * time.Millisecond
