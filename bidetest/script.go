package bidetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/bide-dev/bide"
)

// Script is a handler that gives prepared replies in order and remembers how it
// was called. It may be used from many goroutines.
type Script struct {
	mu      sync.Mutex
	replies []Reply
	calls   []bide.Invocation
}

// Reply is what a Script does at one call: exactly one of its fields is used,
// the first that is set, in this order; the zero Reply is the result null.
type Reply struct {
	Func   bide.Handler // do this
	Err    error        // fail with this
	Wait   *bide.Wait   // open this wait
	Result any          // complete with this
}

// NewScript returns a script of replies. A call beyond the last fails for good.
func NewScript(replies ...Reply) *Script { return &Script{replies: replies} }

// Handle is the bide.Handler.
func (s *Script) Handle(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	s.mu.Lock()
	n := len(s.calls)
	s.calls = append(s.calls, *call)
	s.mu.Unlock()
	if n >= len(s.replies) {
		return bide.Outcome{}, bide.Permanent(fmt.Errorf("the script has %d replies; this is call %d", len(s.replies), n+1))
	}
	switch r := s.replies[n]; {
	case r.Func != nil:
		return r.Func(ctx, call)
	case r.Err != nil:
		return bide.Outcome{}, r.Err
	case r.Wait != nil:
		return bide.Waiting(*r.Wait), nil
	default:
		return bide.Completed(r.Result), nil
	}
}

// Calls returns how the handler was called so far, in order.
func (s *Script) Calls() []bide.Invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}
