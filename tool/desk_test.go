package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

var ctx = context.Background()

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// desk is a runtime whose one workflow makes the calls of its input.
type desk struct {
	t     testing.TB
	clock *bidetest.Clock
	store bide.Store
	rt    *bide.Runtime
	set   *tool.Set

	mu  sync.Mutex
	ran []string // what mail did: its arguments, in order
}

type mailArgs struct {
	To   string `json:"to"`
	Text string `json:"text,omitempty"`
}

// mail is a tool that must not be called twice and remembers its calls.
func (d *desk) mail() tool.Tool {
	return tool.Func("mail", "Sends a mail.", tool.Once, func(_ context.Context, in mailArgs) (string, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ran = append(d.ran, in.To)
		return "sent to " + in.To, nil
	})
}

// look is a tool that changes nothing.
func look() tool.Tool {
	return tool.Func("look", "Looks something up.", tool.ReadOnly, func(_ context.Context, in mailArgs) (string, error) { return "seen " + in.To, nil })
}

func (d *desk) sent() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ran)
}

// newDesk opens a desk whose policy lets look pass and asks about the rest.
func newDesk(t testing.TB, opts *tool.Options, tools ...tool.Tool) *desk {
	t.Helper()
	d := &desk{t: t, clock: bidetest.NewClock(start), store: mem.New()}
	if tools == nil {
		tools = []tool.Tool{d.mail(), look()}
	}
	d.boot(opts, tools...)
	return d
}

// boot is a new process over the same store.
func (d *desk) boot(opts *tool.Options, tools ...tool.Tool) {
	d.t.Helper()
	var o tool.Options
	if opts != nil {
		o = *opts
	}
	if o.Policy == nil {
		o.Policy = bide.Must(tool.NewPolicy(tool.Rule{Tool: "look", Decide: tool.Auto, Reason: "it only looks"}))
	}
	if o.Now == nil {
		o.Now = d.clock.Now
	}
	var err error
	if d.set, err = tool.New(&o, tools...); err != nil {
		d.t.Fatal(err)
	}
	if d.rt, err = bide.New(d.store, &bide.Options{Clock: d.clock, NewID: func() string { return "r" }}); err != nil {
		d.t.Fatal(err)
	}
	d.set.Register(d.rt)
	if err := d.rt.Register(d.workflow(), d.whenAll()); err != nil {
		d.t.Fatal(err)
	}
}

// workflow makes the calls of its input, each as soon as it is decided.
func (d *desk) workflow() bide.Workflow {
	return bide.Workflow{ID: "calls", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(r *bide.Run) (bide.StepPlan, error) {
			calls, err := bide.Input[[]tool.Call](r)
			plan, perr := d.set.Plan(calls, "results")
			return plan.Then("observe"), errors.Join(err, perr)
		},
		"observe": d.observe,
	}}
}

// whenAll makes them when all are decided.
func (d *desk) whenAll() bide.Workflow {
	return bide.Workflow{ID: "all", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(r *bide.Run) (bide.StepPlan, error) {
			calls, err := bide.Input[[]tool.Call](r)
			plan, perr := d.set.PlanDecisions(calls, "results")
			return plan.Then("act"), errors.Join(err, perr)
		},
		"act": func(r *bide.Run) (bide.StepPlan, error) {
			calls, err := bide.Input[[]tool.Call](r)
			if err != nil {
				return bide.StepPlan{}, err
			}
			return d.set.PlanDecided(r.Vars, calls, "results", "observe")
		},
		"observe": d.observe,
	}}
}

func (d *desk) observe(r *bide.Run) (bide.StepPlan, error) {
	calls, err := bide.Input[[]tool.Call](r)
	if err != nil {
		return bide.StepPlan{}, err
	}
	results, err := tool.Results(r.Vars, "results", calls)
	return bide.Complete(results), err
}

func (d *desk) start(opts *bide.StartOptions, calls ...tool.Call) *bide.Run {
	d.t.Helper()
	return d.must(d.rt.Run(ctx, d.workflow(), calls, opts))
}

func (d *desk) must(run *bide.Run, err error) *bide.Run {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	return run
}

func (d *desk) tick() *bide.Run { d.t.Helper(); return d.must(d.rt.Tick(ctx, "r")) }

// results are those of a run that has to have completed.
func (d *desk) results(run *bide.Run) []tool.Result {
	d.t.Helper()
	if run.Status != bide.StatusCompleted {
		d.t.Fatalf("run = %s %v, with waits %+v; want completed", run.Status, run.Error, run.Waits)
	}
	if _, err := d.rt.Verify(ctx, run.ID); err != nil {
		d.t.Error(err)
	}
	var out []tool.Result
	if err := json.Unmarshal(run.Output, &out); err != nil {
		d.t.Fatal(err)
	}
	return out
}

// wait is the open approval of a call.
func (d *desk) wait(run *bide.Run, callID string) bide.Wait {
	d.t.Helper()
	for _, w := range run.Waits {
		if w.Kind == bide.WaitToolApproval && w.Items[0].ToolCallID == callID {
			return w
		}
	}
	d.t.Fatalf("no decision about %s is waited for; waits: %+v", callID, run.Waits)
	return bide.Wait{}
}

// decide decides about a wait's call.
func (d *desk) decide(w bide.Wait, by string, v bide.Verb, change func(*bide.ToolDecision)) error {
	dec := bide.ToolDecision{ToolCallID: w.Items[0].ToolCallID, ArgsSHA256: w.Items[0].ArgsSHA256, Type: v}
	if change != nil {
		change(&dec)
	}
	_, err := d.rt.Resume(ctx, "r", w.ID, bide.Approval{Decisions: []bide.ToolDecision{dec}}, bide.Command{Actor: by})
	return err
}

func (d *desk) approve(w bide.Wait) {
	d.t.Helper()
	if err := d.decide(w, "anna", bide.VerbApprove, nil); err != nil {
		d.t.Fatal(err)
	}
}

func statuses(results []tool.Result) (out []string) {
	for _, r := range results {
		out = append(out, r.ToolCallID+" "+r.Status)
	}
	return out
}

// mails are n calls of mail, c0 to a0, c1 to a1 and so on.
func mails(n int) (calls []tool.Call) {
	for i := range n {
		calls = append(calls, tool.Call{ID: fmt.Sprintf("c%d", i), Name: "mail", Args: fmt.Sprintf(`{"to":"a%d"}`, i)})
	}
	return calls
}

var errDead = errors.New("the process is dead")

// mortal is a store whose process dies after some commits.
type mortal struct {
	bide.Store
	mu      sync.Mutex
	left    int // commits until death; below 0 never
	applied bool
	dead    bool
}

func (m *mortal) Commit(ctx context.Context, c *bide.Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return &bide.Error{Code: bide.CodeStoreClosed, Err: errDead}
	}
	if m.left != 0 {
		m.left--
		return m.Store.Commit(ctx, c)
	}
	m.dead = true
	if m.applied {
		if err := m.Store.Commit(ctx, c); err != nil {
			return err
		}
	}
	return &bide.Error{Code: bide.CodeStoreClosed, Err: errDead}
}

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}
