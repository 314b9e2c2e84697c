package worker

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"github.com/bide-dev/bide"
)

// Limits bound the calls of a handler within this process. Zero fields do not bound.
type Limits struct {
	// Key groups the calls, by tenant or provider for example: each group has
	// the bounds to itself. Nil puts all calls into one group.
	Key func(*bide.Invocation) string
	// AtOnce is how many calls of a group are at work at the same time.
	AtOnce int
	// PerSecond is how many calls of a group begin in a second, on average, and
	// Burst how many may begin at the same moment. Burst defaults to 1.
	PerSecond float64
	Burst     int
}

// Limit returns a handler that calls h within limits. A call that has to wait
// does so as an attempt under way: its timeouts count, and it ends with its context.
// Give several effect types the same limits by registering one limited handler for all.
func Limit(h bide.Handler, limits Limits) bide.Handler {
	l := &limiter{limits: limits, groups: map[string]*group{}}
	return func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
		key := ""
		if limits.Key != nil {
			key = limits.Key(call)
		}
		g := l.enter(key)
		defer l.leave(key, g)
		if err := g.wait(ctx); err != nil {
			return bide.Outcome{}, err
		}
		defer g.done()
		return h(ctx, call)
	}
}

type limiter struct {
	limits Limits
	mu     sync.Mutex
	groups map[string]*group
}

// group is the calls under one key.
type group struct {
	users  int           // calls at work or waiting; guarded by limiter.mu
	places chan struct{} // nil: no bound
	rate   *rate.Limiter // nil: no bound
}

func (l *limiter) enter(key string) *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[key]
	if g == nil {
		g = &group{}
		if l.limits.AtOnce > 0 {
			g.places = make(chan struct{}, l.limits.AtOnce)
		}
		if l.limits.PerSecond > 0 {
			g.rate = rate.NewLimiter(rate.Limit(l.limits.PerSecond), max(l.limits.Burst, 1))
		}
		l.groups[key] = g
	}
	g.users++
	return g
}

// leave forgets a group that nobody uses, once forgetting it gives nobody more than is due.
func (l *limiter) leave(key string, g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.users--
	if g.users == 0 && (g.rate == nil || g.rate.Tokens() >= float64(g.rate.Burst())) {
		delete(l.groups, key)
	}
}

func (g *group) wait(ctx context.Context) error {
	if g.places != nil {
		select {
		case g.places <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if g.rate != nil {
		if err := g.rate.Wait(ctx); err != nil {
			g.done()
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
	return nil
}

func (g *group) done() {
	if g.places != nil {
		<-g.places
	}
}
