package agent

import (
	"fmt"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// act makes the calls that the last answer asks for. Without any, the agent is done.
func (a *Agent) act(s *state) (bide.StepPlan, error) {
	r, err := s.last()
	if err != nil {
		return bide.StepPlan{}, err
	}
	settled := s.run.Vars.Has("settled") // before a detour
	var writes []bide.Write
	if !settled {
		if writes, err = s.settle(&r); err != nil {
			return bide.StepPlan{}, err
		}
	}
	plan := bide.Go(nodeFinish)
	switch {
	case len(r.ToolCalls()) > 0 && s.ending() == "":
		plan, err = a.calls(s)
	case s.spec.Listen && s.ending() == "":
		plan = bide.Go(nodeListen).Set("answered", true)
	}
	detour := plan.Exit.Node == nodeDraw || plan.Exit.Node == nodeBudget
	switch {
	case detour && !settled:
		plan = plan.Set("settled", true)
	case !detour && settled:
		plan = plan.Delete("settled")
	}
	plan = plan.Set("used", s.used)
	plan.Writes = append(writes, plan.Writes...)
	plan.Effects = append(slices.Clone(plan.Effects), s.told...)
	return plan, err
}

// calls plans the calls of the last answer, as far as the limits let them.
func (a *Agent) calls(s *state) (bide.StepPlan, error) {
	t, err := a.turn(s)
	if err != nil {
		return bide.StepPlan{}, err
	}
	v, detour, err := s.leave(nodeAct, Used{ToolCalls: int64(len(t.calls))})
	if err != nil {
		return bide.StepPlan{}, err
	}
	a.faults(s, t)
	over, err := s.repeats(t)
	switch {
	case err != nil:
		return bide.StepPlan{}, err
	case over.Reached != "" && s.limits.OnReached == ReachedAsk:
		return bide.Go(nodeBudget).Set("reached", over).Set("back", nodeAct), nil
	case detour != nil:
		return *detour, nil
	case v.Reached != "":
		over = v
		left := max(s.limits.ToolCalls-s.used.ToolCalls, 0) // as many as fit, if it is a limit of this run alone
		for i := range t.calls {
			if v.Reached != ExitToolCalls || v.Pool != "" || int64(i) >= left {
				t.calls[i].refuse("The call was not made: %s. Answer with what you have.", v.Message)
			}
		}
	}
	plan, err := a.make(s, t)
	if err != nil {
		return plan, err
	}
	if over.Reached != "" {
		plan = plan.Set("exit_reason", over.Reached)
	}
	if s.run.Vars.Has("grant") {
		plan = plan.Delete("grant")
	}
	before := s.used
	s.used.ToolCalls += t.made()
	s.tell(s.limits.warnings(before, s.used))
	return plan, nil
}

// make plans the calls of a turn. With Approvals.All and calls to be decided about, it only asks; decided makes them.
func (a *Agent) make(s *state, t *turn) (plan bide.StepPlan, err error) {
	calls := t.forSet(s)
	switch {
	case len(calls) == 0:
		plan = bide.Go(nodeObserve)
	case s.spec.Approvals != nil && s.spec.Approvals.All:
		plan, err = a.cfg.Tools.PlanDecisions(calls, t.results)
		plan = plan.Then(nodeDecided)
	default:
		plan, err = a.cfg.Tools.Plan(calls, t.results)
		plan = plan.Then(nodeObserve)
	}
	if err != nil {
		return plan, err
	}
	if len(calls) < len(t.calls) {
		plan = plan.Set(t.others, t.refusals())
	}
	if plan.Exit.Node == nodeObserve {
		err = a.makeOthers(s, t, &plan)
	}
	s.bound(plan.Effects, s.forAnswer())
	return plan, err
}

// decided makes the calls of a turn, now that all are decided about.
func (a *Agent) decided(s *state) (bide.StepPlan, error) {
	t, err := a.turn(s)
	if err != nil {
		return bide.StepPlan{}, err
	}
	switch v := s.pressed(Used{ToolCalls: 1}); {
	case v.Ask:
		return s.atTime(v, nodeDecided), nil
	case v.Reached != "":
		for i := range t.calls {
			t.calls[i].refuse("The call was not made: %s. Answer with what you have.", v.Message)
		}
		return bide.Go(nodeObserve).Set(t.results, []any{}).Set(t.others, t.refusals()).Set("exit_reason", v.Reached), nil
	}
	plan, err := a.cfg.Tools.PlanDecided(s.run.Vars, t.forSet(s), t.results, nodeObserve)
	if err != nil {
		return plan, err
	}
	err = a.makeOthers(s, t, &plan)
	s.bound(plan.Effects, s.forAnswer())
	return plan, err
}

// makeOthers adds the calls that are not of tools of the set to a plan.
func (a *Agent) makeOthers(s *state, t *turn, plan *bide.StepPlan) error {
	for i, c := range t.calls {
		if c.ofSet || c.refused != "" {
			continue
		}
		e, err := a.other(s, &c.Part)
		if err != nil {
			return err
		}
		plan.Effects = append(plan.Effects, e.As(fmt.Sprintf("%s.%d", t.others, i)).WithErrorResult())
	}
	return nil
}

// observe adds the results of a turn to the conversation. They stay where the calls put them.
func (a *Agent) observe(s *state) (bide.StepPlan, error) {
	t, err := a.turn(s)
	if err != nil {
		return bide.StepPlan{}, err
	}
	results, err := tool.Results(s.run.Vars, t.results, t.forSet(s))
	if err != nil {
		return bide.StepPlan{}, err
	}
	parts := make([]llm.Part, len(t.calls))
	k := 0 // of the calls of tools of the set
	for i := range t.calls {
		c := &t.calls[i]
		switch {
		case c.refused != "":
			parts[i], err = llm.ToolResult(c.ID, c.Name, c.refused, true)
		case c.ofSet:
			parts[i], err = s.resultPart(c, &results[k], fmt.Sprintf("%s.%d", t.results, k))
			k++
		default:
			parts[i], err = a.otherPart(s, c, fmt.Sprintf("%s.%d", t.others, i))
		}
		if err != nil {
			return bide.StepPlan{}, err
		}
	}
	next := nodeThink
	if s.spec.Listen {
		next = nodeListen
	}
	return bide.Go(next).Append("messages", llm.ToolResults(parts...)), nil
}

// resultPart is what the model sees of a result at path.
func (s *state) resultPart(c *call, res *tool.Result, path string) (llm.Part, error) {
	raw, ok, err := s.run.Vars.Raw(path + ".content")
	if err == nil && ok && res.Note == "" && string(raw) == string(res.Content) {
		return llm.Part{Type: llm.PartToolResult, ID: c.ID, Name: c.Name, From: path + ".content", IsError: res.IsError()}, nil
	}
	return llm.ToolResult(c.ID, c.Name, res.Text(), res.IsError())
}
