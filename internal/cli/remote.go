package cli

import (
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/schedule"
)

// remote is the backend on a server: who acts is who the token is for.
type remote struct{ c *client.Client }

var _ backend = (*remote)(nil)

// tokenVariable is the variable of the environment with the token for the server. It is no setting, so that it is in no file and never shown.
const tokenVariable = "BIDE_TOKEN"

// remote returns the backend on the server of the configuration, or nil when it has none.
func (a *app) remote(cmd *cobra.Command) (*remote, error) {
	cfg, err := a.config(cmd)
	if err != nil || cfg.get("server") == "" {
		return nil, err
	}
	c, err := client.New(cfg.get("server"), &client.Options{Token: a.getenv(tokenVariable)})
	if err != nil {
		return nil, err
	}
	return &remote{c}, nil
}

// onStore refuses to act through a server, for commands that need the store itself.
func (a *app) onStore(cmd *cobra.Command) error {
	cfg, err := a.config(cmd)
	if err != nil || cfg.get("server") == "" {
		return err
	}
	p := &problem{code: exitUsage, what: cmd.CommandPath() + " works on the store itself, and not through the server " + cfg.get("server"),
		why: whyLocal(cmd.Name()) + "\nleave out --server (" + cfg.values["server"].from + "), and name the store with --store, on a machine that reaches it"}
	if cmd.Name() == "verify" {
		p.next = "bide export --to all.bide, and bide verify all.bide with the public keys"
	}
	return p
}

// whyLocal says of a command that needs the store itself why no server does its work.
func whyLocal(command string) string {
	switch command {
	case "work", "dev", "serve", "mcp":
		return "it drives the runs of a store with the providers, tools and secrets of this machine; a server has its own worker"
	case "backup":
		return "it writes a file beside the store, with all that is kept, rights and hashes of tokens included: those leave no server"
	case "copy":
		return "it needs both stores at once, and the keyrings of both; bide export and bide import move runs through servers"
	case "rewrap":
		return "it needs both the old keys and the new ones, which are on the machine of the store"
	case "verify":
		return "what checks the signatures of a server must not be the server; a file of its runs is checked without it"
	}
	return "it reads and writes what no server gives out"
}

// Close implements backend.
func (r *remote) Close(context.Context) error { return nil }

// Runs implements backend.
func (r *remote) Runs(ctx context.Context, q runsQuery) (*runsPage, error) {
	page, err := r.c.Runs(ctx, client.RunsQuery{Search: q.Search, Internal: q.Internal, Order: q.Order, Limit: q.Limit, Cursor: q.Cursor})
	if err != nil {
		return nil, err
	}
	return &runsPage{Runs: page.Runs, Next: page.Next}, nil
}

// Run implements backend.
func (r *remote) Run(ctx context.Context, id string, seq int64) (*bide.Run, error) {
	return r.c.Run(ctx, id, seq)
}

// Records implements backend.
func (r *remote) Records(ctx context.Context, id string, from int64, follow bool) iter.Seq2[bide.Record, error] {
	if follow {
		return r.c.Watch(ctx, id, from)
	}
	return r.c.Ledger(ctx, id, from)
}

// Waits implements backend.
func (r *remote) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	page, err := r.c.Waits(ctx, client.WaitsQuery{WaitQuery: q, Internal: true})
	if err != nil {
		return nil, err
	}
	out := &bide.WaitPage{Next: page.Next}
	for _, w := range page.Waits {
		out.Waits = append(out.Waits, w.Wait)
	}
	return out, nil
}

// Start implements backend.
func (r *remote) Start(ctx context.Context, req *startRequest) (*bide.Run, error) {
	if err := r.publish(ctx, req.Docs); err != nil {
		return nil, err
	}
	d := req.Docs[len(req.Docs)-1]
	return r.c.Start(ctx, api.StartRun{Workflow: d.ID(), Version: d.Version(), Input: req.Input, Key: req.Key, RunID: req.RunID, Session: req.Session,
		Labels: req.Labels, Timeout: bide.Duration(req.Timeout), MaxSteps: req.MaxSteps, Reason: req.Command.Reason}, req.Command.ID)
}

