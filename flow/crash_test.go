package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/flow/flowtest"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
)

// counting counts what is committed.
type counting struct {
	*mem.Store
	mu      sync.Mutex
	commits int
	bytes   int
}

func (c *counting) Commit(ctx context.Context, commit *bide.Commit) error {
	c.mu.Lock()
	c.commits++
	for _, r := range commit.Records {
		c.bytes += len(r.Raw)
	}
	c.mu.Unlock()
	return c.Store.Commit(ctx, commit)
}

var errDied = errors.New("the process has died")

// mortal is a store as one process sees it: it dies at its n-th commit, before or after it is made.
type mortal struct {
	*mem.Store
	mu      sync.Mutex
	at, n   int
	applied bool
	dead    bool
}

func (m *mortal) Commit(ctx context.Context, c *bide.Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n++; m.dead || m.n == m.at {
		if !m.dead && m.applied {
			if err := m.Store.Commit(ctx, c); err != nil {
				return err
			}
		}
		m.dead = true
		return errDied
	}
	return m.Store.Commit(ctx, c)
}

func (m *mortal) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDied
	}
	return m.Store.Load(ctx, id, have)
}

// everything has steps of most kinds.
const everything = `bide: 1
flow: everything
env: {factor: "2"}
steps:
  - set: {sum: 0, list: [1, 2, 3]}
  - id: q
    ask: {prompt: Go on?, choices: [yes, no]}
  - id: calls
    for_each:
      in: list
      steps:
        - {id: c, llm: {prompt: "{{ item }}"}, retry: {attempts: 2, jitter: 0}}
        - set: {sum: "{{ sum + c * int(env.factor) }}"}
      output: "{{ c }}"
  - id: wide
    for_each: {in: list, concurrency: 2, steps: [{id: w, llm: {prompt: "{{ item }}"}}], output: "{{ w + sum }}"}
  - id: both
    parallel:
      branches:
        a: [{emit: {name: ping, scope: global}}, {return: 1}]
        b: [{fail: {code: x, message: broken}}]
    on_error: [{set: {broke: "{{ error.code }}"}}]
  - wait: 1h
  - repeat: {until: sum > 100, max: 50, steps: [{set: {sum: "{{ sum * 2 }}"}}]}
  - {id: s, script: {code: "result = [x for x in args if x > 12]", args: "{{ wide }}"}}
output: {q: "{{ q.choice }}", sum: "{{ sum }}", wide: "{{ wide }}", broke: "{{ broke }}", s: "{{ s }}"}
`

const everythingOutput = `{"broke":"child_failed","q":"yes","s":[13,14,15],"sum":192,"wide":[13,14,15]}`

// world is what outlives a process.
type world struct {
	store *mem.Store
	clock *bidetest.Clock
	mu    sync.Mutex
	calls map[string]int // by idempotency key
}

// live drives the run in one process until it ends; an error is the death of the process.
func (w *world) live(ctx context.Context, m *mortal) (*bide.Run, error) {
	rt, err := bide.New(m, &bide.Options{Clock: w.clock, Random: func() float64 { return 0 }})
	if err != nil {
		return nil, err
	}
	flow.Handle(rt, nil)
	rt.Handle(flow.TypeLLM, func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls[call.Key]++
		var in llm.Request
		if err := json.Unmarshal(call.Payload, &in); err != nil {
			return bide.Outcome{}, bide.Permanent(err)
		}
		n, err := strconv.Atoi(in.Messages[0].Text())
		if err != nil {
			return bide.Outcome{}, bide.Permanent(err)
		}
		return bide.Completed(n), nil
	})
	const id = "the-run"
	run, err := rt.Get(ctx, id)
	if errors.Is(err, bide.ErrNotFound) {
		var d *flow.Doc
		if d, err = flow.Parse("everything.yaml", []byte(everything)); err != nil {
			return nil, err
		}
		run, err = flow.Start(ctx, rt, d, nil, &bide.StartOptions{RunID: id})
	} else if err == nil {
		// This process has no file: what it needs is in the store.
		_, err = flow.ForRun(ctx, rt, &run.RunInfo)
	}
	for round := 0; err == nil && round < 200; round++ {
		if run, err = w.tickAll(ctx, rt, id); err != nil || run.Status.Final() {
			return run, err
		}
	}
	if err == nil {
		err = fmt.Errorf("the run does not end: it is %s at %s", run.Status, run.Node)
	}
	return run, err
}

func (w *world) tickAll(ctx context.Context, rt *bide.Runtime, id string) (*bide.Run, error) {
	for _, status := range []bide.Status{bide.StatusRunning, bide.StatusWaiting} {
		page, err := rt.Runs(ctx, bide.RunQuery{Status: status})
		if err != nil {
			return nil, err
		}
		for _, info := range page.Runs {
			r, err := rt.Tick(ctx, info.ID)
			if err != nil {
				return nil, err
			}
			for _, wait := range r.Waits {
				switch wait.Kind {
				case bide.WaitQuestion:
					if _, err := rt.Resume(ctx, r.ID, wait.ID, "yes"); err != nil {
						return nil, err
					}
				case bide.WaitTimer:
					w.clock.Set(wait.Until)
				}
			}
		}
	}
	return rt.Get(ctx, id)
}

func TestAFlowThatDiesAtEveryCommitEndsAsTheUndisturbedOne(t *testing.T) {
	commits, keys := 0, 0
	for _, applied := range []bool{false, true} {
		for at := 0; at <= commits; at++ {
			w := &world{store: mem.New(), clock: bidetest.NewClock(flowtest.Epoch), calls: map[string]int{}}
			m := &mortal{Store: w.store, at: at, applied: applied}
			run, err := w.live(t.Context(), m)
			if at > 0 && err != nil {
				if !errors.Is(err, errDied) {
					t.Fatalf("commit %d (applied %v): %v", at, applied, err)
				}
				run, err = w.live(t.Context(), &mortal{Store: w.store})
			}
			if err != nil {
				t.Fatalf("commit %d (applied %v): %v", at, applied, err)
			}
			if at == 0 {
				commits, keys = m.n, len(w.calls)
			}
			if run.Status != bide.StatusCompleted || string(run.Output) != everythingOutput {
				t.Errorf("commit %d (applied %v): run is %s (%v) with %s, want %s", at, applied, run.Status, run.Error, run.Output, everythingOutput)
			}
			if len(w.calls) != keys {
				t.Errorf("commit %d (applied %v): %d different effects, want %d: %v", at, applied, len(w.calls), keys, maps.Clone(w.calls))
			}
		}
	}
	if commits < 20 {
		t.Errorf("only %d commits were made: the flow does not do what it should", commits)
	}
}

func TestAFlowReplays(t *testing.T) {
	w := &world{store: mem.New(), clock: bidetest.NewClock(flowtest.Epoch), calls: map[string]int{}}
	run, err := w.live(t.Context(), &mortal{Store: w.store})
	if err != nil {
		t.Fatal(err)
	}
	rt := bide.Must(bide.New(w.store, nil))
	bidetest.Replays(t, parse(t, []byte(everything)).Workflow(), rt.Ledger(t.Context(), run.ID, 1))
}
