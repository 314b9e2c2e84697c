package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/internal/search"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/tool"
)

// local is the backend on a store that this process opens.
type local struct {
	rt     *bide.Runtime
	claims engine.Store                    // nil when a worker of this process drives the store
	store  wholeStore                      // nil likewise
	plain  engine.Store                    // the store as it is kept, when it is encrypted; nil likewise
	shut   func(ctx context.Context) error // ends the work and closes the store
	engine *engine.Engine                  // nil unless a worker of this process drives the store
	log    *slog.Logger
	only   error // why the store is open for reading alone; nil when it can be written
	now    func() time.Time
	docs   engine.Store
	cfg    *config

	webhooks *webhook.Hooks // nil until they are needed
	equipped closers        // what was opened for models and tools; nil until they are registered
	models   *llm.Models    // likewise
	tools    *tool.Set
	servers  *toolServers
}

var _ backend = (*local)(nil)

// openPlain opens a store without a worker. To look, one that cannot be written is opened for reading alone; only says why.
func openPlain(ctx context.Context, url string, look bool) (store engine.Store, only, err error) {
	store, err = engine.OpenStore(ctx, url)
	if !look || !errors.Is(err, bide.ErrStoreReadOnly) && !errors.Is(err, bide.ErrStoreFull) {
		return store, nil, err
	}
	only = err
	store, err = engine.OpenReadOnly(ctx, url)
	return store, only, err
}

// openLocal opens the store of the configuration; a worker drives its runs when opts is not nil. Otherwise look tells
// that a store that can only be read will do.
func openLocal(ctx context.Context, cfg *config, opts *engine.Options, look bool) (*local, error) {
	h, err := handlers(cfg)
	if err != nil {
		return nil, err
	}
	redactor, err := cfg.redactor()
	if err != nil {
		return nil, err
	}
	url := cfg.get("store")
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	}
	l := &local{now: time.Now, cfg: cfg}
	if opts == nil {
		plain, only, err := openPlain(ctx, url, look)
		if err != nil {
			return nil, err
		}
		l.only = only
		store, err := sealed(ctx, plain, cfg)
		if err != nil {
			return nil, errors.Join(err, plain.Close())
		}
		l.plain, l.claims, l.docs, l.shut = plain, store, store, func(context.Context) error { return store.Close() }
		l.store, _ = store.(wholeStore) // evidence says so when it is none
		if l.rt, err = bide.New(store, &bide.Options{Redact: redactor}); err != nil {
			return nil, errors.Join(err, store.Close())
		}
	} else {
		opts.Runtime.Redact = redactor
		if opts.Keys, err = cfg.keys(ctx); err != nil {
			return nil, err
		}
		e, err := engine.Open(ctx, url, opts)
		if err != nil {
			return nil, err
		}
		l.rt, l.docs, l.engine, l.shut, l.log = e.Runtime, e.Store(), e, e.Close, opts.Worker.Logger
	}
	flow.Handle(l.rt, h)
	if opts != nil {
		if err := l.equip(ctx, cfg); err != nil {
			return nil, errors.Join(err, l.shut(ctx))
		}
		if err := l.tell(ctx, cfg); err != nil {
			return nil, errors.Join(err, l.Close(ctx))
		}
	}
	if err := schedule.Register(l.rt); err != nil {
		return nil, errors.Join(err, l.Close(ctx))
	}
	return l, nil
}

// Close ends the work, then what was opened for it.
func (l *local) Close(ctx context.Context) error {
	return errors.Join(l.shut(ctx), l.equipped.close(ctx))
}

// internalRun reports whether a run is bide's own.
func internalRun(r *bide.RunInfo) bool {
	return r.Workflow == schedule.Workflow || r.Workflow == webhook.WorkflowID
}

func (l *local) Runs(ctx context.Context, q runsQuery) (*runsPage, error) {
	s, err := search.Parse(q.Search, l.now())
	if err != nil {
		return nil, err
	}
	limit, looked := bide.PageLimit(q.Limit), 0
	out := &runsPage{}
	out.Next, err = s.List(q.Order, q.Cursor, func(rq bide.RunQuery) (next string, enough bool, err error) {
		for rq.Limit = 1000; ; {
			page, err := l.rt.Runs(ctx, rq)
			if err != nil {
				return "", false, err
			}
			for i := range page.Runs {
				r := &page.Runs[i]
				if !s.Match(r) || internalRun(r) && !q.Internal && len(s.Workflows) == 0 {
					continue
				}
				if out.Runs = append(out.Runs, *r); len(out.Runs) < limit {
					continue
				}
				if page.Next != "" || i < len(page.Runs)-1 {
					next = rq.Order.Place(r).String()
				}
				return next, true, nil
			}
			looked += len(page.Runs)
			if rq.Cursor = page.Next; rq.Cursor == "" || looked >= maxLooked {
				return rq.Cursor, looked >= maxLooked, nil
			}
		}
	})
	return out, err
}