// publish uploads the flows that the server does not have: for those that it has, no right to upload is needed.
func (r *remote) publish(ctx context.Context, docs []*flow.Doc) error {
	for _, d := range docs {
		_, err := r.c.Workflow(ctx, d.ID(), d.Version())
		if errors.Is(err, bide.ErrUnknownWorkflow) {
			_, err = r.c.Upload(ctx, api.Upload{Source: string(d.Source()), Name: d.ID() + ".yaml"}, "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Change implements backend.
func (r *remote) Change(ctx context.Context, id string, v verb, cmd bide.Command) (err error) {
	switch v {
	case verbPause:
		_, err = r.c.Pause(ctx, id, cmd.Reason, cmd.ID)
	case verbUnpause:
		_, err = r.c.Unpause(ctx, id, cmd.Reason, cmd.ID)
	case verbCancel:
		_, err = r.c.Cancel(ctx, id, cmd.Reason, cmd.ID)
	case verbDelete:
		err = r.c.Delete(ctx, id, cmd.ID)
	case verbShred:
		_, err = r.c.Shred(ctx, id, cmd.Reason, cmd.ID)
	case verbRetry:
		err = r.retry(ctx, id, cmd)
	}
	return err
}

// retry opens a failed run again, and lets workers take one that was set aside.
func (r *remote) retry(ctx context.Context, id string, cmd bide.Command) error {
	aside, err := setAside(ctx, r, id)
	if err != nil {
		return err
	}
	if aside != "" {
		if err := r.c.Release(ctx, id, ""); err != nil {
			return err
		}
	}
	_, err = r.c.Retry(ctx, id, cmd.Reason, cmd.ID)
	if aside != "" && errors.Is(err, bide.ErrWrongStatus) {
		return nil // it had not failed: workers take it again, which is all there is to do
	}
	return err
}

// Answer implements backend.
func (r *remote) Answer(ctx context.Context, waitID string, answer bide.JSON, cmd bide.Command) (*bide.Run, error) {
	done, err := r.c.Answer(ctx, waitID, answer, cmd.ID)
	if err != nil {
		return nil, err
	}
	return r.c.Run(ctx, done.Wait.RunID, done.Wait.Decision.Seq)
}

// Send implements backend.
func (r *remote) Send(ctx context.Context, e bide.Event) error {
	payload, err := json.Marshal(e.Payload)
	if err != nil {
		return err
	}
	_, err = r.c.Send(ctx, api.Event{ID: e.ID, Scope: e.Scope, ScopeID: e.ScopeID, Name: e.Name, Payload: payload, Keep: bide.Duration(e.Keep)}, "")
	return err
}

// ForkPreview implements backend.
func (r *remote) ForkPreview(ctx context.Context, id string, seq int64) ([]bide.ForkEffect, error) {
	preview, err := r.c.ForkPreview(ctx, id, seq)
	if err != nil {
		return nil, err
	}
	return preview.Effects, nil
}

// Fork implements backend.
func (r *remote) Fork(ctx context.Context, id string, seq int64, o *bide.ForkOptions) (*bide.Run, error) {
	return r.c.Fork(ctx, id, api.Fork{Seq: seq, RunID: o.RunID, Writes: o.Writes, Labels: o.Labels, Reason: o.Reason}, o.ID)
}

// Migrate implements backend.
func (r *remote) Migrate(ctx context.Context, id, version string, cmd bide.Command) (*bide.Run, error) {
	return r.c.Migrate(ctx, id, api.Migrate{Version: version, Reason: cmd.Reason}, cmd.ID)
}

// Verify implements backend.
func (r *remote) Verify(ctx context.Context, id string) (*verification, error) {
	v, err := r.c.Verify(ctx, id)
	if err != nil {
		return nil, err
	}
	return &verification{RunID: v.RunID, Records: v.Records, Head: v.Head}, nil
}

// Replay implements backend.
func (r *remote) Replay(ctx context.Context, id string) (*bide.Divergence, error) {
	d, err := r.c.Replay(ctx, id)
	if err != nil {
		return nil, err
	}
	return d.Divergence, nil
}

// Schedules implements backend.
func (r *remote) Schedules(ctx context.Context) (all []schedule.Schedule, err error) {
	for cursor := ""; ; {
		page, err := r.c.Schedules(ctx, 1000, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Schedules...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// Schedule implements backend.
func (r *remote) Schedule(ctx context.Context, name string) (*schedule.Schedule, error) {
	return r.c.Schedule(ctx, name)
}

// AddSchedule implements backend.
func (r *remote) AddSchedule(ctx context.Context, docs []*flow.Doc, spec schedule.Spec, cmd bide.Command) (*schedule.Schedule, error) {
	if err := r.publish(ctx, docs); err != nil {
		return nil, err
	}
	d := docs[len(docs)-1]
	spec.Workflow, spec.Version = d.ID(), d.Version()
	return r.c.CreateSchedule(ctx, spec, cmd.ID)
}

// ChangeSchedule implements backend.
func (r *remote) ChangeSchedule(ctx context.Context, name string, v verb, cmd bide.Command) (err error) {
	switch v {
	case verbPause:
		_, err = r.c.PauseSchedule(ctx, name, cmd.Reason, cmd.ID)
	case verbUnpause:
		_, err = r.c.UnpauseSchedule(ctx, name, cmd.Reason, cmd.ID)
	case verbDelete:
		err = r.c.DeleteSchedule(ctx, name, cmd.ID)
	default:
		err = bide.Errorf(bide.CodeInvalidInput, "a schedule cannot be changed by %q", v)
	}
	return err
}

// Workers implements backend.
func (r *remote) Workers(ctx context.Context) ([]api.Worker, error) {
	l, err := r.c.Workers(ctx)
	if err != nil {
		return nil, err
	}
	return l.Workers, nil
}

// Drain implements backend.
func (r *remote) Drain(ctx context.Context, id string, drained bool) (*api.Worker, error) {
	return r.c.DrainWorker(ctx, id, drained, "")
}
