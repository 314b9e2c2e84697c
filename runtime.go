package bide

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Runtime drives runs against a store. Its methods may be called from many
// goroutines; transitions of one run are made one after the other, those of
// different runs at once. Several runtimes may share a store: a transition made from a state
// that is no longer the stored one is refused by the store and made again.
type Runtime struct {
	store Store
	opts  Options

	mu        sync.Mutex
	workflows map[string]map[string]*Workflow
	newest    map[string]string // by workflow id: the version registered last
	handlers  map[string]Handler
	sessions  map[string]*session
	idle      *list.List // of *session without users, least recently used first
	observers []*func(Notice)
	hinted    []*func(claimable bool)
	driver    Driver // nil: nobody drives what this runtime starts and answers
	strays    sync.WaitGroup
	tail      *tail
}

// Options refines a runtime. Nil means the defaults.
type Options struct {
	// Limits bound what one run can use; zero fields have their documented defaults.
	Limits Limits
	// TickSteps is how many steps one Tick makes at most. Defaults to 1,000.
	TickSteps int
	// Grace is how long Tick waits for a handler to return after its context
	// ended, before it goes on without it. Defaults to 10s.
	Grace time.Duration
	// Poll is how often Tick looks for changes made by other processes while
	// handlers are at work. Defaults to 1s.
	Poll time.Duration
	// CacheRuns is how many idle runs are kept in memory. Defaults to 1,024.
	CacheRuns int
	// SnapshotBytes is how many bytes of records are replayed on loading a run
	// before a snapshot is considered. Defaults to 64 KiB.
	SnapshotBytes int
	// Large keeps large results of effects elsewhere. Nil keeps all in the ledger.
	Large *Large
	// Clock is the source of time. Defaults to the system's.
	Clock Clock
	// NewID makes ids of runs. Defaults to UUIDv7.
	NewID func() string
	// Random returns a number in [0,1) for the jitter of retries. Defaults to math/rand.
	Random func() float64
	// Redact replaces what must not be kept, before it is recorded. Defaults to nothing.
	Redact Redactor
	// Logger receives what happens besides the ledger. Defaults to none.
	Logger *slog.Logger
}

// New returns a runtime over a store, which stays the caller's to close.
func New(store Store, opts *Options) (*Runtime, error) {
	if store == nil {
		return nil, Errorf(CodeInvalidInput, "bide.New needs a store")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Limits = o.Limits.withDefaults()
	if o.TickSteps <= 0 {
		o.TickSteps = 1000
	}
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.CacheRuns <= 0 {
		o.CacheRuns = 1024
	}
	if o.SnapshotBytes <= 0 {
		o.SnapshotBytes = 64 << 10
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.NewID == nil {
		o.NewID = newID
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	rt := &Runtime{
		store: store, opts: o, workflows: map[string]map[string]*Workflow{}, newest: map[string]string{}, handlers: map[string]Handler{},
		sessions: map[string]*session{}, idle: list.New(),
	}
	rt.tail = newTail(rt)
	return rt, nil
}

// Register makes workflows known, so that Tick and Replay can find the code of
// a run begun earlier. It fails with ErrInvalidWorkflow, which lists every
// fault, when one is misbuilt or its id and version are taken by another definition.
func (rt *Runtime) Register(workflows ...Workflow) error {
	for i := range workflows {
		if _, err := rt.register(workflows[i]); err != nil {
			return err
		}
	}
	return nil
}

// register returns the registered form of a workflow.
func (rt *Runtime) register(wf Workflow) (*Workflow, error) {
	rt.mu.Lock()
	known := rt.workflows[wf.ID][wf.Version]
	rt.mu.Unlock()
	if known != nil && known.same(&wf) {
		return known, nil
	}
	if err := wf.check(); err != nil {
		return nil, err
	}
	wf.hash = ""
	wf.hash = wf.Definition()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if known = rt.workflows[wf.ID][wf.Version]; known != nil {
		if known.hash != wf.hash {
			return nil, Errorf(CodeInvalidWorkflow, "workflow %q version %q is registered twice with different definitions; give the new one another version", wf.ID, wf.Version)
		}
		return known, nil
	}
	if rt.workflows[wf.ID] == nil {
		rt.workflows[wf.ID] = map[string]*Workflow{}
	}
	rt.workflows[wf.ID][wf.Version] = &wf
	rt.newest[wf.ID] = wf.Version
	return &wf, nil
}

// Handle registers the handler of an effect type. It panics when h is nil or
// the type is built in or taken.
func (rt *Runtime) Handle(typ string, h Handler) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	switch {
	case h == nil:
		panic(fmt.Sprintf("bide: the handler for %q is nil", typ))
	case builtin[typ]:
		panic(fmt.Sprintf("bide: effect type %q is built in", typ))
	case rt.handlers[typ] != nil:
		panic(fmt.Sprintf("bide: effect type %q has a handler already", typ))
	}
	rt.handlers[typ] = h
}

func (rt *Runtime) workflow(id, version string) (*Workflow, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if wf := rt.workflows[id][version]; wf != nil {
		return wf, nil
	}
	return nil, Errorf(CodeUnknownWorkflow, "workflow %q version %q is not registered with this runtime; register it and tick again", id, version)
}

// find returns a registered workflow, or nil; without version, the one registered last.
func (rt *Runtime) find(id, version string) *Workflow {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if version == "" {
		version = rt.newest[id]
	}
	return rt.workflows[id][version]
}

// Workflows lists what is registered.
func (rt *Runtime) Workflows() (out []WorkflowVersion) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(rt.workflows)) {
		for _, version := range slices.Sorted(maps.Keys(rt.workflows[id])) {
			out = append(out, WorkflowVersion{id, version})
		}
	}
	return out
}

