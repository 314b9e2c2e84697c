package client

import (
	"context"
	"net/http"

	"github.com/bide-dev/bide/gateway/api"
)

// Checkpoint returns the newest signed checkpoint of the server's store, or bide.ErrNotFound.
func (c *Client) Checkpoint(ctx context.Context) (*api.Checkpoint, error) {
	return get[api.Checkpoint](ctx, c, nil, "checkpoint")
}

// WriteCheckpoint has the server sign what its ledgers say now.
func (c *Client) WriteCheckpoint(ctx context.Context, commandID string) (*api.Checkpoint, error) {
	return change[api.Checkpoint](ctx, c, http.MethodPost, commandID, nil, "checkpoint")
}

// Proof returns what proves a run, or with seq above zero one record of it, to others.
func (c *Client) Proof(ctx context.Context, runID string, seq int64) (*api.Proof, error) {
	return get[api.Proof](ctx, c, values("seq", number(seq)), "runs", runID, "proof")
}

// Bookmarks lists the marked points of runs: those with the tag, if any, and the text in name, note or run, if any.
func (c *Client) Bookmarks(ctx context.Context, tag, text string) (*api.BookmarkList, error) {
	return get[api.BookmarkList](ctx, c, values("tag", tag, "q", text), "bookmarks")
}

// CreateBookmark marks a record of a run.
func (c *Client) CreateBookmark(ctx context.Context, b api.NewBookmark, commandID string) (*api.Bookmark, error) {
	return change[api.Bookmark](ctx, c, http.MethodPost, commandID, b, "bookmarks")
}

// DeleteBookmark removes a bookmark; its run stays.
func (c *Client) DeleteBookmark(ctx context.Context, name, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("bookmarks", name), key: commandID}, nil)
}

// Retention archives and deletes trees of runs that ended long ago, or says which would go.
func (c *Client) Retention(ctx context.Context, req api.Retention, commandID string) (*api.RetentionResult, error) {
	return change[api.RetentionResult](ctx, c, http.MethodPost, commandID, req, "retention")
}

// Holds lists the trees of runs that must not be deleted.
func (c *Client) Holds(ctx context.Context) (*api.HoldList, error) {
	return get[api.HoldList](ctx, c, nil, "holds")
}

// HoldOf says why a run and its tree are kept: the hold on it, if there is one.
func (c *Client) HoldOf(ctx context.Context, runID string) (*api.HoldList, error) {
	return get[api.HoldList](ctx, c, nil, "runs", runID, "hold")
}

// Hold forbids the deletion of a run and all of its tree.
func (c *Client) Hold(ctx context.Context, runID, reason, commandID string) (*api.Hold, error) {
	return change[api.Hold](ctx, c, http.MethodPost, commandID, api.Change{Reason: reason}, "runs", runID, "hold")
}

// Unhold ends a hold.
func (c *Client) Unhold(ctx context.Context, runID, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("runs", runID, "hold"), key: commandID}, nil)
}

// Report tells what happened in a run and who decided what, as Markdown, or as a page of HTML.
func (c *Client) Report(ctx context.Context, runID string, html bool) (string, error) {
	format := "markdown"
	if html {
		format = "html"
	}
	var text plain
	err := c.do(ctx, call{method: http.MethodGet, path: path("runs", runID, "report"), query: values("format", format)}, &text)
	return string(text), err
}

// Case makes a recorded run of a flow a case of it.
func (c *Client) Case(ctx context.Context, runID string) (*api.Case, error) {
	return get[api.Case](ctx, c, nil, "runs", runID, "case")
}

// Compact gives back the space that deleted runs have left in the server's store. It fails with bide.ErrWrongStatus for a store
// that needs none, or not while it is served.
func (c *Client) Compact(ctx context.Context, commandID string) (*api.Compacted, error) {
	return change[api.Compacted](ctx, c, http.MethodPost, commandID, nil, "compact")
}

// SweepArtifacts removes artifacts of the server that no run and no document names any more, or counts them.
func (c *Client) SweepArtifacts(ctx context.Context, req api.Sweep, commandID string) (*api.Swept, error) {
	return change[api.Swept](ctx, c, http.MethodPost, commandID, req, "artifacts", "sweep")
}
