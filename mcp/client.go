package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

// Server says how to reach a server: exactly one of Command and URL is set. The
// values of Env and Header may refer to secrets as ${secret:NAME}.
type Server struct {
	// Name tells it from others; the names of its tools begin with it and two underscores.
	Name string `json:"name"`
	// Command is a program and its arguments. It has the environment Env, and PATH and HOME as they are here.
	Command []string          `json:"command,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	// URL is that of a streamable HTTP endpoint.
	URL    string            `json:"url,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	// Trusted believes what the server says of its tools: one that is read-only or
	// idempotent may then be called again after a crash. Defaults to no: what it says is shown, and
	// every tool counts as one that must not be called twice.
	Trusted bool `json:"trusted,omitempty"`
	// Timeout bounds one call, and AtOnce the calls of each tool; as in tool.Tool.
	Timeout bide.Duration `json:"timeout,omitempty"`
	AtOnce  int           `json:"at_once,omitempty"`
	// InputTimeout is how long a person has to answer what the server asks. Zero means forever.
	InputTimeout bide.Duration `json:"input_timeout,omitempty"`
}

// Client is the connection to one server. It is made when it is needed, and anew
// after it broke. It may be used from many goroutines.
type Client struct {
	server  Server
	secrets tool.Secrets
	now     func() time.Time
	sdk     *mcp.Client

	mu      sync.Mutex
	session *mcp.ClientSession
	secret  *tool.Revealed    // what was resolved for the session
	stale   bool              // the server may have changed its tools since they were looked at
	known   map[string]string // by the server's name of a tool: what was listed of it last
	waits   sync.WaitGroup
}

// Options refines a client. Nil means the defaults.
type Options struct {
	// Secrets resolves references in the configuration of the server.
	Secrets tool.Secrets
	// Now is the time, for the deadlines of waits. Defaults to the system's.
	Now func() time.Time
}

// New makes a client. It fails with bide.ErrInvalidInput when the server is misdescribed; it does not connect.
func New(server Server, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	if server.Name == "" || (len(server.Command) == 0) == (server.URL == "") {
		return nil, bide.Errorf(bide.CodeInvalidInput, "server %q needs a name, and either a command or a URL", server.Name)
	}
	c := &Client{server: server, secrets: opts.Secrets, now: opts.Now, secret: tool.Reveal(nil)}
	if c.now == nil {
		c.now = time.Now
	}
	c.sdk = mcp.NewClient(&mcp.Implementation{Name: "bide", Version: "1"}, &mcp.ClientOptions{
		MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true},
		Capabilities:   &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{Form: &mcp.FormElicitationCapabilities{}, URL: &mcp.URLElicitationCapabilities{}}},
		// A server of an older protocol asks while the call is held open. Nothing durable can be made of that.
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "cancel"}, nil
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { c.changed() },
	})
	return c, nil
}

// Close ends the connection; a server that is a process of ours is ended with it.
func (c *Client) Close() error {
	c.mu.Lock()
	session := c.session
	c.session = nil
	c.mu.Unlock()
	var err error
	if session != nil {
		err = session.Close()
	}
	c.waits.Wait()
	return c.hide(err)
}

func (c *Client) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
}

// hide keeps the secrets of the session out of an error.
func (c *Client) hide(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secret.HideIn(err)
}

// connected returns the session, and makes it when there is none.
func (c *Client) connected(ctx context.Context) (*mcp.ClientSession, *tool.Revealed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		return c.session, c.secret, nil
	}
	secret := tool.Reveal(c.secrets)
	transport, err := c.transport(ctx, secret)
	if err != nil {
		return nil, nil, secret.HideIn(err)
	}
	session, err := c.sdk.Connect(ctx, transport, nil)
	if err != nil {
		return nil, nil, secret.HideIn(fmt.Errorf("connect to server %s: %w", c.server.Name, err))
	}
	c.session, c.secret, c.stale = session, secret, true
	c.waits.Go(func() {
		_ = errors.Join(session.Wait(), session.Close()) // that it has ended is all there is to know: the next call connects again
		c.drop(session)
	})
	return session, secret, nil
}

// drop forgets a session that has ended.
func (c *Client) drop(session *mcp.ClientSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == session {
		c.session = nil
	}
}

func (c *Client) transport(ctx context.Context, secret *tool.Revealed) (mcp.Transport, error) {
	if c.server.URL != "" {
		header := http.Header{}
		for name, value := range c.server.Header {
			value, err := secret.Expand(ctx, value)
			if err != nil {
				return nil, err
			}
			header.Set(name, value)
		}
		url, err := secret.ExpandURL(ctx, c.server.URL)
		return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: withHeader{header}, CheckRedirect: stay}}, err
	}
	cmd := exec.Command(c.server.Command[0], c.server.Command[1:]...)
	cmd.Dir, cmd.Env = c.server.Dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for _, name := range slices.Sorted(maps.Keys(c.server.Env)) {
		value, err := secret.Expand(ctx, c.server.Env[name])
		if err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return &mcp.CommandTransport{Command: cmd, TerminateDuration: 2 * time.Second}, nil
}