// Notice is news of a commit.
type Notice struct {
	// Commit is what was made durable. It belongs to everybody: do not change it.
	Commit *Commit
	// Took is how long the store needed.
	Took time.Duration
	// Fired says that timers fired with it; Lag is how long the latest of them was due.
	Fired bool
	Lag   time.Duration
}

// Observe calls f after every commit that this runtime makes, until stop is
// called. f must return at once and call nothing of the runtime.
func (rt *Runtime) Observe(f func(Notice)) (stop func()) { return observe(rt, &rt.observers, f) }

// Hint tells the runtime that another process may have committed; claimable
// says that runs may have become claimable by that. It is what a Hinter calls.
func (rt *Runtime) Hint(claimable bool) {
	rt.tail.heard.Add(1)
	rt.hint(claimable)
}

func (rt *Runtime) hint(claimable bool) {
	rt.mu.Lock()
	hinted := rt.hinted
	rt.mu.Unlock()
	for _, f := range hinted {
		(*f)(claimable)
	}
}

// OnHint calls f on every Hint, until stop is called. f must return at once.
func (rt *Runtime) OnHint(f func(claimable bool)) (stop func()) { return observe(rt, &rt.hinted, f) }

// observe adds f to a list that is replaced and never changed.
func observe[F any](rt *Runtime, list *[]*F, f F) (stop func()) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	p := &f
	*list = append(slices.Clone(*list), p)
	return func() {
		rt.mu.Lock()
		defer rt.mu.Unlock()
		*list = slices.DeleteFunc(slices.Clone(*list), func(q *F) bool { return q == p })
	}
}

func (rt *Runtime) tell(n Notice) {
	rt.tail.heard.Add(1)
	rt.mu.Lock()
	observers := rt.observers
	rt.mu.Unlock()
	for _, f := range observers {
		(*f)(n)
	}
}

func (rt *Runtime) handler(typ string) Handler {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.handlers[typ]
}

// handles reports whether there is a handler for a type of effects.
func (rt *Runtime) handles(typ string) bool { return rt.handler(typ) != nil }

// Close waits until handlers that Tick went on without have returned, or ctx
// ends. Calls of Tick end by their own contexts.
func (rt *Runtime) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() { rt.strays.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("handlers still at work: %w", context.Cause(ctx))
	}
}

func (rt *Runtime) now() time.Time { return truncate(rt.opts.Clock.Now()) }

// open returns the session of a run and counts the caller as its user.
func (rt *Runtime) open(runID string) *session {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s := rt.sessions[runID]
	if s == nil {
		s = newSession(rt, runID)
		rt.sessions[runID] = s
	}
	if s.idle != nil {
		rt.idle.Remove(s.idle)
		s.idle = nil
	}
	s.users++
	return s
}

// release gives a session back; it is kept for a while in case it is used again.
func (rt *Runtime) release(s *session) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	s.idle = rt.idle.PushBack(s)
	for rt.idle.Len() > rt.opts.CacheRuns {
		oldest := rt.idle.Remove(rt.idle.Front()).(*session)
		delete(rt.sessions, oldest.id)
	}
}

// commit sends a commit, and again when its outcome is unknown: the store
// applies it once.
func (rt *Runtime) commit(ctx context.Context, c *Commit) error {
	return rt.commitNotice(ctx, Notice{Commit: c})
}

func (rt *Runtime) commitNotice(ctx context.Context, n Notice) error {
	c := n.Commit
	start := rt.opts.Clock.Now()
	var err error
	for range 3 {
		if err = rt.store.Commit(ctx, c); err == nil {
			n.Took = rt.opts.Clock.Now().Sub(start)
			rt.tell(n)
		}
		if err == nil || final(err) || ctx.Err() != nil {
			return err
		}
		rt.opts.Logger.Warn("commit again", "run", c.RunID, "seq", c.Info.Seq, "err", err)
	}
	return err
}

// final reports whether sending the same commit again cannot help.
func final(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code != CodeStoreUnavailable
}

// Must returns v, or panics when err is not nil: for the set-up of programs and for examples.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
