package tool

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// Set is the tools that a program offers, and the rules for calling them. It may be
// used from many goroutines. Only the tools of servers change (Offer, Missing).
type Set struct {
	opts   Options
	strays sync.WaitGroup

	mu    sync.RWMutex
	tools map[string]*Tool // each as it is: another definition is another Tool
	down  map[string]error // by server: why it cannot be reached
}

// Options refines a Set. Nil means the defaults.
type Options struct {
	// Policy says which calls pass. Nil asks about every call.
	Policy *Policy
	// Approval is what waits for a decision are opened with, unless a rule says otherwise.
	Approval Approval
	// Grants keeps approvals that count for a session or a workflow. Nil keeps
	// them to the run in which they were given.
	Grants Grants
	// GrantsOf names what a grant for a workflow counts for, by the workflow and labels of the run that asks: runs for
	// which it is the same share such grants. Defaults to bide.GrantsOf.
	GrantsOf func(workflow string, labels map[string]string) string
	// Artifacts keeps evidence and what a result has beyond its limit. Nil keeps
	// the hashes of evidence only, and cuts long results off.
	Artifacts Artifacts
	// Grace is how long a call has to return after it was told to stop. Defaults to 5s.
	Grace time.Duration
	// Now is the time, for deadlines of approvals. Defaults to the system's.
	Now func() time.Time
	// Logger receives what happens besides the results. Defaults to none.
	Logger *slog.Logger
}

// Approval says who decides about a call and until when.
type Approval struct {
	// Allowed are the verbs. Defaults to all.
	Allowed []bide.Verb `json:"allowed_decisions,omitempty"`
	// Assignees are the actors and groups who may decide. Without any, every person may.
	Assignees []string `json:"assignees,omitempty"`
	Priority  int      `json:"priority,omitempty"`
	// Timeout is how long they have. Zero means forever.
	Timeout bide.Duration `json:"timeout,omitempty"`
	// OnExpire is bide.ExpireReject, the default, or bide.ExpireFail.
	OnExpire string `json:"on_expire,omitempty"`
}

// New makes a set. It fails when a tool is misbuilt or two have the same name.
func New(opts *Options, tools ...Tool) (*Set, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	if o.GrantsOf == nil {
		o.GrantsOf = bide.GrantsOf
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Set{opts: o, tools: map[string]*Tool{}, down: map[string]error{}}
	if err := s.add(tools); err != nil {
		return nil, err
	}
	return s, nil
}

// add puts tools into the set.
func (s *Set) add(tools []Tool) error {
	for _, t := range tools {
		if err := t.complete(); err != nil {
			return bide.Errorf(bide.CodeInvalidInput, "%w", err)
		}
		if s.tools[t.Name] != nil {
			return bide.Errorf(bide.CodeInvalidInput, "two tools are called %q; give one another name", t.Name)
		}
		s.tools[t.Name] = &t
	}
	return nil
}

// Offer puts the tools of a server (Source.Server) in the place of those that it had. Grants are void for those whose
// definition is another one. It fails, and changes nothing, as New does.
func (s *Set) Offer(server string, tools ...Tool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.tools
	s.tools = maps.Clone(before)
	maps.DeleteFunc(s.tools, func(_ string, t *Tool) bool { return t.Source.Server == server })
	if err := s.add(tools); err != nil {
		s.tools = before
		return err
	}
	for name, t := range s.tools {
		if was := before[name]; was != nil && was.Source.SHA256 == t.Source.SHA256 {
			t.places = was.places
		}
	}
	delete(s.down, server)
	return nil
}

// Missing says that a server cannot be reached, until it is offered. Calls of tools that begin with its name and two underscores and
// are not there fail with code FailureUnavailable and can be tried again; those that are there are made all the same.
func (s *Set) Missing(server string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[server] = why
}

// FailureUnavailable is the code of a call whose tool cannot be had, since its server cannot be reached.
const FailureUnavailable = "tool_unavailable"

// Unavailable says why a tool is not there that may well come back: its server cannot be reached. Otherwise it is nil. The name may
// be a pattern of path.Match.
func (s *Set) Unavailable(name string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	server, _, ok := strings.Cut(name, "__")
	if why := s.down[server]; ok && why != nil && s.tools[name] == nil {
		return &bide.Failure{Code: FailureUnavailable, Message: fmt.Sprintf("the server %s of tool %s cannot be reached: %v", server, name, why)}
	}
	return nil
}

// find returns a tool, or nil.
func (s *Set) find(name string) *Tool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tools[name]
}

// Names lists the names of the tools.
func (s *Set) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.tools))
}

// Tool returns a tool as it is called, with its defaults and the hash of its definition.
func (s *Set) Tool(name string) (Tool, bool) {
	t := s.find(name)
	if t == nil {
		return Tool{}, false
	}
	return *t, true
}

// Rules are those of the policy that may decide about calls of a tool, in order: which does is up to the arguments and
// the run, unless the first has no condition. The last has none.
func (s *Set) Rules(name string) []Rule {
	t := s.find(name)
	if t == nil {
		return nil
	}
	return s.opts.Policy.about(t)
}

// Register makes the set the handler of tool calls for a runtime.
func (s *Set) Register(rt *bide.Runtime) { rt.Handle(TypeCall, s.Handle) }

// Close waits until the calls that were given up have returned, or ctx ends.
func (s *Set) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.strays.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("tools still at work: %w", context.Cause(ctx))
	}
}
