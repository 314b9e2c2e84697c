// Package remote lets programs in any language carry out effects over HTTP: they ask for work, say that they are
// alive, and complete or fail what they took.
//
// An attempt stays alive in the process that drives the run; a remote worker holds it under a token that only grows. A
// worker that is not heard of loses its call. What that means is for the effect's delivery to say: the call is offered again under the same
// idempotency key, or, if it may be made at most once, a person says what happened. Whoever comes with an older token
// is refused.
//
// The package knows no effect type but those it is given.
package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
)

// Options refines a pool. Nil means the defaults.
type Options struct {
	// Lease is how long a worker has a call without a heartbeat. Defaults to 30s.
	Lease time.Duration
	// Poll is how long a request for work waits at most. Defaults to 20s, which is less than a gateway gives a request.
	Poll time.Duration
	// Losses is how many workers an attempt may lose before it fails. Defaults to 3.
	Losses int
	// Clock is the source of time. Defaults to the system's.
	Clock bide.Clock
	// Logger receives lost workers; no payloads. Defaults to none.
	Logger *slog.Logger
}

// Pool offers the calls of some effect types to remote workers.
type Pool struct {
	rt    *bide.Runtime
	trees *auth.Trees
	types []string
	opts  Options

	mu      sync.Mutex
	token   int64
	calls   map[string]*call
	queue   []*call       // on offer, oldest first
	changed chan struct{} // closed when the queue has grown
	ended   []said        // the last that ended
}

// said is the end of a call as its worker said it.
type said struct {
	id    string
	token int64
}

// maxSaid is how many ends are remembered, for workers that did not hear that they were heard.
const maxSaid = 1000

// call is one attempt that is on offer or held.
type call struct {
	id     string
	inv    *bide.Invocation
	root   *bide.RunInfo
	token  int64  // of whoever holds it; 0 when it is on offer
	worker string // who holds or held it
	poll   string // the key of the request that took it; may be empty
	stop   func() bool
	ended  chan ending // holds one, when it has ended or was lost
}

// ending is what became of a call; lost when its worker is.
type ending struct {
	outcome bide.Outcome
	err     error
	lost    bool
}

