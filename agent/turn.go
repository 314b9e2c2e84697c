package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// turn is the calls of one answer, and where their results go: those of tools of the set to a list of their own, those of
// all others to one with an entry for each call, which also says why a call was refused.
type turn struct {
	calls           []call
	results, others string // paths in vars
}

// call is one of them.
type call struct {
	llm.Part
	ofSet   bool   // it is for the set; otherwise for the agent itself, or another one
	refused string // why it is not made, for the model; empty when it is
}

// refusal is what stands in the place of the result of a call that was not made.
type refusal struct {
	Refused string `json:"refused"`
}

// turn reads the calls of the last answer, and which of them were refused.
func (a *Agent) turn(s *state) (*turn, error) {
	r, err := s.last()
	if err != nil {
		return nil, err
	}
	t := &turn{results: fmt.Sprintf("results.t%d", s.used.Iterations), others: fmt.Sprintf("others.t%d", s.used.Iterations)}
	kept, err := s.run.Vars.Items(t.others)
	if err != nil {
		return nil, err
	}
	for i, p := range r.ToolCalls() {
		c := call{Part: p, ofSet: !own[p.Name] && a.agents[p.Name] == nil}
		var no refusal
		if i < len(kept) && json.Unmarshal(kept[i], &no) == nil {
			c.refused = no.Refused
		}
		t.calls = append(t.calls, c)
	}
	return t, nil
}

// refuse has a call not be made, for the first reason given.
func (c *call) refuse(format string, args ...any) {
	if c.refused == "" {
		c.refused = fmt.Sprintf(format, args...)
	}
}

// maxCalls is how many calls of one answer are made.
const maxCalls = 100

// faults refuses the calls that cannot be made. The arguments of those for the set are looked at when they are made.
func (a *Agent) faults(s *state, t *turn) {
	offered := a.offered(&s.spec)
	for i := range t.calls {
		c := &t.calls[i]
		if i >= maxCalls {
			c.refuse("The call was not made: only the first %d calls of an answer are.", maxCalls)
		} else if !offered[c.Name] {
			c.refuse("The call was not made: there is no tool %q; there are %q.", c.Name, slices.Sorted(maps.Keys(offered)))
		} else if !c.ofSet {
			if _, err := a.other(s, &c.Part); err != nil {
				c.refuse("The call was not made: %v.", err)
			}
		}
	}
}

// args are what the model wrote as arguments.
func args(p *llm.Part) string {
	if p.Args == nil {
		return p.ArgsText
	}
	return string(p.Args)
}

// forSet are the calls to be made of tools of the set, in order.
func (t *turn) forSet(s *state) (calls []tool.Call) {
	for _, c := range t.calls {
		if c.ofSet && c.refused == "" {
			ask := s.spec.Approvals != nil && s.spec.Approvals.Ask != nil && matchAny(s.spec.Approvals.Ask, c.Name)
			calls = append(calls, tool.Call{ID: c.ID, Name: c.Name, Args: args(&c.Part), Ask: ask})
		}
	}
	return calls
}

// refusals say of each call whether it was refused.
func (t *turn) refusals() []any {
	list := make([]any, len(t.calls))
	for i, c := range t.calls {
		if c.refused != "" {
			list[i] = refusal{c.refused}
		}
	}
	return list
}

// made counts the calls that are to be made.
func (t *turn) made() (n int64) {
	for _, c := range t.calls {
		if c.refused == "" {
			n++
		}
	}
	return n
}

// repeats refuses the calls that were made too often among the last answers, of which it looks at four for each time that is allowed.
func (s *state) repeats(t *turn) (over verdict, err error) {
	counts := map[string]int64{}
	answers := 4 * s.limits.Repeats
	for i := len(s.messages) - 2; i >= 0 && answers > 0; i-- {
		var m llm.Message
		if err := json.Unmarshal(s.messages[i], &m); err != nil {
			return over, err
		}
		if m.Role != llm.RoleAssistant {
			continue
		}
		answers--
		for _, c := range m.ToolCalls() {
			counts[c.Name+" "+args(&c)]++
		}
	}
	for i := range t.calls {
		c := &t.calls[i]
		key := c.Name + " " + args(&c.Part)
		if counts[key]++; counts[key] > s.limits.Repeats {
			over = verdict{Reached: ExitRepeats, Message: fmt.Sprintf("%s was called %d times with the same arguments", c.Name, s.limits.Repeats)}
			c.refuse("The call was not made again: %s. Answer with what you have.", over.Message)
		}
	}
	return over, nil
}
