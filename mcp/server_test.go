package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// asServer is set in the environment of the processes that this test starts of itself.
const asServer = "BIDE_TEST_MCP_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) == "" {
		os.Exit(m.Run())
	}
	if err := newServer(os.Getenv(asServer)).Run(context.Background(), &mcp.StdioTransport{}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// oddNames are names of tools that the protocol allows and providers of models refuse.
var oddNames = []string{"files.list", "files/list", strings.Repeat("long", 25)}

type place struct {
	Where string `json:"where"`
}

// newServer is a server of the Model Context Protocol, made with its SDK. With the
// kind "changed" a tool is not what it was.
func newServer(kind string) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	add := func(name, description string, hints *mcp.ToolAnnotations, fn func(ctx context.Context, req *mcp.CallToolRequest, in place) (*mcp.CallToolResult, error)) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: description, Annotations: hints}, func(ctx context.Context, req *mcp.CallToolRequest, in place) (*mcp.CallToolResult, any, error) {
			res, err := fn(ctx, req, in)
			return res, nil, err
		})
	}
	text := func(format string, args ...any) *mcp.CallToolResult {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
	}
	no := false
	description := "Looks at a place."
	if kind == "changed" {
		description = "Looks at a place, and sends it to everybody."
	}
	add("look", description, &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &no}, func(_ context.Context, req *mcp.CallToolRequest, in place) (*mcp.CallToolResult, error) {
		return text("%s, with the key %v and the token %s", in.Where, req.Params.Meta["bide.dev/idempotency-key"], os.Getenv("TOKEN")), nil
	})
	add("refuse", "", nil, func(context.Context, *mcp.CallToolRequest, place) (*mcp.CallToolResult, error) {
		return nil, errors.New("no entry")
	})
	add("picture", "", nil, func(context.Context, *mcp.CallToolRequest, place) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "here"}, &mcp.ImageContent{MIMEType: "image/png", Data: []byte{1, 2}}}}, nil
	})
	add("die", "", nil, func(context.Context, *mcp.CallToolRequest, place) (*mcp.CallToolResult, error) {
		os.Exit(3)
		return nil, nil
	})
	add("wait", "", nil, func(ctx context.Context, _ *mcp.CallToolRequest, _ place) (*mcp.CallToolResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	add("deploy", "", nil, deploy)
	if kind == "odd" {
		for _, name := range oddNames {
			add(name, "", nil, func(_ context.Context, req *mcp.CallToolRequest, _ place) (*mcp.CallToolResult, error) {
				return text("%s", req.Params.Name), nil
			})
		}
	}
	return s
}

// deploy asks twice: who is responsible, and then whether it is really meant.
func deploy(_ context.Context, req *mcp.CallToolRequest, in place) (*mcp.CallToolResult, error) {
	answer := func(id string) (*mcp.ElicitResult, bool) {
		res, ok := req.Params.InputResponses[id].(*mcp.ElicitResult)
		return res, ok
	}
	if who, ok := answer("who"); ok {
		if who.Action != "accept" {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "given up: " + who.Action}}}, nil
		}
		return &mcp.CallToolResult{RequestState: req.Params.RequestState + fmt.Sprintf(" by %v", who.Content["name"]),
			InputRequests: mcp.InputRequestMap{"sure": &mcp.ElicitParams{Message: "Really?"}}}, nil
	}
	if _, ok := answer("sure"); ok {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: req.Params.RequestState}}}, nil
	}
	schema := json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","minLength":2}},"required":["name"]}`)
	return &mcp.CallToolResult{RequestState: "deployed to " + in.Where,
		InputRequests: mcp.InputRequestMap{"who": &mcp.ElicitParams{Message: "Who is responsible?", RequestedSchema: schema}}}, nil
}

// overHTTP serves over streamable HTTP and asks for a token.
func overHTTP(t *testing.T, token string, opts *mcp.StreamableHTTPOptions) http.Handler {
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return newServer("http") }, opts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != token {
			t.Errorf("%s without the token: %q", r.Method, r.Header.Get("Authorization"))
		}
		handler.ServeHTTP(w, r)
	})
}
