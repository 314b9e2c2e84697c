package tool

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bide-dev/bide"
)

// TypeCall is the effect type of one call.
const TypeCall = "tool_call"

// Call is what a model asks for.
type Call struct {
	ID   string `json:"tool_call_id"` // unique within the plan
	Name string `json:"name"`
	// Args are the arguments as the model wrote them: JSON, if it did well. Empty means {}.
	Args string `json:"args"`
	// Ask has a person decide even where the policy or a grant would let the call pass.
	Ask bool `json:"ask,omitempty"`
}

// payload is that of the effect of a call.
type payload struct {
	ToolCallID string    `json:"tool_call_id"`
	Name       string    `json:"name"`
	Args       bide.JSON `json:"args,omitempty"`
	ArgsText   string    `json:"args_text,omitempty"` // instead of Args: arguments that are not JSON
	Safety     Safety    `json:"safety,omitempty"`    // as of the plan; the effect's delivery follows it
	Ask        bool      `json:"ask,omitempty"`       // as Call.Ask
	AskOnly    bool      `json:"ask_only,omitempty"`  // only find out whether it may run
	Leave      *Leave    `json:"leave,omitempty"`     // found out by another effect before
}

// Plan is a step in which each call runs as soon as it was let pass
// (run_as_decided). The results are then in a list at path in vars; see Results.
// Say with Then where to go. It fails when the ids of the calls do not differ.
func (s *Set) Plan(calls []Call, path string) (bide.StepPlan, error) {
	return s.plan(calls, path, func(p *payload) {})
}

// PlanDecisions is the first of two steps in which no call runs before all were
// decided (run_when_all); go on to a node that returns PlanDecided. It only asks.
func (s *Set) PlanDecisions(calls []Call, path string) (bide.StepPlan, error) {
	return s.plan(calls, path, func(p *payload) { p.AskOnly = true })
}

// PlanDecided is the second step: the calls that were let pass run; the others
// have their results. It goes to next.
func (s *Set) PlanDecided(vars bide.Vars, calls []Call, path, next string) (bide.StepPlan, error) {
	decided, err := Results(vars, path, calls)
	if err != nil {
		return bide.StepPlan{}, err
	}
	var effects []bide.Effect
	for i, res := range decided {
		if res.Status != StatusApproved {
			continue
		}
		p := s.payload(calls[i])
		p.Leave = res.Leave
		effects = append(effects, s.effect(p, fmt.Sprintf("%s.%d", path, i)))
	}
	if len(effects) == 0 {
		return bide.Go(next), nil
	}
	return bide.Do(effects...).Then(next), nil
}

func (s *Set) plan(calls []Call, path string, refine func(*payload)) (bide.StepPlan, error) {
	effects := make([]bide.Effect, len(calls))
	seen := map[string]bool{}
	for i, c := range calls {
		if c.ID == "" || seen[c.ID] {
			return bide.StepPlan{}, fmt.Errorf("call %d, of tool %q, has the id %q, which is empty or taken; ids of calls are unique within a plan", i, c.Name, c.ID)
		}
		seen[c.ID] = true
		p := s.payload(c)
		refine(p)
		effects[i] = s.effect(p, fmt.Sprintf("%s.%d", path, i))
	}
	return bide.Do(effects...).Set(path, make([]any, len(calls))), nil
}

// payload brings a call into the form in which it is recorded.
func (s *Set) payload(c Call) *payload {
	p := &payload{ToolCallID: c.ID, Name: c.Name, Args: bide.JSON(c.Args), Ask: c.Ask}
	if strings.TrimSpace(c.Args) == "" {
		p.Args = bide.JSON("{}")
	}
	if !jsontext.Value(p.Args).IsValid() {
		p.Args, p.ArgsText = nil, strings.ToValidUTF8(c.Args, "\uFFFD")
	}
	if t := s.find(c.Name); t != nil {
		p.Safety = t.Safety
	}
	return p
}

// effect chooses the delivery by what a second call does.
func (s *Set) effect(p *payload, place string) bide.Effect {
	e := bide.Call(TypeCall, p).As(place).WithErrorResult()
	t := s.find(p.Name)
	switch {
	case p.AskOnly:
		return e
	case p.Safety == Once && p.Leave != nil:
		return e.Once()
	case p.Safety == Once:
		return e.OnceDecided()
	case t != nil && t.Retry != nil:
		return e.WithRetry(*t.Retry)
	}
	return e
}

// Effect is the call for a plan that is made where the tools are not known. A crash in the middle is met as the
// tool's safety says all the same, since that is known when it is called; Tool.Retry does not count. Its result is a Result.
func (c Call) Effect() bide.Effect {
	var s Set
	e := s.effect(s.payload(c), "")
	e.ErrorResult = false
	return e
}

// Results reads what came of calls that were planned at path: one result for
// each, in order. It is for the node after the step.
func Results(vars bide.Vars, path string, calls []Call) ([]Result, error) {
	raws, err := bide.Get[[]bide.JSON](vars, path)
	if err != nil {
		return nil, err
	}
	if len(raws) != len(calls) {
		return nil, fmt.Errorf("vars %q has %d results for %d calls", path, len(raws), len(calls))
	}
	results := make([]Result, len(calls))
	for i, raw := range raws {
		results[i] = parseResult(calls[i], raw)
	}
	return results, nil
}

func parseResult(c Call, raw bide.JSON) Result {
	var r struct {
		Result
		Error *bide.Failure `json:"error"`
	}
	err := json.Unmarshal(raw, &r)
	switch {
	case err == nil && r.ToolCallID == c.ID && r.Status != "":
		return r.Result
	case err == nil && r.Error != nil:
		return *(&Result{ToolCallID: c.ID, Name: c.Name}).fail("The call failed: %s", r.Error.Message)
	case string(raw) == "null":
		raw = bide.JSON(`""`)
	}
	return Result{ToolCallID: c.ID, Name: c.Name, Status: StatusOK, Content: raw, Note: "A person said that the call happened."}
}