func (l *local) Run(ctx context.Context, id string, seq int64) (*bide.Run, error) {
	if seq > 0 {
		return l.rt.StateAt(ctx, id, seq)
	}
	return l.rt.Get(ctx, id)
}

func (l *local) Records(ctx context.Context, id string, from int64, follow bool) iter.Seq2[bide.Record, error] {
	if follow {
		return l.rt.Watch(ctx, id, from)
	}
	return l.rt.Ledger(ctx, id, from)
}

func (l *local) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	return l.rt.Waits(ctx, q)
}

func (l *local) Start(ctx context.Context, req *startRequest) (*bide.Run, error) {
	if err := l.publish(ctx, req.Docs); err != nil {
		return nil, err
	}
	return flow.Start(ctx, l.rt, req.Docs[len(req.Docs)-1], req.Input, &bide.StartOptions{Command: req.Command, RunID: req.RunID, Key: req.Key,
		Session: req.Session, Labels: req.Labels, Timeout: req.Timeout, MaxSteps: req.MaxSteps})
}

// publish keeps flows in the store, so that every process can go on with their runs.
func (l *local) publish(ctx context.Context, docs []*flow.Doc) error {
	for _, d := range docs {
		if err := flow.Publish(ctx, l.rt, d); err != nil {
			return err
		}
	}
	return nil
}

// load registers the flow of a run, and, when it calls others, all that are kept in the store.
func (l *local) load(ctx context.Context, run *bide.RunInfo) error {
	if run.Workflow == schedule.Workflow {
		return nil
	}
	if run.Workflow == flow.AgentWorkflow {
		return l.equip(ctx, l.cfg)
	}
	d, err := flow.Load(ctx, l.rt, run.Version)
	if err == nil && l.engine != nil {
		err = l.cfg.carriesOut(d)
	}
	if err == nil {
		d, err = flow.ForRun(ctx, l.rt, run)
	}
	if errors.Is(err, bide.ErrNotFound) {
		return &problem{code: exitNotFound, what: fmt.Sprintf("the flow %s version %.12s of run %s is not in the store", run.Workflow, run.Version, run.ID),
			why: "it was started by a program; that program goes on with it", err: err}
	}
	if err != nil || len(d.Flows()) == 0 {
		return err
	}
	_, err = flow.NewLibrary(l.rt, &flow.LibraryOptions{Leave: l.cfg.remote}).Sync(ctx)
	return err
}

func (l *local) Change(ctx context.Context, id string, v verb, cmd bide.Command) (err error) {
	switch v {
	case verbPause:
		_, err = l.rt.Pause(ctx, id, cmd)
	case verbUnpause:
		_, err = l.rt.Unpause(ctx, id, cmd)
	case verbCancel:
		_, err = l.rt.Cancel(ctx, id, cmd)
	case verbDelete:
		return l.delete(ctx, id)
	case verbShred:
		err = l.shred(ctx, id, cmd)
	case verbRetry:
		return l.retry(ctx, id, cmd)
	}
	return err
}

// delete removes an ended run, with a tombstone that the key of the configuration signs when there is one.
func (l *local) delete(ctx context.Context, id string) error {
	signers, err := privateKeys(l.cfg.get("checkpoint.key"))
	if err != nil {
		return err
	}
	var log *ledger.Log
	if len(signers) > 0 {
		if log, err = ledger.OpenLog(ctx, l.docs, &ledger.LogOptions{Signers: signers}); err != nil {
			return err
		}
	}
	return retention.Delete(ctx, l.rt, l.docs, log, id)
}

// retry opens a failed run again, and lets workers take one that was set aside.
func (l *local) retry(ctx context.Context, id string, cmd bide.Command) error {
	aside, err := setAside(ctx, l, id)
	if err != nil {
		return err
	}
	if aside != "" && l.claims != nil {
		if err := l.claims.SetAside(ctx, id, ""); err != nil {
			return err
		}
	}
	_, err = l.rt.Retry(ctx, id, cmd)
	if aside != "" && errors.Is(err, bide.ErrWrongStatus) {
		return nil // it had not failed: workers take it again, which is all there is to do
	}
	return err
}

