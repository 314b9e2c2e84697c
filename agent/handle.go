package agent

import (
	"context"
	"time"

	"github.com/bide-dev/bide"
)

// Store is what agents need of a store besides what the kernel does: documents, for shared limits and memories, and
// a look at a run's mail. The stores of this module have it.
type Store interface {
	bide.Documents
	Load(ctx context.Context, runID string, after bide.Position) (*bide.Stored, error)
}

// host carries out the effects of agents.
type host struct {
	rt    *bide.Runtime
	store Store
	now   func() time.Time
}

// Handle registers the handlers of what agents do besides asking models and calling tools: draws on shared limits, budget waits, memory, and
// looking for messages. Call it once for a runtime, with its store. It panics when they are registered already.
func Handle(rt *bide.Runtime, store Store) {
	h := &host{rt: rt, store: store, now: time.Now}
	rt.Handle(TypeDraw, h.handleDraw)
	rt.Handle(TypeBudget, h.handleBudget)
	rt.Handle(TypeListen, h.handleListen)
	rt.Handle(TypeMemory, h.handleMemory)
}
