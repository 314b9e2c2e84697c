package bide_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// Clients of two processes answer one wait differently, send the same answer
// and the same cancellation twice, and look at the run, all at once, a thousand
// times over. What they are told must fit one order of their calls (K17, K22).
func TestWhatRacingClientsAreToldFitsOneOrder(t *testing.T) {
	wf := one(bide.Ask("?", nil))
	store := mem.New()
	clients := []*bide.Runtime{newRuntime(t, store, nil, wf), newRuntime(t, store, nil, wf)}
	calls := []waitCall{{"answer", "a"}, {"answer", "a"}, {"answer", "b"}, {"cancel", ""}, {"cancel", ""}, {"get", ""}}
	for round := range 1000 {
		run := must[*bide.Run](t)(clients[0].Run(ctx, wf, nil, nil))
		history := make([]porcupine.Operation, len(calls))
		var now atomic.Int64
		var wg sync.WaitGroup
		ready := make(chan struct{})
		for i, call := range calls {
			wg.Go(func() {
				<-ready
				op := porcupine.Operation{ClientId: i, Input: call, Call: now.Add(1)}
				op.Output = call.do(clients[(i+round)%2], run)
				op.Return = now.Add(1)
				history[i] = op
			})
		}
		close(ready)
		wg.Wait()
		if !porcupine.CheckOperations(waitModel, history) {
			t.Fatalf("round %d: no order explains %+v", round, history)
		}
	}
}

type waitCall struct{ verb, answer string }

// do makes the call and says in a word what came of it.
func (c waitCall) do(rt *bide.Runtime, run *bide.Run) string {
	ctx := context.Background()
	var err error
	switch c.verb {
	case "answer":
		_, err = rt.Resume(ctx, run.ID, run.Waits[0].ID, c.answer, bide.Command{ID: "answer-" + c.answer})
	case "cancel":
		_, err = rt.Cancel(ctx, run.ID, bide.Command{ID: "cancel"})
	case "get":
		got, err := rt.Get(ctx, run.ID)
		return fmt.Sprint(got.Status, err)
	}
	var e *bide.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e) && e.Code == bide.CodeAlreadyDecided && e.Decision.By == bide.ByAnswer:
		return "decided " + string(e.Decision.Answer)
	case errors.As(err, &e) && e.Code == bide.CodeAlreadyDecided:
		return "closed"
	}
	return err.Error()
}

type waitState struct {
	answer    string
	cancelled bool
}

// waitModel is one wait of one run, as the rules have it.
var waitModel = porcupine.Model{
	Init: func() any { return waitState{} },
	Step: func(state, input, output any) (bool, any) {
		s, call, out := state.(waitState), input.(waitCall), output.(string)
		switch {
		case call.verb == "cancel":
			return out == "ok", waitState{s.answer, true}
		case call.verb == "get" && s.cancelled:
			return out == "cancelled<nil>", s
		case call.verb == "get" && s.answer != "":
			return out == "running<nil>", s
		case call.verb == "get":
			return out == "waiting<nil>", s
		case s.answer == call.answer:
			return out == "ok", s
		case s.answer != "":
			return out == fmt.Sprintf("decided %q", s.answer), s
		case s.cancelled:
			return out == "closed", s
		}
		return out == "ok", waitState{call.answer, false}
	},
}
