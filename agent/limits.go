package agent

import (
	"fmt"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// Limits bound what an agent, and the agents that it calls, may use. Zero means no limit, except for Iterations and Repeats.
type Limits struct {
	// Iterations is how often this agent may ask its model. Defaults to 50.
	Iterations int64 `json:"iterations,omitempty"`
	// Repeats is how often it may make the same call, of the same tool with the same arguments, within four times as
	// many turns. Defaults to 5.
	Repeats int64 `json:"repeats,omitempty"`
	// Time is how long its run may take, waits included. Calls that are under way when it is over are given up.
	Time bide.Duration `json:"time,omitempty"`

	ToolCalls    int64 `json:"tool_calls,omitempty"`
	InputTokens  int64 `json:"input_tokens,omitempty"`
	OutputTokens int64 `json:"output_tokens,omitempty"`
	TotalTokens  int64 `json:"total_tokens,omitempty"`
	// Cost is in US dollars, as a text such as "0.50". Calls without a known price count as reaching it.
	Cost llm.USD `json:"cost,omitempty"`
	// AllowUnpriced lets them pass, uncounted.
	AllowUnpriced bool `json:"allow_unpriced,omitempty"`

	// WarnAt is the share of a limit from which a warning is put on record, 0 to 1. Defaults to 0.8; below 0 means never.
	WarnAt float64 `json:"warn_at,omitempty"`
	// OnReached is "answer", the default: a final answer without tools, as far as it fits, and the end; or "ask": a budget wait.
	OnReached string `json:"on_reached,omitempty"`
}

// What to do at a limit.
const (
	ReachedAnswer = "answer"
	ReachedAsk    = "ask"
)

func (l Limits) withDefaults() Limits {
	if l.Iterations == 0 {
		l.Iterations = 50
	}
	if l.Repeats == 0 {
		l.Repeats = 5
	}
	if l.WarnAt == 0 {
		l.WarnAt = 0.8
	}
	if l.OnReached == "" {
		l.OnReached = ReachedAnswer
	}
	return l
}

func (l *Limits) faults() (faults []bide.Fault) {
	for _, f := range []struct {
		name string
		n    int64
	}{{"iterations", l.Iterations}, {"repeats", l.Repeats}, {"time", int64(l.Time)}, {"tool_calls", l.ToolCalls}, {"input_tokens", l.InputTokens},
		{"output_tokens", l.OutputTokens}, {"total_tokens", l.TotalTokens}, {"cost", int64(l.Cost)}} {
		if f.n < 0 {
			faults = append(faults, bide.Fault{Path: "limits." + f.name, Message: "is negative"})
		}
	}
	if l.WarnAt > 1 {
		faults = append(faults, bide.Fault{Path: "limits.warn_at", Message: "is a share, of at most 1"})
	}
	if l.OnReached != "" && l.OnReached != ReachedAnswer && l.OnReached != ReachedAsk {
		faults = append(faults, bide.Fault{Path: "limits.on_reached", Message: fmt.Sprintf("%q is not %q or %q", l.OnReached, ReachedAnswer, ReachedAsk)})
	}
	return faults
}

// shared is the part of the limits that children draw on too; own the rest.
func (l Limits) shared() Limits {
	l.Iterations, l.Repeats, l.Time = 0, 0, 0
	return l
}

func (l Limits) own() Limits {
	return Limits{Iterations: l.Iterations, Repeats: l.Repeats, Time: l.Time, WarnAt: l.WarnAt, OnReached: l.OnReached}
}

// Used is what was used, or is going to be.
type Used struct {
	Iterations   int64   `json:"iterations,omitempty"` // calls of the model
	ToolCalls    int64   `json:"tool_calls,omitempty"`
	InputTokens  int64   `json:"input_tokens,omitempty"`
	OutputTokens int64   `json:"output_tokens,omitempty"`
	Cost         llm.USD `json:"cost,omitempty"`
	// Uncounted and Unpriced are the calls whose tokens or cost are not known. For the tokens, what was reserved is counted.
	Uncounted int64 `json:"uncounted,omitempty"`
	Unpriced  int64 `json:"unpriced,omitempty"`
}

func (u Used) plus(v Used) Used {
	return Used{u.Iterations + v.Iterations, u.ToolCalls + v.ToolCalls, u.InputTokens + v.InputTokens, u.OutputTokens + v.OutputTokens,
		u.Cost + v.Cost, u.Uncounted + v.Uncounted, u.Unpriced + v.Unpriced}
}

// gauge is one limit with what counts against it.
type gauge struct {
	name              ExitReason
	limit, used, next int64
	unit              string
}

// gauges are the limits that are set.
func (l *Limits) gauges(used, next Used) (set []gauge) {
	for _, g := range []gauge{
		{ExitIterations, l.Iterations, used.Iterations, next.Iterations, "iterations"},
		{ExitToolCalls, l.ToolCalls, used.ToolCalls, next.ToolCalls, "tool calls"},
		{ExitInputTokens, l.InputTokens, used.InputTokens, next.InputTokens, "input tokens"},
		{ExitOutputTokens, l.OutputTokens, used.OutputTokens, next.OutputTokens, "output tokens"},
		{ExitTotalTokens, l.TotalTokens, used.InputTokens + used.OutputTokens, next.InputTokens + next.OutputTokens, "tokens"},
		{ExitCost, int64(l.Cost), int64(used.Cost), int64(next.Cost), "US dollars"},
	} {
		if g.limit > 0 {
			set = append(set, g)
		}
	}
	return set
}

// verdict says whether the next call may be made.
type verdict struct {
	// Reached is the limit that stands against it, if there is one.
	Reached ExitReason `json:"reached,omitempty"`
	// Last lets the call be made all the same, without tools, because it fits and another one after it would not.
	Last bool `json:"last,omitempty"`
	// Ask has a person decide.
	Ask bool `json:"ask,omitempty"`
	// Pool is the one whose limit it is; empty for one of the run alone.
	Pool string `json:"pool,omitempty"`
	// Message says what was reached.
	Message string `json:"message,omitempty"`
}

// judge says whether a call that may use next is to be made, after what was used already.
func (l *Limits) judge(used, next Used) verdict {
	ask := l.OnReached == ReachedAsk
	if l.Cost > 0 && used.Unpriced > 0 && !l.AllowUnpriced {
		return verdict{Reached: ExitUnpriced, Ask: ask, Message: fmt.Sprintf("the cost is limited to %s US dollars, and what a call costs is not known", l.Cost)}
	}
	gauges := l.gauges(used, next)
	for _, g := range gauges {
		if g.name == ExitToolCalls && next.ToolCalls == 0 || g.name == ExitIterations && next.Iterations == 0 {
			continue // what is asked for is not counted by it
		}
		if g.used >= g.limit || g.used+g.next > g.limit {
			return verdict{Reached: g.name, Ask: ask, Message: g.String()}
		}
	}
	if ask || next.ToolCalls > 0 {
		return verdict{}
	}
	for _, g := range gauges {
		if g.used+2*g.next > g.limit || g.used >= g.limit {
			return verdict{Reached: g.name, Last: true, Message: g.String()}
		}
	}
	return verdict{}
}

// String says how far the limit is used, such as "7 of 10 iterations are used, and the next call may take 1".
func (g gauge) String() string {
	text := func(n int64) string {
		if g.name == ExitCost {
			return llm.USD(n).String()
		}
		return fmt.Sprint(n)
	}
	s := fmt.Sprintf("%s of %s %s are used", text(g.used), text(g.limit), g.unit)
	if g.next > 0 {
		s += fmt.Sprintf(", and the next call may take %s", text(g.next))
	}
	return s
}

// warnings are the limits that are used beyond the share for warnings and were not before.
func (l *Limits) warnings(before, after Used) (lines []string) {
	if l.WarnAt < 0 {
		return nil
	}
	was := l.gauges(before, Used{})
	for i, g := range l.gauges(after, Used{}) {
		at := int64(l.WarnAt * float64(g.limit))
		if g.used >= at && was[i].used < at {
			lines = append(lines, "Budget: "+g.String()+".")
		}
	}
	return lines
}

// judgeTime is judge for the limit on time, of which some is left. Unless a person is asked, a final answer that takes twice as long as the
// longest call of the model so far has to fit in.
func (l *Limits) judgeTime(left, longest time.Duration, next Used) verdict {
	v := verdict{Reached: ExitTime, Ask: l.OnReached == ReachedAsk, Message: fmt.Sprintf("the run has taken %s of %s", time.Duration(l.Time)-left, l.Time)}
	switch {
	case left <= 0:
		return v
	case !v.Ask && next.ToolCalls > 0 && left <= 2*longest:
		return v
	case !v.Ask && next.Iterations > 0 && left <= 3*longest:
		v.Last = true
		return v
	}
	return verdict{}
}

// limitsSchema is the JSON Schema of the limits that a person can raise.
var limitsSchema = bide.JSON(`{"type":"object","additionalProperties":false,"minProperties":1,"properties":{` +
	`"iterations":{"type":"integer","minimum":1},"repeats":{"type":"integer","minimum":1},"tool_calls":{"type":"integer","minimum":1},` +
	`"input_tokens":{"type":"integer","minimum":1},"output_tokens":{"type":"integer","minimum":1},"total_tokens":{"type":"integer","minimum":1},` +
	`"cost":{"type":"string","pattern":"^[0-9]{1,7}(\\.[0-9]{1,12})?$"},"allow_unpriced":{"const":true},"time":{"type":"string","pattern":"^([0-9.]+(ns|us|ms|s|m|h))+$"}}}`)
