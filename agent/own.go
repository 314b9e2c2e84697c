package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// The tools that every agent has of its own, where its Spec says so. They need no approval.
const (
	ToolAskUser       = "ask_user"
	ToolMemoryNote    = "memory_note"
	ToolMemoryQuery   = "memory_query"
	ToolMemoryCompact = "memory_compact"
)

var own = map[string]bool{ToolAskUser: true, ToolMemoryNote: true, ToolMemoryQuery: true, ToolMemoryCompact: true}

var (
	askTool = llm.Tool{Name: ToolAskUser, Description: "Asks the user a question and waits for the answer.", Schema: bide.JSON(
		`{"type":"object","properties":{"question":{"type":"string"},"choices":{"type":"array","items":{"type":"string"},"description":"If given, the answer is one of these."}},"required":["question"],"additionalProperties":false}`)}
	memoryTools = []llm.Tool{
		{Name: ToolMemoryNote, Description: "Keeps a note for later, beyond this task.", Schema: bide.JSON(
			`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"],"additionalProperties":false}`)},
		{Name: ToolMemoryQuery, Description: "Finds notes that have all the words, the newest first; without words, the newest ones.", Schema: bide.JSON(
			`{"type":"object","properties":{"words":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":100}},"additionalProperties":false}`)},
		{Name: ToolMemoryCompact, Description: "Puts one note in the place of several, by their ids.", Schema: bide.JSON(
			`{"type":"object","properties":{"text":{"type":"string"},"ids":{"type":"array","items":{"type":"string"},"minItems":1}},"required":["text","ids"],"additionalProperties":false}`)},
	}
	agentSchema = bide.JSON(`{"type":"object","properties":{"task":{"type":"string","description":"What to do, with all that is needed to know for it."}},"required":["task"],"additionalProperties":false}`)
)

// callable are the names of the agents that a spec lets be called.
func (a *Agent) callable(spec *Spec) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(a.agents)) {
		if matchAny(spec.Tools, name) {
			names = append(names, name)
		}
	}
	return names
}

// tools are what the model may call.
func (a *Agent) tools(spec *Spec) (tools []llm.Tool) {
	if a.cfg.Tools != nil {
		for _, name := range a.cfg.Tools.Names() {
			if t, ok := a.cfg.Tools.Tool(name); ok && matchAny(spec.Tools, name) {
				tools = append(tools, llm.Tool{Name: t.Name, Description: t.Description, Schema: t.Schema})
			}
		}
	}
	for _, name := range a.callable(spec) {
		tools = append(tools, llm.Tool{Name: name, Description: a.agents[name].cfg.Description, Schema: agentSchema})
	}
	if spec.AskUser {
		tools = append(tools, askTool)
	}
	if spec.Memory != "" {
		tools = append(tools, memoryTools...)
	}
	return tools
}

// offered are the names of what the model may call.
func (a *Agent) offered(spec *Spec) map[string]bool {
	names := map[string]bool{}
	for _, t := range a.tools(spec) {
		names[t.Name] = true
	}
	return names
}

// names are those of all tools and agents that there are.
func (a *Agent) names() []string {
	names := slices.Sorted(maps.Keys(a.agents))
	if a.cfg.Tools != nil {
		names = append(names, a.cfg.Tools.Names()...)
	}
	return names
}

// offers reports whether a pattern is that of a tool or agent.
func (a *Agent) offers(pattern string) bool {
	return slices.ContainsFunc(a.names(), func(name string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// missing says why a pattern is that of no tool.
func (a *Agent) missing(pattern string) string {
	if a.cfg.Tools != nil {
		if err := a.cfg.Tools.Unavailable(pattern); err != nil {
			return err.Error()
		}
	}
	return fmt.Sprintf("there is no tool %q; there are %q", pattern, a.names())
}

// other is the effect of a call that is not one of the set. It fails when the arguments cannot be used.
func (a *Agent) other(s *state, c *llm.Part) (bide.Effect, error) {
	schema := agentSchema
	for _, t := range append([]llm.Tool{askTool}, memoryTools...) {
		if t.Name == c.Name {
			schema = t.Schema
		}
	}
	if c.Args == nil {
		return bide.Effect{}, fmt.Errorf("the arguments are not a JSON object: %s", c.ArgsText)
	}
	if faults := bide.CheckSchema(schema, c.Args); len(faults) > 0 {
		return bide.Effect{}, fmt.Errorf("the arguments do not fit: %s", faults[0])
	}
	var args struct {
		Question, Task, Text, Words string
		Choices, IDs                []string
		Limit                       int
	}
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return bide.Effect{}, err
	}
	switch c.Name {
	case ToolAskUser:
		if args.Question == "" {
			return bide.Effect{}, errors.New("the question is empty")
		}
		return bide.Ask(args.Question, &bide.AskOptions{Choices: args.Choices}), nil
	case ToolMemoryNote:
		return Note(s.spec.Memory, args.Text), nil
	case ToolMemoryQuery:
		return Query(s.spec.Memory, args.Words, args.Limit), nil
	case ToolMemoryCompact:
		return Compact(s.spec.Memory, args.Text, args.IDs), nil
	}
	sub := a.agents[c.Name]
	return bide.StartRun(sub.cfg.ID, Input{Task: args.Task, Pools: s.pools}, &bide.ChildOptions{Version: sub.cfg.Version}), nil
}

// otherPart is what the model sees of a call that is not one of the set, whose result is at path.
func (a *Agent) otherPart(s *state, c *call, path string) (llm.Part, error) {
	var res struct {
		Error *bide.Failure `json:"error"`
		bide.Answer
		Output *Output `json:"output"`
	}
	raw, ok, err := s.run.Vars.Raw(path)
	if err != nil || !ok {
		return llm.Part{}, fmt.Errorf("vars have no result at %q", path)
	}
	if err := json.Unmarshal(raw, &res); err != nil {
		return llm.ToolResult(c.ID, c.Name, raw, false)
	}
	switch {
	case res.Error != nil && a.agents[c.Name] != nil:
		return llm.ToolResult(c.ID, c.Name, "The agent failed: "+res.Error.Message, true)
	case res.Error != nil:
		return llm.ToolResult(c.ID, c.Name, "The call failed: "+res.Error.Message, true)
	case c.Name == ToolAskUser && res.Choice != "":
		return llm.ToolResult(c.ID, c.Name, res.Choice, false)
	case c.Name == ToolAskUser:
		return llm.ToolResult(c.ID, c.Name, res.Text, false)
	case a.agents[c.Name] == nil || res.Output == nil:
		return llm.Part{Type: llm.PartToolResult, ID: c.ID, Name: c.Name, From: path}, nil
	case res.Output.ExitReason != ExitAnswered:
		return llm.ToolResult(c.ID, c.Name, fmt.Sprintf("The agent stopped early (%s). Its answer so far: %s", res.Output.ExitReason, res.Output.Answer), false)
	case res.Output.Output != nil:
		return llm.Part{Type: llm.PartToolResult, ID: c.ID, Name: c.Name, From: path + ".output.output"}, nil
	}
	return llm.Part{Type: llm.PartToolResult, ID: c.ID, Name: c.Name, From: path + ".output.answer"}, nil
}
