package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bide-dev/bide"
)

// Pool is a limit that several runs draw on: that of an agent which calls others.
type Pool struct {
	ID     string `json:"id"` // the id of that agent's run
	Limits Limits `json:"limits"`
}

// TypeDraw is the effect by which a run reserves what its next call may use from the pools that it draws on,
// and settles what it has used so far.
const TypeDraw = "agent.draw"

// kindPool is the kind of the documents with the state of pools.
const kindPool = "agent-pool"

// drawing is the payload of a draw.
type drawing struct {
	Pools []Pool `json:"pools"`
	Used  Used   `json:"used"`           // by the run, from its start
	Next  *Used  `json:"next,omitempty"` // nil: the run needs nothing more
	Done  bool   `json:"done,omitempty"` // it completes, and so cannot be retried
	Raise *raise `json:"raise,omitempty"`
}

// raise is a limit that a person has raised.
type raise struct {
	Pool   string `json:"pool"`
	Limits Limits `json:"limits"`
}

// poolState is the document of a pool. It has one entry for each run that draws on it; those that have completed are summed up when
// the agent of the pool draws the next time.
type poolState struct {
	Limits  Limits               `json:"limits"`
	Runs    map[string]poolShare `json:"runs"`
	Settled Used                 `json:"settled,omitzero"`
	Ended   int                  `json:"ended,omitempty"`
}

// poolShare is what one run has of a pool, as of a step.
type poolShare struct {
	Step int64 `json:"step"`
	Used Used  `json:"used"`
	Held Used  `json:"held"`
	Done bool  `json:"done,omitempty"`
}

// granted is the result of a draw.
type granted struct {
	verdict
	Warnings []string `json:"warnings,omitempty"`
}

// draws is the effect of a draw; with nil, the last one, of a run that completes or fails.
func (s *state) draws(next *Used, done bool) bide.Effect {
	d := drawing{Pools: s.pools, Used: s.used, Next: next, Done: done}
	if err := s.get(map[string]any{"raise": &d.Raise}); err != nil {
		d.Raise = nil
	}
	return bide.Call(TypeDraw, d).WithRetry(bide.RetryPolicy{Attempts: 10})
}

// draw draws on the pools for the node that comes next.
func (a *Agent) draw(s *state) (bide.StepPlan, error) {
	var next Used
	var back string
	if err := s.get(map[string]any{"reserve": &next, "back": &back}); err != nil {
		return bide.StepPlan{}, err
	}
	return bide.Do(s.draws(&next, false).As("grant")).Delete("reserve").Delete("raise").Then(back).OnError(nodeRefused), nil
}

// handleDraw carries out a draw. It is done for each pool in turn, until one refuses. Made again, it changes nothing more.
func (h *host) handleDraw(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var d drawing
	if err := json.Unmarshal(call.Payload, &d); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	if _, err := h.documents(); err != nil {
		return bide.Outcome{}, err
	}
	var out granted
	for _, p := range d.Pools {
		var v verdict
		var warnings []string
		err := h.pools.change(ctx, p, func(state *poolState) error {
			var err error
			v, warnings, err = state.apply(p.ID, &d, call)
			return err
		})
		if err != nil {
			return bide.Outcome{}, err
		}
		out.Warnings = append(out.Warnings, warnings...)
		if v.Reached != "" {
			out.verdict = v
		}
		if v.Reached != "" && !v.Last {
			break
		}
	}
	return bide.Completed(out), nil
}

// apply settles and reserves for one run.
func (p *poolState) apply(id string, d *drawing, call *bide.Invocation) (v verdict, warnings []string, err error) {
	was := p.Runs[call.Run]
	if call.Step < was.Step {
		return v, nil, bide.Permanent(fmt.Errorf("the run has drawn on pool %s again since", id))
	}
	if d.Raise != nil && d.Raise.Pool == id {
		p.Limits = d.Raise.Limits.over(p.Limits)
	}
	if call.Run == id {
		p.fold(id)
	}
	before, held := p.total()
	p.Runs[call.Run] = poolShare{Step: call.Step, Used: d.Used, Done: d.Done}
	used, _ := p.total()
	warnings = p.Limits.warnings(before, used)
	if d.Next == nil {
		return v, warnings, nil
	}
	held = held.plus(negative(was.Held))
	v = p.Limits.judge(used.plus(held), *d.Next)
	v.Pool = id
	if v.Reached == "" || v.Last {
		p.Runs[call.Run] = poolShare{Step: call.Step, Used: d.Used, Held: *d.Next}
	}
	return v, warnings, nil
}

// fold sums up the runs that an agent has called, once it draws itself: it waits for them in a step of its own, so they have ended, and
// nothing is reserved for them any more. One that may be retried keeps its entry, since it then draws with what it has used from its start.
func (p *poolState) fold(owner string) {
	for run, share := range p.Runs {
		switch {
		case run == owner:
		case share.Done:
			p.Settled, p.Ended = p.Settled.plus(share.Used), p.Ended+1
			delete(p.Runs, run)
		default:
			share.Held = Used{}
			p.Runs[run] = share
		}
	}
}

func (p *poolState) total() (used, held Used) {
	used = p.Settled
	for _, share := range p.Runs {
		used, held = used.plus(share.Used), held.plus(share.Held)
	}
	return used, held
}

// Standing is how far a pool is used.
type Standing struct {
	Pool
	Used     Used `json:"used"`
	Reserved Used `json:"reserved"` // by calls under way, besides
	Runs     int  `json:"runs"`     // that have drawn on it
}

// Pools returns a page of the pools of a store, and where to go on; empty is the beginning, and the end. limit is as in bide.RunQuery.
func Pools(ctx context.Context, docs bide.Documents, after string, limit int) (pools []Standing, next string, err error) {
	page, err := docs.Documents(ctx, bide.DocumentQuery{Kind: kindPool, After: after, Limit: limit})
	if err != nil {
		return nil, "", err
	}
	for _, d := range page.Documents {
		var state poolState
		if err := json.Unmarshal(d.Body, &state); err != nil {
			return nil, "", bide.Errorf(bide.CodeCorrupt, "pool %s: %w", d.ID, err)
		}
		used, held := state.total()
		pools = append(pools, Standing{Pool{d.ID, state.Limits}, used, held, len(state.Runs) + state.Ended})
	}
	return pools, page.Next, nil
}

func negative(u Used) Used {
	return Used{-u.Iterations, -u.ToolCalls, -u.InputTokens, -u.OutputTokens, -u.Cost, -u.Uncounted, -u.Unpriced}
}
