package agent

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

// Config describes an agent.
type Config struct {
	// ID and Version are those of its workflow. Version defaults to "1"; ID is also the name of the tool by which
	// other agents call it, and so has letters, digits, _ and -, at most 64.
	ID, Version string
	// Description tells other agents what it is for.
	Description string
	// Spec is how it works, unless the Input of a run says otherwise.
	Spec
	// Tools is where its tools are from. Nil means none. The set has to be registered with the runtime as well.
	Tools *tool.Set
	// Agents can be called like tools; each call is a child run. They have to be registered with the runtime as well (Agent.Register).
	Agents []*Agent
}

// Agent is a model with tools. It does not change and may be used from many goroutines.
type Agent struct {
	cfg    Config
	agents map[string]*Agent
	wf     bide.Workflow
}

var idForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// New makes an agent. It fails with bide.ErrInvalidInput, listing every fault.
func New(cfg Config) (*Agent, error) {
	if cfg.Version == "" {
		cfg.Version = "1"
	}
	a := &Agent{cfg: cfg, agents: map[string]*Agent{}}
	faults := cfg.Spec.check()
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if !idForm.MatchString(cfg.ID) {
		add("id", "%q is not the name of an agent: letters, digits, _ and -, at most 64", cfg.ID)
	}
	for _, sub := range cfg.Agents {
		if a.agents[sub.cfg.ID] != nil || own[sub.cfg.ID] || a.has(sub.cfg.ID) {
			add("agents", "the name %q is taken", sub.cfg.ID)
		}
		a.agents[sub.cfg.ID] = sub
	}
	for name := range own {
		if a.has(name) {
			add("tools", "%q is a tool that agents have of their own; give it another name", name)
		}
	}
	if len(faults) > 0 {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: fmt.Sprintf("agent %q is misbuilt", cfg.ID), Faults: faults}
	}
	a.wf = a.workflow()
	return a, nil
}

// has reports whether the set has a tool.
func (a *Agent) has(name string) bool {
	if a.cfg.Tools == nil {
		return false
	}
	_, ok := a.cfg.Tools.Tool(name)
	return ok
}

// Workflow returns the agent as a workflow. Its input is an Input, its output an Output.
func (a *Agent) Workflow() bide.Workflow { return a.wf }

// Register makes the agent, and those that it can call, known to a runtime.
func (a *Agent) Register(rt *bide.Runtime) error {
	for _, sub := range a.cfg.Agents {
		if err := sub.Register(rt); err != nil {
			return err
		}
	}
	return rt.Register(a.wf)
}

// The nodes.
const (
	nodeBegin     = "begin"
	nodeThink     = "think"     // asks the model
	nodeAct       = "act"       // makes the calls that it wants
	nodeDecided   = "decided"   // makes them once all are decided (Approvals.All)
	nodeObserve   = "observe"   // shows it the results
	nodeListen    = "listen"    // looks whether there is a message
	nodeHear      = "hear"      // adds it to the conversation
	nodeSummarize = "summarize" // asks for a summary
	nodeShorten   = "shorten"   // goes on from it
	nodeDraw      = "draw"      // draws on shared limits
	nodeBudget    = "budget"    // asks a person about limits
	nodeRaise     = "raise"     // takes the answer
	nodeRefused   = "refused"   // the model could not be asked
	nodeFinish    = "finish"
)

