package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/llm"
)

// RunsQuery selects runs by a search; see `bide help search`.
type RunsQuery struct {
	Search   string
	Internal bool   // with runs of bide itself
	Order    string // created (the default), created_asc, updated, updated_asc, status or status_desc
	Limit    int    // at most this many on a page. Defaults to 100, at most 1000.
	Cursor   string // from RunPage.Next
}

// Runs lists runs, newest first unless another order is asked for. A page may be shorter than the limit and not the last.
func (c *Client) Runs(ctx context.Context, q RunsQuery) (*api.RunPage, error) {
	return get[api.RunPage](ctx, c, q.values(), "runs")
}

func (q *RunsQuery) values() url.Values {
	return values("q", q.Search, "internal", flag(q.Internal), "order", q.Order, "limit", number(q.Limit), "cursor", q.Cursor)
}

// Start begins a run. Every change takes the id of its command, or makes one when it is empty.
func (c *Client) Start(ctx context.Context, req api.StartRun, commandID string) (*bide.Run, error) {
	return change[bide.Run](ctx, c, http.MethodPost, commandID, req, "runs")
}

// Run returns a run as it was after record seq, or as it is now when seq is 0.
func (c *Client) Run(ctx context.Context, id string, seq int64) (*bide.Run, error) {
	return get[bide.Run](ctx, c, values("at", number(seq)), "runs", id)
}

// Tree returns a run and all runs below it.
func (c *Client) Tree(ctx context.Context, id string) (*api.Tree, error) {
	return get[api.Tree](ctx, c, nil, "runs", id, "tree")
}

// Pause freezes a run until Unpause.
func (c *Client) Pause(ctx context.Context, id, reason, commandID string) (*bide.Run, error) {
	return c.changeRun(ctx, id, "pause", reason, commandID)
}

// Unpause lets a paused run go on.
func (c *Client) Unpause(ctx context.Context, id, reason, commandID string) (*bide.Run, error) {
	return c.changeRun(ctx, id, "unpause", reason, commandID)
}

// Cancel ends a run.
func (c *Client) Cancel(ctx context.Context, id, reason, commandID string) (*bide.Run, error) {
	return c.changeRun(ctx, id, "cancel", reason, commandID)
}

// Retry opens a failed run again.
func (c *Client) Retry(ctx context.Context, id, reason, commandID string) (*bide.Run, error) {
	return c.changeRun(ctx, id, "retry", reason, commandID)
}

// Shred destroys the content of an encrypted run that has ended, and of all below it, for good.
func (c *Client) Shred(ctx context.Context, id, reason, commandID string) (*bide.Run, error) {
	return c.changeRun(ctx, id, "shred", reason, commandID)
}

func (c *Client) changeRun(ctx context.Context, id, verb, reason, commandID string) (*bide.Run, error) {
	return change[bide.Run](ctx, c, http.MethodPost, commandID, api.Change{Reason: reason}, "runs", id, verb)
}

// Delete removes an ended run with all runs below it.
func (c *Client) Delete(ctx context.Context, id, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("runs", id), key: commandID}, nil)
}

// Release lets workers take a run that was set aside.
func (c *Client) Release(ctx context.Context, id, commandID string) error {
	return c.do(ctx, call{method: http.MethodPost, path: path("runs", id, "release"), key: commandID}, nil)
}

// Fork starts a new run from a record of another.
func (c *Client) Fork(ctx context.Context, id string, req api.Fork, commandID string) (*bide.Run, error) {
	return change[bide.Run](ctx, c, http.MethodPost, commandID, req, "runs", id, "fork")
}

// ForkPreview lists what a fork from a record would make happen again.
func (c *Client) ForkPreview(ctx context.Context, id string, seq int64) (*api.ForkPreview, error) {
	return get[api.ForkPreview](ctx, c, values("seq", number(seq)), "runs", id, "fork")
}

// Migrate moves a run to another version of its workflow, if that would have decided the same.
func (c *Client) Migrate(ctx context.Context, id string, req api.Migrate, commandID string) (*bide.Run, error) {
	return change[bide.Run](ctx, c, http.MethodPost, commandID, req, "runs", id, "migrate")
}

// Ledger yields a run's records in order from number from on (0 and 1 both mean all).
func (c *Client) Ledger(ctx context.Context, id string, from int64) iter.Seq2[bide.Record, error] {
	return func(yield func(bide.Record, error) bool) {
		for next := max(from, 1); ; {
			page, err := get[api.Ledger](ctx, c, values("from", number(next), "limit", "1000"), "runs", id, "ledger")
			if err != nil {
				yield(bide.Record{}, err)
				return
			}
			for _, raw := range page.Records {
				rec, err := bide.ParseRecord(raw)
				if !yield(rec, err) || err != nil {
					return
				}
			}
			if next = page.Next; next == 0 {
				return
			}
		}
	}
}

// Command returns what a command did to a run, or bide.ErrNotFound.
func (c *Client) Command(ctx context.Context, runID, commandID string) (*api.CommandStatus, error) {
	return get[api.CommandStatus](ctx, c, nil, "runs", runID, "commands", commandID)
}

// Verify checks the whole ledger of a run, in the server.
func (c *Client) Verify(ctx context.Context, id string) (*api.Verification, error) {
	return get[api.Verification](ctx, c, nil, "runs", id, "verification")
}

// Replay decides every step of a run again, in the server.
func (c *Client) Replay(ctx context.Context, id string) (*api.Replay, error) {
	return get[api.Replay](ctx, c, nil, "runs", id, "replay")
}

// Usage returns what the calls of models of a run took; with tree, of all runs below it too.
func (c *Client) Usage(ctx context.Context, id string, tree bool) (*llm.Spending, error) {
	return get[llm.Spending](ctx, c, values("tree", flag(tree)), "runs", id, "usage")
}

// Output returns the output of a run, or why it failed; both are empty before its end.
func (c *Client) Output(ctx context.Context, id string) (*api.Output, error) {
	return get[api.Output](ctx, c, nil, "runs", id, "output")
}

// UsageOf lists what the calls of models took of the runs that match a search, and asked models. A page may be empty and not the last.
func (c *Client) UsageOf(ctx context.Context, q RunsQuery) (*api.UsagePage, error) {
	return get[api.UsagePage](ctx, c, q.values(), "usage")
}
