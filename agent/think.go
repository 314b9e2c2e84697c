package agent

import (
	"encoding/json"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// begin checks the input and puts together what every call of the model has in common.
func (a *Agent) begin(r *bide.Run) (bide.StepPlan, error) {
	in, err := bide.Input[Input](r)
	if err != nil {
		return bide.StepPlan{}, fmt.Errorf("the input of an agent: %w", err)
	}
	spec, err := in.Spec.over(a.cfg.Spec)
	if err != nil {
		return bide.StepPlan{}, err
	}
	faults := spec.check()
	if in.Task == "" {
		faults = append(faults, bide.Fault{Path: "task", Message: "is empty; say what the agent is to do"})
	}
	for i, pattern := range spec.Tools {
		if !a.offers(pattern) {
			faults = append(faults, bide.Fault{Path: fmt.Sprintf("tools[%d]", i), Message: a.missing(pattern)})
		}
	}
	if len(faults) > 0 {
		err := &bide.Error{Message: "the agent cannot be run", Faults: faults}
		return bide.StepPlan{Exit: bide.Exit{Fail: &bide.Failure{Code: string(bide.CodeInvalidInput), Message: err.Error(), Permanent: true}}}.Set("exit_reason", ExitError), nil
	}
	request := llm.Request{Model: spec.Model, System: spec.System, Tools: a.tools(&spec), Output: spec.Output, MaxTokens: spec.MaxTokens,
		Temperature: spec.Temperature, Reasoning: spec.Reasoning, Options: spec.Options}
	return bide.Go(nodeThink).Set("request", request).Append("messages", llm.User(in.Task)), nil
}

// think asks the model, if the limits let it.
func (a *Agent) think(s *state) (bide.StepPlan, error) {
	next, err := s.estimate()
	if err != nil {
		return bide.StepPlan{}, err
	}
	v, detour, err := s.leave(nodeThink, next)
	switch {
	case err != nil:
		return bide.StepPlan{}, err
	case detour != nil:
		return *detour, nil
	case v.Reached != "" && !v.Last && s.ending() == "":
		return bide.Go(nodeFinish).Set("exit_reason", v.Reached), nil
	case v.Reached != "" && !v.Last:
		return bide.Go(nodeFinish), nil
	}
	if shorter := s.shortening(next); shorter != nil {
		return *shorter, nil
	}
	req := llm.Request{}
	if v.Last || s.ending() != "" {
		req.ToolChoice = "none"
	}
	if req.ToolChoice != "" && !s.run.Vars.Has("request.tools") {
		req.ToolChoice = ""
	}
	call, err := llm.CallFrom(s.run, req, llm.From{Request: "request", Messages: "messages", First: s.first})
	if err != nil {
		return bide.StepPlan{}, err
	}
	out := s.asks(call).Then(nodeAct)
	if v.Last && s.ending() == "" {
		out = out.Set("exit_reason", v.Reached)
	}
	if s.run.Vars.Has("grant") {
		out = out.Delete("grant")
	}
	out.Effects = append(out.Effects, s.told...)
	return out, nil
}

// ending is the limit that has been reached, once the agent only has its final answer to give.
func (s *state) ending() ExitReason {
	reason, err := bide.Get[ExitReason](s.run.Vars, "exit_reason")
	if err != nil {
		return ExitError
	}
	return reason
}

// leave says whether the next call may be made: by the run's own limits, and then by those that it shares. When
// something has to happen first, it returns the plan for that.
func (s *state) leave(back string, next Used) (verdict, *bide.StepPlan, error) {
	v := s.limits.judge(s.used, next)
	if late := s.pressed(next); late.Reached != "" && (!late.Last || v.Reached == "") {
		v = late
	}
	blocked := v.Reached != "" && !v.Last
	if blocked && v.Ask && s.ending() == "" {
		plan := bide.Go(nodeBudget).Set("reached", v).Set("back", back)
		return v, &plan, nil
	}
	if blocked || len(s.pools) == 0 {
		return v, nil, nil
	}
	var granted *granted
	if err := s.get(map[string]any{"grant": &granted}); err != nil {
		return v, nil, err
	}
	switch {
	case granted == nil:
		plan := bide.Go(nodeDraw).Set("reserve", next).Set("back", back)
		return v, &plan, nil
	case granted.Reached != "" && granted.Ask && s.ending() == "":
		plan := bide.Go(nodeBudget).Set("reached", granted.verdict).Set("back", back).Delete("grant")
		return v, &plan, nil
	case granted.Reached != "" && (v.Reached == "" || !granted.Last):
		v = granted.verdict
	}
	s.tell(granted.Warnings)
	return v, nil, nil
}

// estimate is what the next call of the model may use: what it read and wrote last, with what was added since; four bytes to
// the token where nothing is known. Its answer takes what it may, or else the longest so far.
func (s *state) estimate() (Used, error) {
	next := Used{Iterations: 1, OutputTokens: s.spec.MaxTokens}
	bytes := int64(0)
	for i := len(s.messages) - 1; i >= s.first; i-- {
		var m llm.Response
		if err := json.Unmarshal(s.messages[i], &m); err != nil {
			return next, fmt.Errorf("messages.%d: %w", i, err)
		}
		if m.Role == llm.RoleAssistant && m.Usage.Known() && i > s.first {
			next.InputTokens = *m.Usage.Input + *m.Usage.Output
			break
		}
		bytes += int64(len(s.messages[i]))
		for _, p := range m.Parts {
			if raw, ok, err := s.run.Vars.Raw(p.From); p.From != "" && ok && err == nil {
				bytes += int64(len(raw))
			}
		}
	}
	if next.InputTokens == 0 {
		raw, _, err := s.run.Vars.Raw("request")
		if err != nil {
			return next, err
		}
		bytes += int64(len(raw))
	}
	next.InputTokens += bytes / 4
	var longest int64
	if err := s.get(map[string]any{"longest": &longest}); err != nil {
		return next, err
	}
	if next.OutputTokens == 0 {
		next.OutputTokens = longest
	}
	if tokens := s.used.InputTokens + s.used.OutputTokens; tokens > 0 {
		next.Cost = llm.USD(float64(s.used.Cost) / float64(tokens) * float64(next.InputTokens+next.OutputTokens))
	}
	return next, nil
}

// settle counts what an answer used, and what was used by attempts at it that failed: it brings s.used up to date, and returns
// the writes that go with it.
func (s *state) settle(r *llm.Response) ([]bide.Write, error) {
	before := s.used
	plan, err := s.settleFailed()
	if err != nil {
		return nil, err
	}
	u := usedBy(r)
	if !r.Usage.Known() {
		if u, err = s.guess(r); err != nil {
			return nil, err
		}
	}
	u.Iterations = 1
	var longest int64
	if err := s.get(map[string]any{"longest": &longest}); err != nil {
		return nil, err
	}
	s.used = s.used.plus(u)
	s.tell(s.limits.warnings(before, s.used))
	if u.OutputTokens > longest {
		plan = plan.Set("longest", u.OutputTokens)
	}
	plan, err = s.timed(plan)
	return plan.Writes, err
}

// settleFailed counts what is known of the attempts that failed with an answer which could not be used.
func (s *state) settleFailed() (plan bide.StepPlan, err error) {
	failed, err := s.run.Vars.Items("failed")
	if err != nil || len(failed) == 0 {
		return plan, err
	}
	for _, raw := range failed {
		var r llm.Response
		if err := json.Unmarshal(raw, &r); err != nil {
			return plan, fmt.Errorf("an answer of an attempt that failed: %w", err)
		}
		s.used = s.used.plus(usedBy(&r))
	}
	return plan.Delete("failed"), nil
}

// usedBy is what an answer used, as far as that is known.
func usedBy(r *llm.Response) (u Used) {
	if r.Usage.Input != nil {
		u.InputTokens = *r.Usage.Input
	}
	if r.Usage.Output != nil {
		u.OutputTokens = *r.Usage.Output
	}
	if !r.Usage.Known() {
		u.Uncounted = 1
	}
	if r.Cost != nil {
		u.Cost = r.Cost.USD
	} else {
		u.Unpriced = 1
	}
	return u
}

// guess is what an answer may have used whose provider does not say.
func (s *state) guess(r *llm.Response) (Used, error) {
	before := *s
	before.messages = s.messages[:len(s.messages)-1]
	next, err := before.estimate()
	if err != nil {
		return next, err
	}
	raw, err := json.Marshal(r.Message)
	u := usedBy(r)
	u.InputTokens, u.OutputTokens = next.InputTokens, int64(len(raw))/4
	return u, err
}

// refused is where a call of the model that failed leads: a conversation that is too long is made shorter, at the end of the time the agent
// ends or asks, and everything else fails the run.
func (a *Agent) refused(s *state) (bide.StepPlan, error) {
	caught := s.run.Caught
	if caught == nil { // the run has failed here, and is retried
		return bide.Go(nodeThink).Delete("exit_reason"), nil
	}
	counted, err := s.settleFailed()
	if err != nil {
		return counted, err
	}
	plan, known := s.after(caught)
	if !known {
		plan = bide.StepPlan{Exit: bide.Exit{Fail: caught}}.Set("exit_reason", ExitError)
		if len(s.pools) > 0 {
			plan.Effects = append(plan.Effects, s.draws(nil, false).WithErrorResult())
		}
	} else if caught.Node == nodeSummarize {
		plan = plan.Delete(fmt.Sprintf("messages.%d", len(s.messages)-1)) // the question for a summary
	}
	plan = plan.Set("used", s.used)
	plan.Writes = append(counted.Writes, plan.Writes...)
	return plan, nil
}

// after is the plan for a failure that the agent knows what to do about.
func (s *state) after(caught *bide.Failure) (plan bide.StepPlan, known bool) {
	if v := s.outOfTime(caught); v.Reached != "" {
		return s.atTime(v, nodeThink), true
	}
	if caught.Code == string(llm.CodeContextTooLong) {
		if shorter := s.trim(); shorter != nil {
			return *shorter, true
		}
	}
	return plan, false
}

// finish completes the run.
func (a *Agent) finish(s *state) (bide.StepPlan, error) {
	out := Output{ExitReason: s.ending(), Used: s.used}
	for i := len(s.messages) - 1; i >= 0; i-- {
		var m llm.Response
		if err := json.Unmarshal(s.messages[i], &m); err != nil {
			return bide.StepPlan{}, err
		}
		if m.Role != llm.RoleAssistant {
			continue
		}
		out.Answer, out.Output = m.Text(), m.Output
		if out.ExitReason == "" && m.Finish == llm.FinishLength {
			out.ExitReason = ExitCut
		}
		break
	}
	if out.ExitReason == "" {
		out.ExitReason = ExitAnswered
	}
	plan := bide.Complete(out).Set("exit_reason", out.ExitReason)
	if len(s.pools) > 0 {
		plan.Effects = append(plan.Effects, s.draws(nil, true).WithErrorResult())
	}
	return plan, nil
}