// stay follows no redirect to another host: the header, with what is secret in it, is for the one of the configuration.
func stay(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	if len(via) >= 10 || req.URL.Host != from.Host || req.URL.Scheme != from.Scheme {
		return fmt.Errorf("a redirect leads to %s://%s, away from %s://%s, or is the tenth", req.URL.Scheme, req.URL.Host, from.Scheme, from.Host)
	}
	return nil
}

// withHeader adds a header to every request.
type withHeader struct{ header http.Header }

// RoundTrip implements http.RoundTripper.
func (h withHeader) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, values := range h.header {
		req.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(req)
}

// maxTools is how many tools of one server are taken.
const maxTools = 1000

// Tools lists the server's tools, of which there may be 1,000. The names of those of two servers differ. A name that models cannot be given is
// made one of letters, digits, _ and -, with a part of its hash.
func (c *Client) Tools(ctx context.Context) ([]tool.Tool, error) {
	session, _, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	var tools []tool.Tool
	for t, err := range session.Tools(ctx, nil) {
		if err == nil && len(tools) == maxTools {
			err = fmt.Errorf("there are more than %d", maxTools)
		}
		if err != nil {
			return nil, c.hide(fmt.Errorf("list the tools of server %s: %w", c.server.Name, err))
		}
		if known[t.Name], err = definition(t); err != nil {
			return nil, err
		}
		made, err := c.tool(t, known[t.Name])
		if err != nil {
			return nil, err
		}
		tools = append(tools, made)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.stale = known, false
	return tools, nil
}

// Changed reports whether the server may have other tools than those that it listed last.
func (c *Client) Changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stale
}

// tool makes a tool of one that the server lists, with its definition.
func (c *Client) tool(t *mcp.Tool, shown string) (tool.Tool, error) {
	schema, err := json.Marshal(t.InputSchema)
	if err != nil {
		return tool.Tool{}, fmt.Errorf("server %s, tool %s: %w", c.server.Name, t.Name, err)
	}
	out := tool.Tool{
		Name: nameOf(c.server.Name, t.Name), Description: t.Description, Schema: schema, Annotations: annotations(t),
		Source: bide.ToolSource{Kind: "mcp", Server: c.server.Name}, Outside: true,
		Timeout: time.Duration(c.server.Timeout), AtOnce: c.server.AtOnce,
	}
	switch {
	case c.server.Trusted && out.Annotations.ReadOnly:
		out.Safety = tool.ReadOnly
	case c.server.Trusted && out.Annotations.Idempotent:
		out.Safety = tool.Idempotent
	}
	out.Run = func(ctx context.Context, req *tool.Request) (tool.Reply, error) {
		return c.call(ctx, t.Name, shown, out.Safety, req)
	}
	return out, nil
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_-]`)

// nameOf is the name by which models call a tool of a server.
func nameOf(server, name string) string {
	const longest, hashed = 64, 8
	out := server + "__" + notInNames.ReplaceAllString(name, "_")
	if out == server+"__"+name && len(out) <= longest {
		return out
	}
	sum := sha256.Sum256([]byte(name))
	return out[:min(len(out), longest-1-hashed)] + "_" + hex.EncodeToString(sum[:hashed/2])
}

// annotations are what the server says of a tool; what it leaves out is as the protocol says.
func annotations(t *mcp.Tool) *bide.ToolAnnotations {
	a := &bide.ToolAnnotations{Destructive: true, OpenWorld: true}
	if in := t.Annotations; in != nil {
		a.ReadOnly, a.Idempotent = in.ReadOnlyHint, in.IdempotentHint
		if in.DestructiveHint != nil {
			a.Destructive = *in.DestructiveHint
		}
		if in.OpenWorldHint != nil {
			a.OpenWorld = *in.OpenWorldHint
		}
	}
	return a
}

// definition is what was listed of a tool, as text to compare.
func definition(t *mcp.Tool) (string, error) {
	raw, err := json.Marshal([]any{t.Description, t.InputSchema, annotations(t)})
	return string(raw), err
}

// unchanged checks that a tool is still what people and models were shown. The server is asked when it may have changed its
// tools since they were listed, which is so after the connection was made anew.
func (c *Client) unchanged(ctx context.Context, session *mcp.ClientSession, name, shown string) error {
	c.mu.Lock()
	stale, is := c.stale, c.known[name]
	c.mu.Unlock()
	if stale {
		var err error
		if is, err = c.defined(ctx, session, name); err != nil {
			return err
		}
	}
	switch is {
	case shown:
		return nil
	case "":
		return fmt.Errorf("server %s has no tool %s any more", c.server.Name, name)
	}
	return fmt.Errorf("server %s has changed the tool %s since it was listed; it has to be listed anew", c.server.Name, name)
}

// defined is what the server now says of a tool; empty when it has none of the name.
func (c *Client) defined(ctx context.Context, session *mcp.ClientSession, name string) (string, error) {
	seen := 0
	for t, err := range session.Tools(ctx, nil) {
		if seen++; err != nil || seen > maxTools {
			return "", err
		}
		if t.Name == name {
			return definition(t)
		}
	}
	return "", nil
}

var _ io.Closer = (*Client)(nil)
