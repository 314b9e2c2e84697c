// Package worker drives many runs: it claims those that can proceed, ticks
// them, fires timers when they are due, and takes over what dead workers left.
// It must not know any concrete store, nor what workflows and effects do.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// Options refines a worker. Nil means the defaults.
type Options struct {
	// ID names the worker in the store; no two that live may share it. Defaults to a fresh one, as NewID gives it.
	ID string
	// Runs is how many runs are driven at once. Defaults to 256.
	Runs int
	// Batch is how many runs are claimed at a time; as long as there are as many, twice
	// as many the next time, up to Runs. Defaults to 32.
	Batch int
	// Lease is how long the worker's claims last beyond its last sign of life,
	// which it gives three times in that time. Defaults to 30s.
	Lease time.Duration
	// Poll is how often to look for runs that other processes made claimable
	// without a hint. Within the process nothing waits for it. Defaults to 1s.
	Poll time.Duration
	// Grace is how long a shutdown lets effects at work end. Defaults to 10s.
	Grace time.Duration
	// Patience is how long a run that needs a handler or a workflow which this worker does not have is left to others, while there are
	// any, before its effect fails. Defaults to 1m.
	Patience time.Duration
	// Sole says that no other worker is at work on the store, so that what a
	// former process left is taken over at once instead of when its lease ends.
	Sole bool
	// Clock is the source of time. Defaults to the system's.
	Clock bide.Clock
	// Logger receives what goes wrong. Defaults to none.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.ID == "" {
		out.ID = NewID()
	}
	for _, d := range []struct {
		p *int
		v int
	}{{&out.Runs, 256}, {&out.Batch, 32}} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&out.Lease, 30 * time.Second}, {&out.Poll, time.Second}, {&out.Grace, 10 * time.Second}, {&out.Patience, time.Minute}} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	if out.Clock == nil {
		out.Clock = systemClock{}
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// Worker drives the runs of one store with the workflows and handlers of one runtime.
type Worker struct {
	rt    *bide.Runtime
	store bide.Claims
	opts  Options

	claimedAt time.Time     // time of the last claim; of Run's goroutine
	batch     int           // how many to claim the next time; of Run's goroutine
	wake      chan struct{} // holds a token when there is something to do
	drain     chan struct{} // closed when no further node is to be visited

	mu       sync.Mutex
	work     context.Context    // of what is driven; nil unless runs are taken on
	reserved int                // places kept for runs to be handed over
	drained  bool               // it was asked to take on no more runs
	active   map[string]*drive  // by run
	mail     map[string]bool    // runs that were sent something by this process
	left     map[string]lacking // by run
	owed     map[string]bool    // runs whose claims the store did not take back yet, and whether quietly
	look     bool               // there may be something to claim
	full     bool               // there was no place for all that could be claimed
	news     int64              // counts what may concern runs that are being driven
	known    bool               // next is what the store says, or sooner
	next     time.Time          // the earliest timer known; zero when none is
	sooner   time.Time          // the earliest timer that was set while the store was asked
	driving  sync.WaitGroup
	counts   counts
}

// drive is one run that is being driven.
type drive struct {
	claim bide.Claim
	// ended says that the store has ended the claim, with the commit that left
	// the run with another status than running.
	ended bool
	mail  bool  // it was sent something by this process meanwhile
	news  int64 // Worker.news when it began
}

// New returns a worker. store must be the one that rt is over.
func New(rt *bide.Runtime, store bide.Claims, opts *Options) (*Worker, error) {
	if rt == nil || store == nil {
		return nil, errors.New("a worker needs a runtime and its store")
	}
	return &Worker{rt: rt, store: store, opts: opts.withDefaults(),
		wake: make(chan struct{}, 1), drain: make(chan struct{}), active: map[string]*drive{}, mail: map[string]bool{}, left: map[string]lacking{}, owed: map[string]bool{}}, nil
}

// Wake tells the worker that there may be something to claim.
func (w *Worker) Wake() {
	w.mu.Lock()
	w.look = true
	w.mu.Unlock()
	w.signal()
}

func (w *Worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run drives runs until ctx ends. Then it claims no more, lets the effects at
// work end within the grace, hands its claims back, and returns nil. It returns
// an error when it cannot tell the store that it is alive, at the beginning or for as long
// as the lease. Call it once.
//
// A worker that was drained in the store (bide.Claims) claims nothing from then on, and within a third of
// the lease leaves what its own process starts to others, too.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("worker %s: first sign of life: %w", w.opts.ID, err)
	}
	defer w.rt.Observe(w.observe)()
	defer w.rt.OnHint(func(claimable bool) {
		if claimable {
			w.mu.Lock()
			w.look, w.known = true, false
			w.news++
			w.mu.Unlock()
			w.signal()
		}
	})()
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	var background sync.WaitGroup
	background.Go(func() { w.keepAlive(work, stopWork) })
	w.mu.Lock()
	w.work, w.look = work, true
	w.mu.Unlock()
	w.rt.DriveWith(w)
	for ctx.Err() == nil && work.Err() == nil {
		w.proceedMail()
		if w.claimSome(ctx) {
			continue
		}
		w.await(ctx, work)
	}
	w.rt.DriveWith(nil)
	w.mu.Lock()
	w.work = nil
	w.mu.Unlock()
	close(w.drain)
	stop := w.opts.Clock.AfterFunc(w.opts.Grace, func() { stopWork(errShutdown) })
	w.driving.Wait()
	stop()
	lost := context.Cause(work)
	stopWork(nil)
	background.Wait()
	err := errors.Join(w.store.Release(context.WithoutCancel(ctx), w.opts.ID, nil, false), w.goodbye(context.WithoutCancel(ctx)))
	if lost != nil && !errors.Is(lost, errShutdown) {
		err = errors.Join(lost, err)
	}
	return err
}