// setAside is why workers leave a run alone, or empty.
func setAside(ctx context.Context, b reader, id string) (why string, err error) {
	page, err := b.Runs(ctx, runsQuery{Search: "is:set-aside " + id, Internal: true, Limit: 1000})
	if err != nil {
		return "", err
	}
	for _, r := range page.Runs {
		if r.ID == id {
			return r.SetAside, nil
		}
	}
	return "", nil
}

func (l *local) Answer(ctx context.Context, waitID string, answer bide.JSON, cmd bide.Command) (*bide.Run, error) {
	run, ok := bide.WaitRun(waitID)
	if !ok {
		return nil, bide.Errorf(bide.CodeInvalidInput, "%q is not the id of a wait", waitID)
	}
	return l.rt.Resume(ctx, run, waitID, answer, cmd)
}

func (l *local) Send(ctx context.Context, e bide.Event) error { return l.rt.Send(ctx, e) }

func (l *local) ForkPreview(ctx context.Context, id string, seq int64) ([]bide.ForkEffect, error) {
	return l.rt.ForkPreview(ctx, id, seq)
}

func (l *local) Fork(ctx context.Context, id string, seq int64, opts *bide.ForkOptions) (*bide.Run, error) {
	return l.rt.Fork(ctx, id, seq, opts)
}

func (l *local) Migrate(ctx context.Context, id, version string, cmd bide.Command) (*bide.Run, error) {
	if _, err := flow.NewLibrary(l.rt, nil).Sync(ctx); err != nil {
		return nil, err
	}
	return l.rt.Migrate(ctx, id, version, cmd)
}

func (l *local) Verify(ctx context.Context, id string) (*verification, error) {
	at, err := l.rt.Verify(ctx, id)
	if err != nil {
		return nil, err
	}
	_, unread := l.rt.Get(ctx, id)
	if unread != nil && !errors.Is(unread, bide.ErrSealed) {
		return nil, unread
	}
	return &verification{RunID: id, Records: at.Seq, Head: at.Head, Sealed: unread != nil}, nil
}

func (l *local) Replay(ctx context.Context, id string) (*bide.Divergence, error) {
	run, err := l.rt.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := l.load(ctx, &run.RunInfo); err != nil {
		return nil, err
	}
	return l.rt.Replay(ctx, id)
}

func (l *local) Schedules(ctx context.Context) (all []schedule.Schedule, err error) {
	for opts := (&schedule.ListOptions{Limit: 1000}); ; {
		page, err := schedule.List(ctx, l.rt, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Schedules...)
		if opts.Cursor = page.Next; opts.Cursor == "" {
			return all, nil
		}
	}
}

func (l *local) Schedule(ctx context.Context, name string) (*schedule.Schedule, error) {
	return schedule.Get(ctx, l.rt, name)
}

func (l *local) AddSchedule(ctx context.Context, docs []*flow.Doc, spec schedule.Spec, cmd bide.Command) (*schedule.Schedule, error) {
	if err := l.publish(ctx, docs); err != nil {
		return nil, err
	}
	d := docs[len(docs)-1]
	spec.Workflow, spec.Version = d.ID(), d.Version()
	return schedule.Create(ctx, l.rt, spec, cmd)
}

func (l *local) ChangeSchedule(ctx context.Context, name string, v verb, cmd bide.Command) (err error) {
	switch v {
	case verbPause:
		_, err = schedule.Pause(ctx, l.rt, name, cmd)
	case verbUnpause:
		_, err = schedule.Unpause(ctx, l.rt, name, cmd)
	case verbDelete:
		err = schedule.Delete(ctx, l.rt, name, cmd)
	default:
		err = bide.Errorf(bide.CodeInvalidInput, "a schedule cannot be changed by %q", v)
	}
	return err
}

// Workers implements backend.
func (l *local) Workers(ctx context.Context) ([]api.Worker, error) {
	return gateway.Workers(ctx, l.docs, l.now())
}

// Drain implements backend.
func (l *local) Drain(ctx context.Context, id string, drained bool) (*api.Worker, error) {
	return gateway.Drain(ctx, l.docs, id, drained, l.now())
}
