package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// turn is the calls of one answer, and where their results go.
type turn struct {
	name  string // of the turn, such as t7
	calls []llm.Part
	tools []tool.Call // those of the set, in order
}

// results and others are the paths of what came of calls of the set, and of others, which have the index of the call.
func (t *turn) results() string { return "results." + t.name }
func (t *turn) others() string  { return "others." + t.name }

// turn reads the calls of the last answer.
func (a *Agent) turn(s *state, r *llm.Response, refused map[int]string) *turn {
	t := &turn{name: fmt.Sprintf("t%d", s.used.Iterations), calls: r.ToolCalls()}
	offered := a.offered(&s.spec)
	for i, c := range t.calls {
		if !offered[c.Name] && refused[i] == "" {
			refused[i] = fmt.Sprintf("The call was not made: there is no tool %q; there are %q.", c.Name, slices.Sorted(maps.Keys(offered)))
		}
		if refused[i] == "" && !a.has(c.Name) {
			if _, err := a.other(s, &c); err != nil {
				refused[i] = fmt.Sprintf("The call was not made: %v.", err)
			}
		}
		if refused[i] == "" && a.has(c.Name) {
			t.tools = append(t.tools, tool.Call{ID: c.ID, Name: c.Name, Args: argsOf(&c), Ask: s.spec.Approvals != nil && s.spec.Approvals.Ask != nil && matchAny(s.spec.Approvals.Ask, c.Name)})
		}
	}
	return t
}

// argsOf is what the model wrote as arguments.
func argsOf(c *llm.Part) string {
	if c.Args == nil {
		return c.ArgsText
	}
	return string(c.Args)
}

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
		plan, err = a.calls(s, &r)
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

// calls plans the calls of an answer, as far as the limits let them.
func (a *Agent) calls(s *state, r *llm.Response) (bide.StepPlan, error) {
	v, detour, err := s.leave(nodeAct, Used{ToolCalls: int64(len(r.ToolCalls()))})
	if err != nil {
		return bide.StepPlan{}, err
	}
	refused := map[int]string{}
	over, err := s.repeats(r, refused)
	if err != nil {
		return bide.StepPlan{}, err
	}
	if over != nil && s.limits.OnReached == ReachedAsk {
		return bide.Go(nodeBudget).Set("reached", over).Set("back", nodeAct), nil
	}
	if detour != nil {
		return *detour, nil
	}
	reached := ExitReason("")
	if over != nil {
		reached = over.Reached
	}
	if v.Reached != "" && v.Reached != ExitTime {
		reached = v.Reached
		left := max(s.limits.ToolCalls-s.used.ToolCalls, 0) // as many as fit, if it is a limit of this run alone
		for i := range r.ToolCalls() {
			if v.Reached != ExitToolCalls || v.Pool != "" || int64(i) >= left {
				refused[i] = "The call was not made: " + v.Message + ". Answer with what you have."
			}
		}
	}
	t := a.turn(s, r, refused)
	out, err := a.make(s, t, refused)
	if err != nil {
		return out, err
	}
	if reached != "" {
		out = out.Set("exit_reason", reached)
	}
	before := s.used
	s.used.ToolCalls += int64(len(t.calls) - len(refused))
	s.tell(s.limits.warnings(before, s.used))
	if s.run.Vars.Has("grant") {
		out = out.Delete("grant")
	}
	return out, nil
}

// repeats refuses the calls that were made too often among the last answers, of which it looks at four for each time that is allowed.
func (s *state) repeats(r *llm.Response, refused map[int]string) (over *verdict, err error) {
	counts := map[string]int64{}
	answers := 4 * s.limits.Repeats
	for i := len(s.messages) - 2; i >= 0 && answers > 0; i-- {
		var m llm.Message
		if err := json.Unmarshal(s.messages[i], &m); err != nil {
			return nil, err
		}
		if m.Role != llm.RoleAssistant {
			continue
		}
		answers--
		for _, c := range m.ToolCalls() {
			counts[c.Name+" "+argsOf(&c)]++
		}
	}
	for i, c := range r.ToolCalls() {
		key := c.Name + " " + argsOf(&c)
		if counts[key]++; counts[key] > s.limits.Repeats {
			over = &verdict{Reached: ExitRepeats, Message: fmt.Sprintf("%s was called %d times with the same arguments", c.Name, s.limits.Repeats)}
			refused[i] = "The call was not made again: " + over.Message + ". Answer with what you have."
		}
	}
	return over, nil
}

