package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

// keyMeta is the member of a call's _meta that carries its idempotency key.
const keyMeta = "bide.dev/idempotency-key"

// call makes one round of a call: from the beginning, or with the answers to
// what the server asked last.
func (c *Client) call(ctx context.Context, name, shown string, safety tool.Safety, req *tool.Request) (tool.Reply, error) {
	session, secret, err := c.connected(ctx)
	if err != nil {
		return tool.Reply{}, tool.Transient(err)
	}
	if err := c.unchanged(ctx, session, name, shown); err != nil {
		return tool.Reply{}, secret.HideIn(err)
	}
	params := &mcp.CallToolParams{Meta: mcp.Meta{keyMeta: req.Key}, Name: name, Arguments: req.Args}
	if n := len(req.Answered); n > 0 {
		if err := goOn(params, &req.Answered[n-1]); err != nil {
			return tool.Reply{}, err
		}
	}
	if err := c.keep(ctx, req, secret, "request", params); err != nil {
		return tool.Reply{}, err
	}
	res, err := session.CallTool(ctx, params)
	if err != nil {
		return tool.Reply{}, c.broken(session, secret.HideIn(err), safety)
	}
	// The call has happened: what is lost of its evidence is marked there.
	lost := c.keep(ctx, req, secret, "response", res)
	if res.NeedsInput() {
		reply, err := c.ask(res)
		if err != nil {
			return tool.Reply{}, errors.Join(err, lost)
		}
		return reply, nil
	}
	content, err := contentOf(res)
	if err != nil {
		return tool.Reply{}, errors.Join(err, lost)
	}
	return tool.Reply{Content: json.RawMessage(secret.Hide(string(content))), IsError: res.IsError}, nil
}

// broken says what is known of a call that ended with an error: the server's
// own word, or that it was told to stop, or that the connection broke.
func (c *Client) broken(session *mcp.ClientSession, err error, safety tool.Safety) error {
	var word *jsonrpc.Error
	told := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if told || errors.As(err, &word) && !errors.Is(err, mcp.ErrConnectionClosed) {
		return err
	}
	c.drop(session)
	if safety == tool.Once {
		return fmt.Errorf("the connection to server %s broke; whether the call happened is not known: %w", c.server.Name, err)
	}
	return tool.Transient(err)
}

func (c *Client) keep(ctx context.Context, req *tool.Request, secret *tool.Revealed, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return req.Keep(ctx, name, []byte(secret.Hide(string(raw))))
}

// contentOf is what a model reads of a result: its structured content, or its
// texts, or, when there is something else among them, all of it as it came.
func contentOf(res *mcp.CallToolResult) (json.RawMessage, error) {
	if res.StructuredContent != nil {
		return json.Marshal(res.StructuredContent)
	}
	var texts []string
	for _, part := range res.Content {
		text, ok := part.(*mcp.TextContent)
		if !ok {
			return json.Marshal(res.Content)
		}
		texts = append(texts, text.Text)
	}
	return json.Marshal(strings.Join(texts, "\n"))
}

// state is what a wait keeps for the next round.
type state struct {
	RequestState string `json:"request_state,omitempty"`
}

// ask makes a wait of what the server asks: a form with one member for each of
// its requests, whose answer is what the protocol wants to have back.
func (c *Client) ask(res *mcp.CallToolResult) (tool.Reply, error) {
	if len(res.InputRequests) == 0 {
		return tool.Reply{}, tool.Transient(fmt.Errorf("server %s is busy", c.server.Name))
	}
	schema := map[string]any{"type": "object", "additionalProperties": false, "required": slices.Sorted(maps.Keys(res.InputRequests))}
	properties := map[string]any{}
	var messages []string
	for _, id := range slices.Sorted(maps.Keys(res.InputRequests)) {
		in, ok := res.InputRequests[id].(*mcp.ElicitParams)
		if !ok {
			return tool.Reply{}, fmt.Errorf("server %s asks for %T, which is not offered", c.server.Name, res.InputRequests[id])
		}
		text := in.Message
		if in.URL != "" {
			text += " " + in.URL
		}
		messages = append(messages, text)
		properties[id] = answerSchema(in)
	}
	schema["properties"] = properties
	raw, err := json.Marshal(schema)
	if err != nil {
		return tool.Reply{}, err
	}
	kept, err := json.Marshal(state{res.RequestState})
	if err != nil {
		return tool.Reply{}, err
	}
	w := &bide.Wait{Kind: bide.WaitForm, Message: strings.Join(messages, "\n"), Schema: raw, State: kept}
	if c.server.InputTimeout > 0 {
		w.ExpiresAt = c.now().Add(time.Duration(c.server.InputTimeout))
	}
	return tool.Reply{Wait: w}, nil
}

// answerSchema is that of the protocol's answer to one request.
func answerSchema(in *mcp.ElicitParams) any {
	action := func(names ...string) map[string]any { return map[string]any{"enum": names} }
	accept := map[string]any{"type": "object", "additionalProperties": false, "required": []string{"action"},
		"properties": map[string]any{"action": action("accept")}}
	if in.RequestedSchema != nil {
		accept["required"] = []string{"action", "content"}
		accept["properties"] = map[string]any{"action": action("accept"), "content": in.RequestedSchema}
	}
	refuse := map[string]any{"type": "object", "additionalProperties": false, "required": []string{"action"},
		"properties": map[string]any{"action": action("decline", "cancel")}}
	return map[string]any{"title": in.Message, "anyOf": []any{accept, refuse}}
}

// goOn puts an answer and the server's state into the next round.
func goOn(params *mcp.CallToolParams, a *bide.Answered) error {
	var kept state
	if err := json.Unmarshal(a.Wait.State, &kept); err != nil {
		return fmt.Errorf("the state of the call cannot be read: %w", err)
	}
	params.RequestState = kept.RequestState
	if err := json.Unmarshal(a.Decision.Answer, &params.InputResponses); err != nil {
		return fmt.Errorf("the answer for the server cannot be read: %w", err)
	}
	return nil
}