// begin says that the worker is alive, and gives back what a former process
// under the same id had claimed.
func (w *Worker) begin(ctx context.Context) error {
	if err := w.heartbeat(ctx); err != nil {
		return err
	}
	w.askDrained(ctx, w.opts.Clock.Now())
	w.takeUp(ctx)
	return w.store.Release(ctx, w.opts.ID, nil, false)
}

// errShutdown is why the contexts of handlers end at last.
var errShutdown = errors.New("the worker shuts down")

// claimSome claims a batch and drives it; it reports whether there may be more.
func (w *Worker) claimSome(ctx context.Context) (more bool) {
	w.mu.Lock()
	free, look := w.free(), w.look
	w.look, w.full = false, free <= 0 && (look || w.full)
	w.mu.Unlock()
	if free <= 0 || !look {
		return false
	}
	w.giveBack(ctx)
	limit := min(free, max(w.batch, w.opts.Batch))
	now := w.opts.Clock.Now().UTC()
	w.claimedAt = now
	claims, err := w.store.Claim(ctx, bide.ClaimQuery{Owner: w.opts.ID, Now: now, Limit: limit, Workflows: w.rt.Workflows(), Sole: w.opts.Sole})
	if err != nil {
		if ctx.Err() == nil {
			w.counts.errors.Add(1)
			w.opts.Logger.Error("claim runs", "worker", w.opts.ID, "err", err)
		}
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock() // none of them ends before the others and full are known
	for _, c := range claims {
		w.begun(c, func(ctx context.Context) (*bide.Run, error) { return w.rt.TickClaimed(ctx, c, w.drain) })
	}
	if w.batch = 0; len(claims) < limit {
		return false
	}
	w.batch = 2 * limit
	w.look, w.full = limit < free, limit == free
	return w.look
}

// free is how many more runs can be driven. w.mu must be held.
func (w *Worker) free() int { return w.opts.Runs - len(w.active) - w.reserved }

// begun drives a claimed run by tick. w.mu must be held, and runs be taken on.
func (w *Worker) begun(c bide.Claim, tick func(context.Context) (*bide.Run, error)) {
	d, ctx := &drive{claim: c, news: w.news}, w.work
	w.active[c.RunID] = d
	delete(w.owed, c.RunID)
	w.counts.claimed.Add(1)
	w.driving.Go(func() { w.drive(ctx, d, tick) })
}

// Reserve implements bide.Driver.
func (w *Worker) Reserve() (owner string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.work == nil || w.drained || w.free() <= 0 {
		return "", false
	}
	w.reserved++
	w.driving.Add(1)
	return w.opts.ID, true
}

// Drive implements bide.Driver.
func (w *Worker) Drive(h *bide.Handover) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.driving.Done()
	w.reserved--
	if h != nil {
		w.begun(h.Claim, func(ctx context.Context) (*bide.Run, error) { return w.rt.TickHandover(ctx, h, w.drain) })
	}
}

