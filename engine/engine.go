// Package engine puts the pieces together for a program that wants no more
// than runs that proceed by themselves: Open gives a runtime over the store that a URL names,
// with a worker at work. It is wiring, and must not decide anything about runs.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/worker"
	"golang.org/x/mod/sumdb/note"
)

// Options refines an engine. Nil means the defaults.
type Options struct {
	Runtime bide.Options
	Worker  worker.Options
	// Workflows are registered, and Handlers by effect type, before the worker begins: what
	// a former process left in progress is taken up at once.
	Workflows []bide.Workflow
	Handlers  map[string]bide.Handler
	// Keys encrypt what is kept of runs that begin from now on, and open what is encrypted. A store that is encrypted needs them.
	// Defaults to none: what is kept is plain.
	Keys seal.Keys
	// Checkpoints has signed checkpoints written while runs go on, at their ends and on Close. Nil writes none.
	Checkpoints *Checkpoints
}

// Checkpoints says who signs what the ledgers say, and when.
type Checkpoints struct {
	// Signers are the private keys (ledger.Signers); at least one.
	Signers []note.Signer
	// Every is how long a record may be without a checkpoint, and AfterEnd how long the end of a run may be. Default
	// to 1m and 1s.
	Every, AfterEnd time.Duration
	// Logger is told of checkpoints that could not be written; they are tried again. Defaults to none.
	Logger *slog.Logger
}

// Store is what an engine needs of a store.
type Store interface {
	bide.Store
	bide.Claims
	bide.Documents
	bide.Counter
}

// Engine is a runtime with a worker at work. Its runs proceed by themselves:
// there is no need to Tick.
type Engine struct {
	*bide.Runtime
	store  Store
	worker atomic.Pointer[worker.Worker]
	stop   context.CancelFunc
	done   chan error
	notary *notary
	unlock func() error
}

// Open opens the store that url names and puts a worker to work on it:
//
//	sqlite:bide.db          one file, for one or several processes on one machine
//	postgres://user@host/db many processes on many machines
//	file:runs               a folder of files that a person can read, for one process
//	mem:                    nothing is kept
//
// It fails with bide.ErrInvalidInput when it does not know the scheme, with bide.ErrSealed when the store is encrypted and
// there are no keys, and as the store's own Open does.
// ctx is for opening alone; Close ends the work.
func Open(ctx context.Context, url string, opts *Options) (*Engine, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	store, err := OpenStore(ctx, url)
	if err != nil {
		return nil, err
	}
	unlock := func() error { return nil }
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		o.Worker.Sole, unlock, err = lockWorker(path + "-worker")
	} else if one, ok := store.(interface{ Sole() bool }); ok {
		o.Worker.Sole = one.Sole()
	}
	if err == nil {
		store, err = sealed(ctx, store, o.Keys)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	e, err := start(store, &o)
	if err != nil {
		return nil, errors.Join(err, unlock(), store.Close())
	}
	e.unlock = unlock
	return e, nil
}

// sealed encrypts a store, if there are keys. It returns the store that is to be closed in any case.
func sealed(ctx context.Context, store Store, keys seal.Keys) (Store, error) {
	if keys == nil {
		return store, seal.CheckPlain(ctx, store)
	}
	s, err := seal.New(ctx, store, keys, nil)
	if err != nil {
		return store, err
	}
	return s, nil
}

// OpenStore opens the store that url names, without a worker: for programs that
// start, answer and look, and leave the driving to another process.
func OpenStore(ctx context.Context, url string) (Store, error) {
	scheme, rest, ok := strings.Cut(url, ":")
	switch {
	case ok && scheme == "mem" && rest == "":
		return mem.New(), nil
	case ok && scheme == "sqlite" && rest != "":
		return sqlite.Open(ctx, rest, nil)
	case ok && scheme == "file" && rest != "":
		return file.Open(ctx, rest, nil)
	case scheme == "postgres" || scheme == "postgresql":
		return postgres.Open(ctx, url, nil)
	}
	return nil, bide.Errorf(bide.CodeInvalidInput, "%q names no store; use sqlite:PATH, postgres://…, file:FOLDER or mem:", url)
}