// make plans the effects of a turn.
func (a *Agent) make(s *state, t *turn, refused map[int]string) (bide.StepPlan, error) {
	plan := bide.Go(nodeObserve)
	hold := s.spec.Approvals != nil && s.spec.Approvals.All && len(t.tools) > 0
	var err error
	switch {
	case hold:
		if plan, err = a.cfg.Tools.PlanDecisions(t.tools, t.results()); err != nil {
			return plan, err
		}
		plan = plan.Then(nodeDecided)
	case len(t.tools) > 0:
		if plan, err = a.cfg.Tools.Plan(t.tools, t.results()); err != nil {
			return plan, err
		}
		plan = plan.Then(nodeObserve)
	}
	if len(t.tools) == len(t.calls) {
		return plan, nil
	}
	others := make([]any, len(t.calls))
	for i, text := range refused {
		others[i] = refusal{text}
	}
	plan = plan.Set(t.others(), others)
	if !hold {
		effects, err := a.others(s, t, refused)
		if err != nil {
			return plan, err
		}
		plan.Effects = append(plan.Effects, effects...)
	}
	return plan, nil
}

// refusal is what stands in the place of the result of a call that was not made.
type refusal struct {
	Refused string `json:"refused"`
}

// others are the effects of calls that are not those of the set.
func (a *Agent) others(s *state, t *turn, refused map[int]string) (effects []bide.Effect, err error) {
	for i, c := range t.calls {
		if refused[i] != "" || a.has(c.Name) {
			continue
		}
		e, err := a.other(s, &c)
		if err != nil {
			return nil, err
		}
		effects = append(effects, e.As(fmt.Sprintf("%s.%d", t.others(), i)).WithErrorResult())
	}
	return effects, nil
}

// decided makes the calls of a turn, now that all are decided about.
func (a *Agent) decided(s *state) (bide.StepPlan, error) {
	r, err := s.last()
	if err != nil {
		return bide.StepPlan{}, err
	}
	refused, err := s.refusals()
	if err != nil {
		return bide.StepPlan{}, err
	}
	t := a.turn(s, &r, refused)
	plan, err := a.cfg.Tools.PlanDecided(s.run.Vars, t.tools, t.results(), nodeObserve)
	if err != nil {
		return plan, err
	}
	effects, err := a.others(s, t, refused)
	plan.Effects = append(plan.Effects, effects...)
	return plan, err
}

// refusals are the calls of the last answer that were not made.
func (s *state) refusals() (map[int]string, error) {
	refused := map[int]string{}
	others, err := s.run.Vars.Items(fmt.Sprintf("others.t%d", s.used.Iterations))
	if err != nil {
		return nil, err
	}
	for i, raw := range others {
		var no refusal
		if err := json.Unmarshal(raw, &no); err == nil && no.Refused != "" {
			refused[i] = no.Refused
		}
	}
	return refused, nil
}

// observe adds the results of a turn to the conversation. They stay where the calls put them.
func (a *Agent) observe(s *state) (bide.StepPlan, error) {
	r, err := s.last()
	if err != nil {
		return bide.StepPlan{}, err
	}
	refused, err := s.refusals()
	if err != nil {
		return bide.StepPlan{}, err
	}
	t := a.turn(s, &r, refused)
	results, err := tool.Results(s.run.Vars, t.results(), t.tools)
	if err != nil {
		return bide.StepPlan{}, err
	}
	parts := make([]llm.Part, len(t.calls))
	k := 0
	for i, c := range t.calls {
		if refused[i] == "" && a.has(c.Name) {
			parts[i], err = s.resultPart(&c, &results[k], fmt.Sprintf("%s.%d", t.results(), k))
			k++
		} else {
			parts[i], err = a.otherPart(s, &c, refused[i], fmt.Sprintf("%s.%d", t.others(), i))
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
func (s *state) resultPart(c *llm.Part, res *tool.Result, path string) (llm.Part, error) {
	raw, ok, err := s.run.Vars.Raw(path + ".content")
	if err == nil && ok && res.Note == "" && string(raw) == string(res.Content) {
		return llm.Part{Type: llm.PartToolResult, ID: c.ID, Name: c.Name, From: path + ".content", IsError: res.IsError()}, nil
	}
	return llm.ToolResult(c.ID, c.Name, res.Text(), res.IsError())
}
