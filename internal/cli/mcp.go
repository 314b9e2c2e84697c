package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/mcpserver"
)

func newMCP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "mcp",
		Short: "Serve runs, waits and flows as tools to a program that speaks MCP, on standard input and output",
		Long: `Serve the Model Context Protocol on standard input and output, for programs that start their tools by a
command: a tool for each flow, and a few for runs, waits and events.

With --server, every call goes to that server with the token in BIDE_TOKEN, whose rights count. Without, the
flows of the project are published in its store and a worker is at work; the program acts as agent:ACTOR,
may start, change and send, but answers no waits. A server also has MCP over HTTP, at /mcp.`,
		Example: `  bide mcp
  BIDE_TOKEN=bide_… bide mcp --server https://bide.example.com`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config(cmd)
			if err != nil {
				return err
			}
			opts := &mcpserver.Options{Version: buildVersion().Version}
			if server := cfg.get("server"); server != "" {
				base, err := url.Parse(server)
				if err != nil {
					return err
				}
				return mcpserver.Serve(cmd.Context(), mcpserver.At(base, &http.Client{Transport: bearer(a.getenv(tokenVariable))}), opts)
			}
			return a.mcpHere(cmd, opts)
		},
	}
}

// mcpHere serves MCP over the store of the configuration.
func (a *app) mcpHere(cmd *cobra.Command, opts *mcpserver.Options) error {
	on, err := a.newHost(cmd, false)
	if err != nil {
		return err
	}
	program := &auth.Principal{Actor: bide.AgentActor + strings.TrimPrefix(a.cfg.get("actor"), bide.AgentActor), Roles: []auth.Role{auth.Operator}}
	srv, err := on.gateway(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(auth.With(r.Context(), program)))
		})
	}, nil)
	if err != nil {
		return err
	}
	p := newPublisher(a, on.b)
	if err := p.look(cmd.Context()); err != nil {
		return err
	}
	on.beside = []work{{"publish the flows of the project", p.run}}
	return on.run(cmd.Context(), func(ctx context.Context) error {
		return mcpserver.Serve(ctx, mcpserver.Within(srv), opts)
	})
}

// bearer adds a token to requests; when it is empty, none.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(b))
	}
	return http.DefaultTransport.RoundTrip(r)
}