// OpenReadOnly opens the store that url names for programs that only look: every write fails with bide.ErrStoreReadOnly. It
// opens what OpenStore cannot because nothing can be written there: files on a medium or in a folder that takes no writes, or on
// a full disk. See Options.ReadOnly of packages sqlite and file for what holds beside processes that write. In PostgreSQL the
// sessions are read-only. It fails with bide.ErrInvalidInput for mem:, as there is nothing to read, and as the store's own Open does.
func OpenReadOnly(ctx context.Context, url string) (Store, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case scheme == "mem":
		return nil, bide.Errorf(bide.CodeInvalidInput, "%q cannot be opened for reading alone: nothing is in it", url)
	case scheme == "sqlite" && rest != "":
		return sqlite.Open(ctx, rest, &sqlite.Options{ReadOnly: true})
	case scheme == "file" && rest != "":
		return file.Open(ctx, rest, &file.Options{ReadOnly: true})
	case scheme == "postgres" || scheme == "postgresql":
		return postgres.Open(ctx, readOnlySessions(url), nil)
	}
	return OpenStore(ctx, url)
}

// readOnlySessions is the URL of a database with the setting that lets its sessions write nothing.
func readOnlySessions(url string) string {
	sign := "?"
	if strings.Contains(url, "?") {
		sign = "&"
	}
	return url + sign + "default_transaction_read_only=on"
}

func start(store Store, o *Options) (*Engine, error) {
	rt, err := bide.New(store, &o.Runtime)
	if err != nil {
		return nil, err
	}
	for typ, h := range o.Handlers {
		rt.Handle(typ, h)
	}
	if err := rt.Register(o.Workflows...); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	if h, ok := store.(bide.Hinter); ok {
		if err := h.Hints(ctx, rt.Hint); err != nil {
			stop()
			return nil, err
		}
	}
	w, err := worker.New(rt, store, &o.Worker)
	if err != nil {
		stop()
		return nil, err
	}
	e := &Engine{Runtime: rt, store: store, stop: stop, done: make(chan error, 1)}
	e.worker.Store(w)
	if e.notary, err = newNotary(ctx, rt, store, o.Checkpoints); err != nil {
		stop()
		return nil, err
	}
	go func() { e.done <- e.work(ctx, &o.Worker) }()
	return e, nil
}

// work has a worker at work until ctx ends. One that could not tell the store that it is alive, as while the disk is full, for
// as long as its lease, has lost its claims and ended: then another takes its place.
func (e *Engine) work(ctx context.Context, o *worker.Options) error {
	for {
		err := e.Worker().Run(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if o.Logger != nil {
			o.Logger.Error("the worker has ended; another takes its place", "err", err)
		}
		again := time.NewTimer(cmp.Or(o.Poll, time.Second))
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		}
		next, nerr := worker.New(e.Runtime, e.store, o)
		if nerr != nil {
			return errors.Join(err, nerr)
		}
		e.worker.Store(next)
	}
}

// Store returns the engine's store, which Close closes.
func (e *Engine) Store() Store { return e.store }

// Worker returns the engine's worker, for its counters. It is another one after the store could not be written for as
// long as a lease.
func (e *Engine) Worker() *worker.Worker { return e.worker.Load() }

// Log returns the log in which the engine's checkpoints are; nil without Options.Checkpoints.
func (e *Engine) Log() *ledger.Log {
	if e.notary == nil {
		return nil
	}
	return e.notary.log
}

// Close lets effects at work end within the worker's grace, hands the runs back
// after a last checkpoint closes the store. ctx bounds the wait for handlers that do not stop. Call it once.
func (e *Engine) Close(ctx context.Context) error {
	e.stop()
	err := <-e.done
	err = errors.Join(err, e.Runtime.Close(ctx), e.notary.close(ctx), e.unlock())
	if cerr := e.store.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close the store: %w", cerr))
	}
	return err
}
