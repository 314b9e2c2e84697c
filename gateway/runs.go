package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/internal/search"
	"github.com/bide-dev/bide/schedule"
)

const tagRuns = "runs"

// OneRun is the input of what is about one run.
type OneRun struct {
	Run string `path:"run" maxLength:"200" doc:"id of the run"`
}

func (s *Server) registerRuns() {
	register(s, operation{id: "list-runs", method: http.MethodGet, path: "/v1/runs", tag: tagRuns, right: auth.View,
		summary: "List runs, newest first unless another order is asked for",
		about:   "Runs that match a search: words and fields such as `status:waiting,failed flow:refund since:1h label:team=ops key:order-42 is:set-aside \"order 42\"`. A page may be shorter than the limit and not be the last."}, s.listRuns)
	register(s, operation{id: "start-run", method: http.MethodPost, path: "/v1/runs", tag: tagRuns, right: auth.Operate, status: http.StatusCreated,
		summary: "Start a run", about: "Started before under the same key, run_id or Idempotency-Key, with the same workflow and input, it is returned as it is now."}, s.startRun)
	register(s, operation{id: "get-run", method: http.MethodGet, path: "/v1/runs/{run}", tag: tagRuns, right: auth.View,
		summary: "A run as it is now, or as it was after a record"}, s.getRun)
	register(s, operation{id: "get-output", method: http.MethodGet, path: "/v1/runs/{run}/output", tag: tagRuns, right: auth.View,
		summary: "The output or error of a run"}, s.getOutput)
	register(s, operation{id: "get-tree", method: http.MethodGet, path: "/v1/runs/{run}/tree", tag: tagRuns, right: auth.View,
		summary: "A run and all runs below it"}, s.getTree)
}

type listRuns struct {
	Paged
	Search   string `query:"q" maxLength:"2000" doc:"a search"`
	Internal bool   `query:"internal" doc:"with runs of bide itself: schedules and kept flows"`
	Order    string `query:"order" enum:"created,created_asc,updated,updated_asc,status,status_desc" default:"created" doc:"by creation, by the last change (the last first, or with _asc the first), or by status: running, waiting, paused, completed, failed, cancelled, or the other way round, and within one by creation, newest first"`
}

// maxLooked bounds how many runs one request looks at. The cursor of its page goes on.
const maxLooked = 20_000

func (s *Server) listRuns(ctx context.Context, in *listRuns) (*result[api.RunPage], error) {
	q, err := search.Parse(in.Search, s.opts.Clock())
	if err != nil {
		return nil, err
	}
	l := &lister{sight: s.sight(ctx, auth.View), q: q, internal: in.Internal, left: maxLooked}
	out := &api.RunPage{Runs: []bide.RunInfo{}}
	out.Next, err = q.List(in.Order, in.Cursor, func(rq bide.RunQuery) (next string, enough bool, err error) {
		next, err = l.page(ctx, rq, in.Limit-len(out.Runs), &out.Runs)
		return next, len(out.Runs) == in.Limit || l.left <= 0, err
	})
	return ok(out), err
}

// lister looks for runs that are searched for and seen, at a bounded number of runs in all.
type lister struct {
	*sight
	q        *search.Query
	internal bool
	left     int // how many may still be looked at
}

// page appends up to limit runs of a listing and returns the cursor that goes on from there, or nothing at the end.
func (l *lister) page(ctx context.Context, rq bide.RunQuery, limit int, out *[]bide.RunInfo) (next string, err error) {
	rq, rq.Limit = l.narrow(rq), 1000
	if len(l.q.Words) == 0 && len(l.q.Statuses) < 2 { // most of what the store gives is wanted
		rq.Limit = max(limit, 100)
	}
	n := 0
	more, err := l.each(ctx, rq, func(r *bide.RunInfo) bool {
		*out = append(*out, *r)
		n++
		return n < limit
	})
	if err != nil || more == nil {
		return "", err
	}
	return more.String(), nil
}

// each calls f with the runs of a listing until it has enough, and returns the place to go on from; nil at the end.
func (l *lister) each(ctx context.Context, rq bide.RunQuery, f func(*bide.RunInfo) bool) (*bide.Cursor, error) {
	for {
		page, err := l.s.rt.Runs(ctx, rq)
		if err != nil {
			return nil, err
		}
		for i := range page.Runs {
			r := &page.Runs[i]
			if !l.q.Match(r) || ours(r.Workflow) && !l.internal && len(l.q.Workflows) == 0 {
				continue
			}
			if seen, err := l.sees(ctx, r); err != nil {
				return nil, err
			} else if seen && !f(r) {
				if place := rq.Order.Place(r); page.Next != "" || i < len(page.Runs)-1 {
					return &place, nil
				}
				return nil, nil
			}
		}
		l.left -= len(page.Runs)
		if rq.Cursor = page.Next; rq.Cursor == "" {
			return nil, nil
		}
		if l.left <= 0 {
			place, err := bide.ParseCursor(rq.Cursor)
			return &place, err
		}
	}
}

