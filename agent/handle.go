package agent

import (
	"errors"
	"time"

	"github.com/bide-dev/bide"
)

// host carries out the effects of agents.
type host struct {
	rt    *bide.Runtime
	store bide.Store
	docs  bide.Documents
	now   func() time.Time
	pools poolDesk
}

// Handle registers the handlers of what agents do besides asking models and calling tools: draws on shared limits, budget waits, memory, and
// looking for messages. Call it once for a runtime, with its store. It panics when they are registered already. Shared limits and memories
// need a store that keeps documents (bide.Documents), as those of this module do; with another, the effects fail.
func Handle(rt *bide.Runtime, store bide.Store) {
	h := &host{rt: rt, store: store, docs: rt.Documents(), now: time.Now}
	h.pools = poolDesk{docs: h.docs, now: h.now, lines: map[string]*poolLine{}}
	rt.Handle(TypeDraw, h.handleDraw)
	rt.Handle(TypeBudget, h.handleBudget)
	rt.Handle(TypeListen, h.handleListen)
	rt.Handle(TypeMemory, h.handleMemory)
}

// documents are those of the store.
func (h *host) documents() (bide.Documents, error) {
	if h.docs == nil {
		return nil, bide.Permanent(errors.New("the store keeps no documents, which shared limits and memories of agents need"))
	}
	return h.docs, nil
}
