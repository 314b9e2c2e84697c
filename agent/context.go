package agent

import (
	"encoding/json"
	"fmt"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

const (
	askForSummary = "Summarise this conversation for yourself, so that you can go on with nothing else but the task: what is known by now, with names, numbers and sources; what was tried; what is left to do. Answer with the summary alone."
	goOn          = "Go on with the task from your summary."
)

// shortening is the plan that makes the conversation shorter, if a call of that size asks for it.
func (s *state) shortening(next Used) *bide.StepPlan {
	c := s.spec.Context
	if c == nil || c.MaxTokens == 0 || next.InputTokens <= c.MaxTokens {
		return nil
	}
	if c.Mode != Summarize {
		return s.trim()
	}
	if len(s.messages)-s.first < 4 { // the task, or a summary
		return nil
	}
	plan := bide.Go(nodeSummarize).Append("messages", llm.User(askForSummary))
	return &plan
}

// trim leaves the oldest messages out of the calls that follow; nil when there is nothing to leave out.
func (s *state) trim() *bide.StepPlan {
	keep := 10
	if c := s.spec.Context; c != nil && c.Keep > 0 {
		keep = c.Keep
	}
	n := len(s.messages)
	first := n - min(keep, (n-s.first)/2)
	for first < n && s.role(first) == llm.RoleTool { // results without their calls
		first++
	}
	if first >= n || first <= s.first {
		return nil
	}
	plan := bide.Do(bide.Tell(fmt.Sprintf("The conversation is cut: messages %d to %d are left out from here on.", max(s.first, 1), first-1))).
		Set("first", first).Set("request.messages", s.messages[:1]).Then(nodeThink)
	return &plan
}

// role is that of a message.
func (s *state) role(i int) llm.Role {
	var m struct{ Role llm.Role }
	if err := json.Unmarshal(s.messages[i], &m); err != nil {
		return ""
	}
	return m.Role
}

// summarize asks the model for a summary.
func (a *Agent) summarize(s *state) (bide.StepPlan, error) {
	req := llm.Request{Model: s.spec.Model, System: s.spec.System, MaxTokens: s.spec.MaxTokens, Reasoning: s.spec.Reasoning, Options: s.spec.Options}
	if req.Tools = a.tools(&s.spec); len(req.Tools) > 0 {
		req.ToolChoice = "none"
	}
	if s.first > 0 {
		task := llm.Message{}
		if err := json.Unmarshal(s.messages[0], &task); err != nil {
			return bide.StepPlan{}, err
		}
		req.Messages = []llm.Message{task}
	}
	call, err := llm.CallFrom(s.run, req, llm.From{Messages: "messages", First: s.first})
	plan := s.asks(call).Then(nodeShorten)
	if s.run.Vars.Has("grant") {
		plan = plan.Delete("grant")
	}
	return plan, err
}

// shorten goes on from the summary.
func (a *Agent) shorten(s *state) (bide.StepPlan, error) {
	r, err := s.last()
	if err != nil {
		return bide.StepPlan{}, err
	}
	writes, err := s.settle(&r)
	plan := bide.Go(nodeThink).Set("used", s.used).Set("first", len(s.messages)-2).Set("request.messages", s.messages[:1]).Append("messages", llm.User(goOn))
	plan.Writes, plan.Effects = append(writes, plan.Writes...), s.told
	return plan, err
}