// narrow lets the store leave out what is not seen, as far as it can.
func (v *sight) narrow(q bide.RunQuery) bide.RunQuery {
	if v.p.Namespace != "" {
		if q.Labels == nil {
			q.Labels = map[string]string{}
		}
		q.Labels[auth.NamespaceLabel] = v.p.Namespace
	}
	if len(v.p.Workflows) == 1 && q.Workflow == "" {
		q.Workflow = v.p.Workflows[0]
	}
	return q
}

// ours reports whether the runs of a workflow are bide's own.
func ours(workflow string) bool {
	return workflow == schedule.Workflow || workflow == webhook.WorkflowID
}

type startRun struct {
	Keyed
	Body api.StartRun
}

type started struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     *bide.Run
}

func newStarted(run *bide.Run) *started {
	return &started{Location: "/v1/runs/" + run.ID, ETag: tag(&run.RunInfo), Body: run}
}

func (s *Server) startRun(ctx context.Context, in *startRun) (*started, error) {
	v, b := s.sight(ctx, auth.Operate), &in.Body
	if ours(b.Workflow) {
		return nil, bide.Errorf(bide.CodeForbidden, "runs of %s are started by bide itself", b.Workflow)
	}
	labels, err := v.p.Starts(b.Workflow, b.Labels)
	if err != nil {
		return nil, err
	}
	if b.Timeout < 0 {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: "the run cannot be started", Faults: []bide.Fault{{Path: "timeout", Message: "is negative"}}}
	}
	opts := &bide.StartOptions{Command: in.command(ctx, b.Reason), RunID: v.p.Scoped(b.RunID), Key: v.p.Scoped(b.Key), Session: v.p.Scoped(b.Session),
		Labels: labels, Timeout: time.Duration(b.Timeout), MaxSteps: b.MaxSteps}
	run, err := s.library.start(ctx, v.p.Namespace, b.Workflow, b.Version, b.Input, opts)
	if err != nil {
		return nil, err
	}
	if seen, err := v.sees(ctx, &run.RunInfo); err != nil {
		return nil, err
	} else if !seen { // the id is another namespace's
		return nil, bide.Errorf(bide.CodeExists, "the run id is taken; choose another")
	}
	return newStarted(run), nil
}

type getRun struct {
	OneRun
	Conditional
	At int64 `query:"at" minimum:"1" doc:"number of a record: the run as it was after it"`
}

func (s *Server) getRun(ctx context.Context, in *getRun) (*answer[bide.Run], error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	if in.At > 0 {
		if run, err = s.rt.StateAt(ctx, in.Run, in.At); err != nil {
			return nil, err
		}
	}
	return tagged(&in.Conditional, tag(&run.RunInfo), run), nil
}

type getOutput struct {
	OneRun
	Conditional
}

func (s *Server) getOutput(ctx context.Context, in *getOutput) (*answer[api.Output], error) {
	run, err := s.sight(ctx, auth.View).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return tagged(&in.Conditional, tag(&run.RunInfo), &api.Output{Status: run.Status, Output: run.Output, Error: run.Error}), nil
}

// maxTree bounds how many runs of a tree are given.
const maxTree = 1000

func (s *Server) getTree(ctx context.Context, in *OneRun) (*result[api.Tree], error) {
	v := s.sight(ctx, auth.View)
	run, err := v.run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	tree := &api.Tree{Runs: []bide.RunInfo{run.RunInfo}}
	for i := 0; i < len(tree.Runs); i++ {
		for q := (bide.RunQuery{Parent: tree.Runs[i].ID, Limit: maxTree}); ; {
			page, err := s.rt.Runs(ctx, q)
			if err != nil {
				return nil, err
			}
			for j := range page.Runs {
				if len(tree.Runs) == maxTree {
					tree.More = true
					return ok(tree), nil
				}
				if seen, err := v.sees(ctx, &page.Runs[j]); err != nil {
					return nil, err
				} else if seen {
					tree.Runs = append(tree.Runs, page.Runs[j])
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	return ok(tree), nil
}