func (a *Agent) workflow() bide.Workflow {
	nodes := map[string]func(*state) (bide.StepPlan, error){
		nodeThink: a.think, nodeAct: a.act, nodeDecided: a.decided, nodeObserve: a.observe, nodeListen: a.listen,
		nodeHear: a.hear, nodeSummarize: a.summarize, nodeShorten: a.shorten, nodeDraw: a.draw, nodeBudget: a.budget, nodeRaise: a.raise,
		nodeRefused: a.refused, nodeFinish: a.finish,
	}
	wf := bide.Workflow{ID: a.cfg.ID, Version: a.cfg.Version, Entry: nodeBegin, Nodes: bide.Nodes{nodeBegin: a.begin}, Exits: map[string][]string{
		nodeBegin:     {nodeThink, bide.End},
		nodeThink:     {nodeAct, nodeThink, nodeDraw, nodeBudget, nodeSummarize, nodeRefused, nodeFinish},
		nodeAct:       {nodeObserve, nodeDecided, nodeDraw, nodeBudget, nodeListen, nodeFinish},
		nodeDecided:   {nodeObserve, nodeBudget},
		nodeObserve:   {nodeThink, nodeListen},
		nodeListen:    {nodeHear},
		nodeHear:      {nodeListen, nodeThink, nodeFinish},
		nodeSummarize: {nodeShorten, nodeRefused},
		nodeShorten:   {nodeThink},
		nodeDraw:      {nodeThink, nodeAct, nodeRefused},
		nodeBudget:    {nodeRaise},
		nodeRaise:     {nodeThink, nodeAct, nodeDecided, nodeFinish},
		nodeRefused:   {nodeThink, nodeBudget, nodeFinish, bide.End},
		nodeFinish:    {bide.End},
	}}
	for name, plan := range nodes {
		wf.Nodes[name] = func(r *bide.Run) (bide.StepPlan, error) {
			s, err := a.read(r)
			if err != nil {
				return bide.StepPlan{}, err
			}
			return plan(s)
		}
	}
	return wf
}

// state is what a node knows of its run.
type state struct {
	run      *bide.Run
	spec     Spec
	limits   Limits // of this run alone
	used     Used
	pools    []Pool      // that it draws on
	first    int         // the first message that is sent
	messages []bide.JSON // all of them
	told     []bide.Effect
	// longestCall is how long a call of the model took so far. It is known of runs with a limit on time.
	longestCall bide.Duration
}

// tell has the plan say something to whoever follows the run.
func (s *state) tell(lines []string) {
	for _, line := range lines {
		s.told = append(s.told, bide.Tell(line))
	}
}

// read reads a run's state.
func (a *Agent) read(r *bide.Run) (*state, error) {
	in, err := bide.Input[Input](r)
	if err != nil {
		return nil, err
	}
	s := &state{run: r, pools: in.Pools}
	if s.spec, err = in.Spec.over(a.cfg.Spec); err != nil {
		return nil, err
	}
	var raised Limits
	if err := s.get(map[string]any{"used": &s.used, "first": &s.first, "limits": &raised, "longest_call": &s.longestCall}); err != nil {
		return nil, err
	}
	if s.messages, err = r.Vars.Items("messages"); err != nil {
		return nil, err
	}
	limits := Limits{}
	if s.spec.Limits != nil {
		limits = *s.spec.Limits
	}
	s.limits = raised.over(limits.withDefaults())
	if len(a.callable(&s.spec)) > 0 { // others draw on them too
		s.pools = append(s.pools[:len(s.pools):len(s.pools)], Pool{ID: r.ID, Limits: s.limits.shared()})
		s.limits = s.limits.own()
	}
	return s, nil
}

// over returns base with the limits that l has in place of its own.
func (l Limits) over(base Limits) Limits {
	raw, err := json.Marshal(l)
	if err == nil {
		err = json.Unmarshal(raw, &base)
	}
	if err != nil { // numbers and texts are always JSON
		panic(err)
	}
	return base
}

// get reads vars into Go values, by path.
func (s *state) get(into map[string]any) error {
	for path, v := range into {
		raw, ok, err := s.run.Vars.Raw(path)
		if err != nil || !ok {
			continue
		}
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("vars %q: %w", path, err)
		}
	}
	return nil
}

// last returns the model's last answer, which is the last message.
func (s *state) last() (r llm.Response, err error) {
	err = json.Unmarshal(s.messages[len(s.messages)-1], &r)
	return r, err
}
