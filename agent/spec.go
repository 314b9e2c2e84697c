package agent

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// Spec is how an agent works. In an Input, the fields that are set replace those of the agent's Config.
type Spec struct {
	// Model is provider/model. Empty means the default of the configuration of models.
	Model string `json:"model,omitempty"`
	// System are the instructions.
	System string `json:"system,omitempty"`
	// Tools are patterns of path.Match for the names of the tools and agents that the model may call. Nil means all of the Config's.
	Tools []string `json:"tools,omitzero"`
	// AskUser lets the model ask the user, with a tool of that name: a question wait of the run.
	AskUser bool `json:"ask_user,omitempty"`
	// Approvals are decisions about calls beyond what the tools' policy asks for.
	Approvals *Approvals `json:"approvals,omitempty"`
	Limits    *Limits    `json:"limits,omitempty"`
	Context   *Context   `json:"context,omitempty"`
	// Output asks for an answer that fits a JSON Schema.
	Output *llm.Output `json:"output,omitempty"`
	// Memory names a memory that the model can note to, look up in and compact. Empty means none.
	Memory string `json:"memory,omitempty"`
	// Listen takes messages (Tell) between turns. It costs a wait per turn, which ends at once.
	Listen bool `json:"listen,omitempty"`
	// MaxTokens, Temperature, Reasoning and Options are as in llm.Request.
	MaxTokens   int64                `json:"max_tokens,omitempty"`
	Temperature *float64             `json:"temperature,omitempty"`
	Reasoning   string               `json:"reasoning,omitempty"`
	Options     map[string]bide.JSON `json:"options,omitempty"`
}

// Approvals make the policy of the tools stricter; they never let pass what it does not.
type Approvals struct {
	// Ask are patterns of path.Match for tools whose calls a person decides about in any case.
	Ask []string `json:"ask,omitempty"`
	// All has no call of a turn run before all of them are decided. Otherwise each runs as soon as it may.
	All bool `json:"all,omitempty"`
}

// Context bounds the conversation that is sent to the model.
type Context struct {
	// MaxTokens is from which size, by what the last call used, or else by four bytes to the token, the
	// conversation is made shorter. Zero does so only when the model refuses it as too long.
	MaxTokens int64 `json:"max_tokens,omitempty"`
	// Mode is "trim", the default, which leaves the oldest messages out, or "summarize", which puts the
	// model's own summary in the place of all.
	Mode string `json:"mode,omitempty"`
	// Keep is how many of the last messages trimming keeps. Defaults to 10. The task is always kept.
	Keep int `json:"keep,omitempty"`
}

// The modes of a Context.
const (
	Trim      = "trim"
	Summarize = "summarize"
)

// Input is what a run of an agent is started with.
type Input struct {
	Task string `json:"task"`
	Spec
	// Pools are the shared limits that the run draws on; an agent that starts another passes its own.
	Pools []Pool `json:"pools,omitempty"`
}

// Output is what a run of an agent gives.
type Output struct {
	// Answer is the text of the last message; Output the JSON that Spec.Output asked for, if it was given.
	Answer     string     `json:"answer"`
	Output     bide.JSON  `json:"output,omitempty"`
	ExitReason ExitReason `json:"exit_reason"`
	Used       Used       `json:"used"`
}

// ExitReason is why an agent stopped. It is also at "exit_reason" in the vars, where a failed run has it too.
type ExitReason string

// The exit reasons. The last nine are the limits that were reached.
const (
	ExitAnswered ExitReason = "answered" // the model had nothing more to do
	ExitCut      ExitReason = "cut"      // the answer was cut off by the limit on its length
	ExitStopped  ExitReason = "stopped"  // a person said so, at a budget wait
	ExitError    ExitReason = "error"    // the model could not be asked; the run failed

	ExitIterations   ExitReason = "iterations"
	ExitToolCalls    ExitReason = "tool_calls"
	ExitInputTokens  ExitReason = "input_tokens"
	ExitOutputTokens ExitReason = "output_tokens"
	ExitTotalTokens  ExitReason = "total_tokens"
	ExitCost         ExitReason = "cost"
	ExitUnpriced     ExitReason = "unpriced" // there is a limit on the cost, and it is not known what a call costs
	ExitTime         ExitReason = "time"
	ExitRepeats      ExitReason = "repeats"
)

// over returns base with the fields of s that are set in place of its own; limits one by one.
func (s Spec) over(base Spec) (Spec, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return base, err
	}
	text, err := json.Marshal(base)
	if err != nil {
		return base, err
	}
	fields := map[string]json.RawMessage{}
	for _, layer := range [][]byte{text, raw} {
		if err := json.Unmarshal(layer, &fields); err != nil {
			return base, err
		}
	}
	if s.Limits != nil && base.Limits != nil {
		limits := s.Limits.over(*base.Limits)
		if fields["limits"], err = json.Marshal(limits); err != nil {
			return base, err
		}
	}
	if text, err = json.Marshal(fields); err != nil {
		return base, err
	}
	var out Spec
	err = json.Unmarshal(text, &out)
	return out, err
}

// check lists what is wrong with the spec.
func (s *Spec) check() (faults []bide.Fault) {
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	patterns := map[string][]string{"tools": s.Tools}
	if s.Approvals != nil {
		patterns["approvals.ask"] = s.Approvals.Ask
	}
	for _, at := range []string{"tools", "approvals.ask"} {
		for i, p := range patterns[at] {
			if _, err := path.Match(p, ""); err != nil {
				add(fmt.Sprintf("%s[%d]", at, i), "%q is not a pattern", p)
			}
		}
	}
	if s.Model != "" && !strings.Contains(s.Model, "/") {
		add("model", "%q is not of the form provider/model", s.Model)
	}
	if c := s.Context; c != nil {
		if c.Mode != "" && c.Mode != Trim && c.Mode != Summarize {
			add("context.mode", "%q is not %q or %q", c.Mode, Trim, Summarize)
		}
		if c.MaxTokens < 0 || c.Keep < 0 {
			add("context", "a number is negative")
		}
	}
	if s.MaxTokens < 0 {
		add("max_tokens", "is negative")
	}
	if s.Limits != nil {
		faults = append(faults, s.Limits.faults()...)
	}
	return faults
}

// matchAny reports whether one of the patterns matches; nil matches everything.
func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return patterns == nil
}