// proceedMail moves on the runs that this process has sent something to.
func (w *Worker) proceedMail() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.mail {
		if w.free() <= 0 {
			clear(w.mail) // they are claimed when there is a place
			w.full = true
			return
		}
		delete(w.mail, id)
		ctx := w.work
		w.driving.Go(func() {
			if err := w.rt.Proceed(ctx, id); err != nil && ctx.Err() == nil && !errors.Is(err, bide.ErrNotFound) {
				w.opts.Logger.Warn("mail", "worker", w.opts.ID, "run", id, "err", err)
			}
		})
	}
}

// drive ticks a claimed run and gives it back.
func (w *Worker) drive(ctx context.Context, d *drive, tick func(context.Context) (*bide.Run, error)) {
	run, err := tick(ctx)
	if errors.Is(err, bide.ErrLacking) && w.isLast(ctx, run) {
		run, err = w.rt.TickClaimed(ctx, bide.Claim{RunID: d.claim.RunID, Fence: d.claim.Fence, Last: true}, w.drain)
	}
	w.mu.Lock()
	if w.active[d.claim.RunID] == d {
		delete(w.active, d.claim.RunID)
	}
	ended := d.ended
	if d.mail {
		w.mail[d.claim.RunID] = true
	}
	again := w.full || d.news != w.news || err == nil && run.Status == bide.StatusRunning
	w.mu.Unlock()
	switch { // once the run is given back
	case again && err == nil:
		defer w.Wake()
	case d.mail:
		defer w.signal()
	}
	log := w.opts.Logger.With("worker", w.opts.ID, "run", d.claim.RunID)
	quiet := err == nil && run.Status != bide.StatusRunning
	switch {
	case errors.Is(err, bide.ErrFenced):
		log.Warn("another worker has claimed the run")
		return
	case errors.Is(err, bide.ErrCorrupt), errors.Is(err, bide.ErrConflict):
		w.counts.setAside.Add(1)
		log.Error("set aside", "err", err)
		err = errors.Join(w.store.SetAside(context.WithoutCancel(ctx), d.claim.RunID, err.Error()), w.release(ctx, d, false))
	case errors.Is(err, bide.ErrSealed):
		w.counts.setAside.Add(1)
		log.Error("set aside until its key is at hand", "err", err)
		err = errors.Join(w.store.SetAside(context.WithoutCancel(ctx), d.claim.RunID, sealedReason(err)), w.release(ctx, d, false))
	case errors.Is(err, bide.ErrLacking): // another worker has time until the next look
		log.Info("left to other workers", "why", err)
		err = w.release(ctx, d, false)
	case err != nil: // the run is tried again, but not before the next look
		w.counts.errors.Add(1)
		log.Error("tick", "err", err)
		err = w.release(ctx, d, false)
	case !ended:
		err = w.release(ctx, d, quiet)
	}
	if err != nil {
		log.Error("give back", "err", err)
		w.owe(d.claim.RunID, quiet)
	}
}

// owe remembers a run that could not be given back: nobody else claims it while this worker lives.
func (w *Worker) owe(runID string, quiet bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.active[runID] == nil {
		w.owed[runID] = quiet
	}
}

// giveBack tries again to give back what the store did not take.
func (w *Worker) giveBack(ctx context.Context) {
	w.mu.Lock()
	runs := map[bool][]string{} // by whether quietly
	for runID, quiet := range w.owed {
		runs[quiet] = append(runs[quiet], runID)
	}
	clear(w.owed)
	w.mu.Unlock()
	for quiet, ids := range runs {
		if err := w.store.Release(ctx, w.opts.ID, ids, quiet); err != nil {
			for _, runID := range ids {
				w.owe(runID, quiet)
			}
		}
	}
}

func (w *Worker) release(ctx context.Context, d *drive, quiet bool) error {
	return w.store.Release(context.WithoutCancel(ctx), w.opts.ID, []string{d.claim.RunID}, quiet)
}

