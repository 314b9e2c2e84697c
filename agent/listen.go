package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// EventMessage is the event that adds a message to the conversation of an agent which listens (Spec.Listen).
// Its payload is the text.
const EventMessage = "message"

// TypeListen is the effect that ends a wait for messages when there are none.
const TypeListen = "agent.listen"

// Tell sends a message to a running agent that listens. It sees the message before its next turn, or instead of ending.
// Sent again with the same id, it is there once; an empty id is a fresh one. It fails as bide.Runtime.Send does.
func Tell(ctx context.Context, rt *bide.Runtime, runID, id, text string) error {
	return rt.Send(ctx, bide.Event{ID: id, ScopeID: runID, Name: EventMessage, Payload: text})
}

// listen waits for a message, and for word that there is none.
func (a *Agent) listen(*state) (bide.StepPlan, error) {
	return bide.Do(bide.WaitEvent(EventMessage, nil).As("heard"), bide.Call(TypeListen, nil)).Then(nodeHear), nil
}

// hear adds the message to the conversation and listens again, or goes on.
func (a *Agent) hear(s *state) (bide.StepPlan, error) {
	var e bide.ReceivedEvent
	var answered bool
	if err := s.get(map[string]any{"heard": &e, "answered": &answered}); err != nil {
		return bide.StepPlan{}, err
	}
	var text *string
	switch err := json.Unmarshal(e.Payload, &text); {
	case err != nil:
		text = new(string(e.Payload))
	case text == nil && answered:
		return bide.Go(nodeFinish), nil
	case text == nil:
		return bide.Go(nodeThink), nil
	}
	return bide.Go(nodeListen).Append("messages", llm.User(*text)).Delete("answered"), nil
}

// handleListen sends the run, which waits for a message, an empty one if there is no other.
func (h *host) handleListen(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	run, err := h.rt.Get(ctx, call.Run)
	if err != nil {
		return bide.Outcome{}, err
	}
	stored, err := h.store.Load(ctx, call.Run, run.Position())
	if err != nil {
		return bide.Outcome{}, fmt.Errorf("look for messages: %w", err)
	}
	key := bide.EventKey(bide.ScopeRun, call.Run, EventMessage)
	waits := slices.ContainsFunc(run.Waits, func(w bide.Wait) bool { return w.Key == key })
	if !waits || slices.ContainsFunc(stored.Mail, func(m bide.Message) bool { return m.Key == key }) {
		return bide.Completed(nil), nil
	}
	return bide.Completed(nil), h.rt.Send(ctx, bide.Event{ID: call.Key, ScopeID: call.Run, Name: EventMessage})
}
