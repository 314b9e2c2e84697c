package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/ledger/retention"
)

const tagRetention = "retention"

func (s *Server) registerRetention() {
	register(s, operation{id: "apply-retention", method: http.MethodPost, path: "/v1/retention", tag: tagRetention, right: auth.Admin, long: true,
		summary: "Archive and delete trees of runs that ended long ago", about: "Trees under a hold stay. On a store with checkpoints the server needs its key, which signs a tombstone for every run. Cut off, the same request finishes it."}, s.applyRetention)
	register(s, operation{id: "list-holds", method: http.MethodGet, path: "/v1/holds", tag: tagRetention, right: auth.Admin,
		summary: "The trees that must not be deleted"}, s.listHolds)
	register(s, operation{id: "get-hold", method: http.MethodGet, path: "/v1/runs/{run}/hold", tag: tagRetention, right: auth.View,
		summary: "Why a run and its tree are kept", about: "The hold on its tree; an empty list when there is none."}, s.getHold)
	register(s, operation{id: "hold-run", method: http.MethodPost, path: "/v1/runs/{run}/hold", tag: tagRetention, right: auth.Admin,
		summary: "Forbid the deletion of a run and all of its tree"}, s.holdRun)
	register(s, operation{id: "unhold-run", method: http.MethodDelete, path: "/v1/runs/{run}/hold", tag: tagRetention, right: auth.Admin, status: http.StatusNoContent,
		summary: "End a hold", about: "A run without a hold is left as it is."}, s.unholdRun)
}

type applyRetention struct {
	Keyed
	Body api.Retention
}

func (s *Server) applyRetention(ctx context.Context, in *applyRetention) (*result[api.RetentionResult], error) {
	if err := wide(ctx); err != nil {
		return nil, err
	}
	o := retention.Options{Limit: in.Body.Limit, DryRun: in.Body.DryRun, Log: s.opts.Log, Now: s.opts.Clock}
	if o.Limit == 0 {
		o.Limit = 100
	}
	for _, r := range in.Body.Rules {
		o.Rules = append(o.Rules, retention.Rule{Workflow: r.Workflow, Status: bide.Status(r.Status), After: r.After})
	}
	if o.Log == nil && !o.DryRun {
		if err := retention.NeedsLog(ctx, s.store); err != nil {
			return nil, err
		}
	}
	if in.Body.Archive {
		if s.opts.Artifacts == nil {
			return nil, errNoArtifacts()
		}
		o.Archive = s.archive
	}
	done, err := retention.Apply(ctx, s.rt, s.store, o)
	if err != nil {
		return nil, err
	}
	out := &api.RetentionResult{Removed: []api.RemovedTree{}, Held: done.Held, Active: done.Active, More: done.More}
	for _, r := range done.Removed {
		tree := api.RemovedTree{RunID: r.Root.ID, Workflow: r.Root.Workflow, Status: r.Root.Status, EndedAt: r.Root.EndedAt, Runs: r.Runs}
		if r.Archive != (bide.Hash{}) {
			tree.Archive = r.Archive.String()
		}
		out.Removed = append(out.Removed, tree)
	}
	return ok(out), nil
}

// archive keeps the export of a tree as an artifact.
func (s *Server) archive(ctx context.Context, _ *bide.RunInfo, write func(io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		w.CloseWithError(err)
		written <- err
	}()
	_, _, err := s.opts.Artifacts.Put(ctx, r)
	r.CloseWithError(err) // nobody reads on
	return errors.Join(err, <-written)
}

func (s *Server) listHolds(ctx context.Context, _ *struct{}) (*result[api.HoldList], error) {
	if err := wide(ctx); err != nil {
		return nil, err
	}
	holds, err := retention.Holds(ctx, s.store)
	if err != nil {
		return nil, err
	}
	out := &api.HoldList{Holds: make([]api.Hold, len(holds))}
	for i, h := range holds {
		out.Holds[i] = api.Hold(h)
	}
	return ok(out), nil
}

func (s *Server) getHold(ctx context.Context, in *OneRun) (*result[api.HoldList], error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	out := &api.HoldList{Holds: []api.Hold{}}
	hold, err := retention.HoldOf(ctx, s.store, run.Root)
	if err == nil {
		out.Holds = append(out.Holds, api.Hold(*hold))
	} else if !errors.Is(err, bide.ErrNotFound) {
		return nil, err
	}
	return ok(out), nil
}

type holdRun struct {
	Keyed
	OneRun
	Body *api.Change
}

func (s *Server) holdRun(ctx context.Context, in *holdRun) (*result[api.Hold], error) {
	run, err := s.sight(ctx, auth.Admin).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	cmd := in.command(ctx, "")
	if in.Body != nil {
		cmd.Reason = in.Body.Reason
	}
	if err := retention.Hold(ctx, s.store, run.Root, cmd.Reason, cmd.Actor, s.opts.Clock()); err != nil && !errors.Is(err, bide.ErrConflict) {
		return nil, err
	}
	holds, err := retention.Holds(ctx, s.store)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		if h.RunID == run.Root && h.Reason == cmd.Reason && h.Actor == cmd.Actor {
			out := api.Hold(h) // this one, or the same made before
			return ok(&out), nil
		}
	}
	return nil, bide.Errorf(bide.CodeConflict, "somebody else has a hold on the tree of run %s already", run.Root)
}

type unholdRun struct {
	Keyed
	OneRun
}

func (s *Server) unholdRun(ctx context.Context, in *unholdRun) (*struct{}, error) {
	run, err := s.sight(ctx, auth.Admin).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return nil, retention.Unhold(ctx, s.store, run.Root)
}
