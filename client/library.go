package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/schedule"
)

// Workflows lists what can be started.
func (c *Client) Workflows(ctx context.Context) (*api.FlowList, error) {
	return get[api.FlowList](ctx, c, nil, "workflows")
}

// Workflow returns a version of a flow or workflow; without version, the newest.
func (c *Client) Workflow(ctx context.Context, id, version string) (*api.Flow, error) {
	if version == "" {
		version = "newest"
	}
	return get[api.Flow](ctx, c, nil, "workflows", id, "versions", version)
}

// Graph returns what leads where in a version of a flow or workflow; without version, the newest.
func (c *Client) Graph(ctx context.Context, id, version string) (*api.Graph, error) {
	if version == "" {
		version = "newest"
	}
	return get[api.Graph](ctx, c, nil, "workflows", id, "versions", version, "graph")
}

// Upload publishes a flow document.
func (c *Client) Upload(ctx context.Context, doc api.Upload, commandID string) (*api.Flow, error) {
	return change[api.Flow](ctx, c, http.MethodPost, commandID, doc, "workflows")
}

// Schedules lists schedules, newest first. A page may be shorter than the limit and not the last.
func (c *Client) Schedules(ctx context.Context, limit int, cursor string) (*api.ScheduleList, error) {
	return get[api.ScheduleList](ctx, c, values("limit", number(limit), "cursor", cursor), "schedules")
}

// Schedule returns one by its name.
func (c *Client) Schedule(ctx context.Context, name string) (*schedule.Schedule, error) {
	return get[schedule.Schedule](ctx, c, nil, "schedules", name)
}

// ScheduleTimes says when a schedule starts runs next, limit times at most. Limit defaults to 10.
func (c *Client) ScheduleTimes(ctx context.Context, name string, limit int) (*api.ScheduleTimes, error) {
	return get[api.ScheduleTimes](ctx, c, values("limit", number(limit)), "schedules", name, "times")
}

// CreateSchedule makes a schedule.
func (c *Client) CreateSchedule(ctx context.Context, spec schedule.Spec, commandID string) (*schedule.Schedule, error) {
	return change[schedule.Schedule](ctx, c, http.MethodPost, commandID, spec, "schedules")
}

// UpdateSchedule gives a schedule another spec; it goes by it soon.
func (c *Client) UpdateSchedule(ctx context.Context, spec schedule.Spec, commandID string) (*schedule.Schedule, error) {
	return change[schedule.Schedule](ctx, c, http.MethodPut, commandID, spec, "schedules", spec.Name)
}

// PauseSchedule keeps a schedule from starting runs.
func (c *Client) PauseSchedule(ctx context.Context, name, reason, commandID string) (*schedule.Schedule, error) {
	return change[schedule.Schedule](ctx, c, http.MethodPost, commandID, api.Change{Reason: reason}, "schedules", name, "pause")
}

// UnpauseSchedule lets a paused schedule go on.
func (c *Client) UnpauseSchedule(ctx context.Context, name, reason, commandID string) (*schedule.Schedule, error) {
	return change[schedule.Schedule](ctx, c, http.MethodPost, commandID, api.Change{Reason: reason}, "schedules", name, "unpause")
}

// TriggerSchedule starts a run of a schedule now.
func (c *Client) TriggerSchedule(ctx context.Context, name, reason, commandID string) (*schedule.Schedule, error) {
	return change[schedule.Schedule](ctx, c, http.MethodPost, commandID, api.Change{Reason: reason}, "schedules", name, "trigger")
}

// DeleteSchedule ends a schedule.
func (c *Client) DeleteSchedule(ctx context.Context, name, commandID string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: path("schedules", name), key: commandID}, nil)
}

// PutArtifact keeps what it reads from r until the end. It is not sent again when that fails.
func (c *Client) PutArtifact(ctx context.Context, r io.Reader) (*api.Artifact, error) {
	out := &api.Artifact{}
	return out, c.upload(ctx, path("artifacts"), r, out)
}

// upload sends a body as it is read, and reads the answer into out.
func (c *Client) upload(ctx context.Context, at string, body io.Reader, out any) error {
	resp, err := c.blob(ctx, http.MethodPost, at, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s does not answer as a bide server does: %w", c.base, err)
	}
	return nil
}

// Artifact opens a blob by its SHA-256, or fails with bide.ErrNotFound. Close it after use. One that a tool kept is opened with the run whose
// effects gave it; others need none.
func (c *Client) Artifact(ctx context.Context, sum, runID string) (io.ReadCloser, error) {
	at := path("artifacts", sum)
	if runID != "" {
		at += "?" + values("run", runID).Encode()
	}
	resp, err := c.blob(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c *Client) blob(ctx context.Context, method, at string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+at, body)
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the request cannot be made: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Header.Set("Expect", "100-continue") // a refusal comes before the body goes
	}
	if c.opts.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Token)
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return nil, c.unreached(err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	return nil, refusal(resp, raw)
}

// Workers lists the workers of the store.
func (c *Client) Workers(ctx context.Context) (*api.WorkerList, error) {
	return get[api.WorkerList](ctx, c, nil, "workers")
}

// DrainWorker lets a worker take on no more runs, or, when drained is false, take on runs again.
func (c *Client) DrainWorker(ctx context.Context, id string, drained bool, commandID string) (*api.Worker, error) {
	verb := "undrain"
	if drained {
		verb = "drain"
	}
	return change[api.Worker](ctx, c, http.MethodPost, commandID, nil, "workers", id, verb)
}

// Me says who the client's credentials are, and what they may do.
func (c *Client) Me(ctx context.Context) (*api.Me, error) {
	return get[api.Me](ctx, c, nil, "me")
}

// Ready reports how the server is: an error when it cannot be reached or cannot work.
func (c *Client) Ready(ctx context.Context) (*api.Health, error) {
	out := &api.Health{}
	err := c.do(ctx, call{method: http.MethodGet, path: "/readyz", query: url.Values{}}, out)
	return out, err
}