// New registers the handlers of effect types with a runtime. Call it once per runtime, before the workflows that use them are
// registered or workers run. It panics as Handle does, when a type is taken.
func New(rt *bide.Runtime, types []string, opts *Options) *Pool {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Lease <= 0 {
		o.Lease = 30 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 20 * time.Second
	}
	if o.Losses <= 0 {
		o.Losses = 3
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{rt: rt, trees: auth.NewTrees(rt), types: slices.Clone(types), opts: o, calls: map[string]*call{}, changed: make(chan struct{})}
	for _, typ := range p.types {
		rt.Handle(typ, p.attempt)
	}
	return p
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// attempt is the handler: it offers the call and waits for what becomes of it.
func (p *Pool) attempt(ctx context.Context, inv *bide.Invocation) (bide.Outcome, error) {
	if out, err, ok := decided(inv); ok {
		return out, err
	}
	once, err := p.once(ctx, inv)
	if err != nil {
		return bide.Outcome{}, err
	}
	root, err := p.trees.Root(ctx, inv.Run)
	if err != nil {
		return bide.Outcome{}, err
	}
	c := &call{id: newID(), inv: inv, root: root, ended: make(chan ending, 1)}
	defer p.withdraw(c)
	for losses := 1; ; losses++ {
		p.offer(c)
		select {
		case <-ctx.Done():
			p.withdraw(c)
			select {
			case end := <-c.ended: // it came just in time
				if !end.lost {
					return end.outcome, end.err
				}
			default:
			}
			return bide.Outcome{}, context.Cause(ctx)
		case end := <-c.ended:
			switch {
			case !end.lost:
				return end.outcome, end.err
			case once:
				return bide.Waiting(doubt(inv, c.worker)), nil
			case losses >= p.opts.Losses:
				return bide.Outcome{}, fmt.Errorf("%d remote workers were lost with the call, the last one %q", losses, c.worker)
			}
		}
	}
}

// once reports whether the effect may be made at most once.
func (p *Pool) once(ctx context.Context, inv *bide.Invocation) (bool, error) {
	run, err := p.rt.Get(ctx, inv.Run)
	if err != nil {
		return false, err
	}
	if run.Step != inv.Step || inv.Effect >= len(run.Effects) {
		return false, fmt.Errorf("run %s is no longer at step %d", inv.Run, inv.Step)
	}
	return run.Effects[inv.Effect].Delivery != bide.AtLeastOnce, nil
}

func (p *Pool) offer(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[c.id] = c
	p.queue = append(p.queue, c)
	close(p.changed)
	p.changed = make(chan struct{})
}

// withdraw ends an offer: whoever holds the call is stale from now on.
func (p *Pool) withdraw(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(c)
	delete(p.calls, c.id)
	p.queue = slices.DeleteFunc(p.queue, func(q *call) bool { return q == c })
}

// release takes a call from whoever holds it.
func (p *Pool) release(c *call) {
	if c.stop != nil {
		c.stop()
	}
	c.token, c.stop = 0, nil
}

// take gives a worker the oldest call of some types that it may see, or nil, and a channel that is closed when to look again.
func (p *Pool) take(as *auth.Principal, in *PollRequest, key string) (*call, int64, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if key != "" && c.poll == key && c.token != 0 && as.Sees(c.root) {
			return c, c.token, nil
		}
	}
	i := slices.IndexFunc(p.queue, func(c *call) bool { return slices.Contains(in.Types, c.inv.Type) && as.Sees(c.root) })
	if i < 0 {
		return nil, 0, p.changed
	}
	c := p.queue[i]
	p.queue = slices.Delete(p.queue, i, i+1)
	p.token++
	c.token, c.worker, c.poll = p.token, in.Worker, key
	p.lease(c)
	return c, c.token, nil
}

// lease lets the holder of a call have it for another while.
func (p *Pool) lease(c *call) {
	if c.stop != nil {
		c.stop()
	}
	token := c.token
	c.stop = p.opts.Clock.AfterFunc(p.opts.Lease, func() { p.lose(c, token) })
}

// lose takes a call from a worker that was not heard of.
func (p *Pool) lose(c *call, token int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.token != token {
		return
	}
	p.opts.Logger.Warn("remote worker lost", "worker", c.worker, "run", c.inv.Run, "effect", c.inv.Type)
	p.release(c)
	c.ended <- ending{lost: true}
}

// held does something for whoever holds a call. It reports false when that is not who asks.
func (p *Pool) held(as *auth.Principal, id string, token int64, do func(c *call)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[id]
	if c == nil || token == 0 || c.token != token || !as.Sees(c.root) {
		return false
	}
	do(c)
	return true
}

// end ends a call for its holder.
func (p *Pool) end(as *auth.Principal, id string, token int64, e ending) error {
	if p.held(as, id, token, func(c *call) {
		p.release(c)
		c.ended <- e
		p.ended = append(p.ended[max(0, len(p.ended)+1-maxSaid):], said{id, token})
	}) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.ended, said{id, token}) {
		return nil
	}
	return stale()
}

// doubtState marks the waits that this package opens.
const doubtState = `{"remote":"worker lost"}`

var doubtSchema = bide.JSON(`{"type":"object","properties":{"type":{"enum":["done","again","fail"]},"result":{},"message":{"type":"string"}},"required":["type"],"additionalProperties":false}`)

// doubt is the wait that asks a person what became of a call that may be made at most once. Its answer is a bide.Attention.
func doubt(inv *bide.Invocation, worker string) bide.Wait {
	details, err := json.Marshal(map[string]any{"type": inv.Type, "payload": inv.Payload, "idempotency_key": inv.Key, "attempt": inv.Attempt, "worker": worker})
	if err != nil {
		details = nil
	}
	return bide.Wait{Kind: bide.WaitForm, Again: true, State: bide.JSON(doubtState), Schema: doubtSchema, Details: details,
		Message: fmt.Sprintf("It is not known whether %q happened: remote worker %q took it and was not heard of again.", inv.Type, worker)}
}

// decided is what a person said of a call that was lost, if that ends it.
func decided(inv *bide.Invocation) (out bide.Outcome, err error, ok bool) {
	if len(inv.Answered) == 0 {
		return out, nil, false
	}
	last := inv.Answered[len(inv.Answered)-1]
	var a bide.Attention
	if string(last.Wait.State) != doubtState {
		return out, nil, false
	}
	if err := json.Unmarshal(last.Decision.Answer, &a); err != nil {
		return out, bide.Permanent(fmt.Errorf("the answer about the lost call: %w", err)), true
	}
	switch a.Type {
	case bide.AttentionDone:
		if a.Result == nil {
			a.Result = bide.JSON("null")
		}
		return bide.Completed(a.Result), nil, true
	case bide.AttentionFail:
		return out, &bide.Failure{Code: bide.FailureDecided, Message: a.Message, Permanent: true}, true
	}
	return out, nil, false
}

func newID() string {
	raw := make([]byte, 12)
	rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}