// observe hears of every commit of this process.
func (w *Worker) observe(n bide.Notice) {
	c := n.Commit
	w.counts.commit.observe(n.Took)
	if n.Fired {
		w.counts.timerLag.observe(n.Lag)
	}
	w.mu.Lock()
	d := w.active[c.RunID]
	mine := d != nil && c.Fence == d.claim.Fence
	if mine {
		d.ended = c.RunID != "" && c.Info.Status != bide.StatusRunning
	}
	act := false
	if at := c.Info.WakeAt; !at.IsZero() {
		if w.next.IsZero() || at.Before(w.next) {
			w.next, act = at, true
		}
		if w.sooner.IsZero() || at.Before(w.sooner) {
			w.sooner = at
		}
	}
	look := c.RunID != "" && !mine && c.Owner == "" && c.Info.Status == bide.StatusRunning || len(c.Starts) > 0
	for _, m := range c.Send {
		switch d := w.active[m.To]; {
		case slices.Contains(c.Took, m.ID): // it has arrived
		case d != nil:
			d.mail = true
		case m.To != "":
			w.mail[m.To], act = true, true
		default: // the store knows for whom it is
			look = true
			w.news++
		}
	}
	w.look = w.look || look
	w.mu.Unlock()
	if act || look {
		w.signal()
	}
}

// await blocks until there may be something to claim.
func (w *Worker) await(ctx, work context.Context) {
	now := w.opts.Clock.Now()
	next := w.nextTimer(ctx)
	sleep := w.opts.Poll
	if !next.IsZero() {
		sleep = min(sleep, max(next.Sub(now), 0))
	}
	alarm := make(chan struct{}, 1)
	stop := w.opts.Clock.AfterFunc(sleep, func() { alarm <- struct{}{} })
	defer stop()
	select {
	case <-w.wake:
	case <-alarm:
		w.mu.Lock()
		w.look, w.known = true, false
		w.mu.Unlock()
	case <-ctx.Done():
	case <-work.Done():
	}
}

// nextTimer is when the earliest timer is due of which the worker knows. The
// store is asked when what it said may be out of date.
func (w *Worker) nextTimer(ctx context.Context) time.Time {
	w.mu.Lock()
	if w.known && (w.next.IsZero() || w.next.After(w.claimedAt)) {
		defer w.mu.Unlock()
		return w.next
	}
	w.sooner = time.Time{}
	w.mu.Unlock()
	next, err := w.store.NextWake(ctx, w.claimedAt) // what was due at the last claim is not for this worker
	if err != nil && ctx.Err() == nil {
		w.counts.errors.Add(1)
		w.opts.Logger.Error("next timer", "worker", w.opts.ID, "err", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next = next; !w.sooner.IsZero() && (next.IsZero() || w.sooner.Before(next)) {
		w.next = w.sooner
	}
	w.known = err == nil
	return w.next
}

// keepAlive gives signs of life. When the store has not heard one for as long as
// the lease, others may have taken the runs: the work is stopped.
func (w *Worker) keepAlive(ctx context.Context, stopWork context.CancelCauseFunc) {
	last := w.opts.Clock.Now()
	for {
		beat := make(chan struct{}, 1)
		stop := w.opts.Clock.AfterFunc(w.opts.Lease/3, func() { beat <- struct{}{} })
		select {
		case <-ctx.Done():
			stop()
			return
		case <-beat:
		}
		now := w.opts.Clock.Now()
		err := w.heartbeat(ctx)
		switch {
		case err == nil:
			last = now
			w.askDrained(ctx, now)
			w.takeUp(ctx)
		case ctx.Err() != nil:
			return
		case now.Sub(last) >= w.opts.Lease:
			w.opts.Logger.Error("lease lost", "worker", w.opts.ID, "err", err)
			stopWork(fmt.Errorf("the lease of worker %s ended: %w", w.opts.ID, err))
			return
		default:
			w.opts.Logger.Warn("sign of life", "worker", w.opts.ID, "err", err)
		}
	}
}

// askDrained looks whether the worker was asked to take on no more runs, or to do so again.
func (w *Worker) askDrained(ctx context.Context, now time.Time) {
	owners, err := w.store.Owners(ctx, now)
	if err != nil {
		if ctx.Err() == nil {
			w.opts.Logger.Warn("ask whether to drain", "worker", w.opts.ID, "err", err)
		}
		return
	}
	for _, o := range owners {
		if o.Name == w.opts.ID {
			w.mu.Lock()
			w.drained = o.Drained
			w.mu.Unlock()
		}
	}
}

// goodbye says that the worker is no more, so that nobody lists it as alive until its lease ends.
func (w *Worker) goodbye(ctx context.Context) error {
	return w.store.Heartbeat(ctx, w.opts.ID, w.opts.Clock.Now().UTC())
}

func (w *Worker) heartbeat(ctx context.Context) error {
	return w.store.Heartbeat(ctx, w.opts.ID, w.opts.Clock.Now().UTC().Add(w.opts.Lease))
}
