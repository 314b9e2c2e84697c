package tool

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// Set is the tools that a program offers, and the rules for calling them. It
// does not change and may be used from many goroutines.
type Set struct {
	opts   Options
	tools  map[string]*Tool
	places map[string]chan struct{} // by tool: those of AtOnce
	strays sync.WaitGroup
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
	// which it is the same share such grants. Defaults to the workflow.
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
		o.GrantsOf = func(workflow string, _ map[string]string) string { return workflow }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Set{opts: o, tools: map[string]*Tool{}, places: map[string]chan struct{}{}}
	for _, t := range tools {
		if err := t.complete(); err != nil {
			return nil, bide.Errorf(bide.CodeInvalidInput, "%w", err)
		}
		if s.tools[t.Name] != nil {
			return nil, bide.Errorf(bide.CodeInvalidInput, "two tools are called %q; give one another name", t.Name)
		}
		s.tools[t.Name] = &t
		if t.AtOnce > 0 {
			s.places[t.Name] = make(chan struct{}, t.AtOnce)
		}
	}
	return s, nil
}

// Names lists the names of the tools.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.tools)) }

// Tool returns a tool as it is called, with its defaults and the hash of its definition.
func (s *Set) Tool(name string) (Tool, bool) {
	t := s.tools[name]
	if t == nil {
		return Tool{}, false
	}
	return *t, true
}

// Rules are those of the policy that may decide about calls of a tool, in order: which does is up to the arguments and
// the run, unless the first has no condition. The last has none.
func (s *Set) Rules(name string) []Rule {
	t := s.tools[name]
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
