package client

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// WaitsQuery selects open waits.
type WaitsQuery struct {
	bide.WaitQuery
	Mine     bool // only those that the caller may answer
	Internal bool // with those of bide itself
}

// Waits lists open waits, oldest first. A page may be shorter than the limit and not the last.
func (c *Client) Waits(ctx context.Context, q WaitsQuery) (*api.WaitPage, error) {
	v := values("key", q.Key, "run", q.Run, "root", q.Root, "limit", number(q.Limit), "cursor", q.Cursor, "mine", flag(q.Mine), "internal", flag(q.Internal))
	for _, k := range q.Kinds {
		v.Add("kind", string(k))
	}
	return get[api.WaitPage](ctx, c, v, "waits")
}

// Wait returns a wait, open or not.
func (c *Client) Wait(ctx context.Context, id string) (*api.Wait, error) {
	return get[api.Wait](ctx, c, nil, "waits", id)
}

// Answer resolves a wait with an answer as Runtime.Resume takes it. It looks at the wait first, for its kind.
func (c *Client) Answer(ctx context.Context, waitID string, answer any, commandID string) (*api.Accepted, error) {
	w, err := c.Wait(ctx, waitID)
	if err != nil {
		return nil, err
	}
	body := answer
	if !api.AnswerIsBody(w.Kind) {
		body = map[string]any{"answer": answer}
	}
	return change[api.Accepted](ctx, c, http.MethodPost, commandID, body, "waits", waitID, "answer")
}

// Link makes a link that opens one wait without credentials. Its path is below the address of the server.
func (c *Client) Link(ctx context.Context, waitID string, spec api.NewLink) (*api.Link, error) {
	return change[api.Link](ctx, c, http.MethodPost, "", spec, "waits", waitID, "link")
}

// Links lists the links to a wait, without what opens them.
func (c *Client) Links(ctx context.Context, waitID string) (*api.LinkList, error) {
	return get[api.LinkList](ctx, c, nil, "waits", waitID, "links")
}

// RevokeLink ends a link at once.
func (c *Client) RevokeLink(ctx context.Context, id, commandID string) (*api.KeptLink, error) {
	return change[api.KeptLink](ctx, c, http.MethodDelete, commandID, nil, "links", id)
}

// Send delivers an event and returns it with its id.
func (c *Client) Send(ctx context.Context, e api.Event, commandID string) (*api.Event, error) {
	return change[api.Event](ctx, c, http.MethodPost, commandID, e, "events")
}
