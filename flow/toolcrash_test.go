package flow_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

// A process dies while the tool of a step is at work. What the step knows nothing of, the tool's safety, says what happens then.
func TestACrashInTheMiddleOfAToolStepIsMetAsTheToolsSafetySays(t *testing.T) {
	doc := flow.MustParse("f.yaml", []byte("bide: 1\nflow: f\nsteps:\n  - {id: one, tool: {name: act}}\n  - return: \"{{ one.content }}\"\n"))
	for _, c := range []struct {
		safety  tool.Safety
		verdict tool.Verdict
		asks    bool
	}{
		{tool.ReadOnly, tool.Auto, false}, {tool.ReadOnly, tool.Ask, false},
		{tool.Idempotent, tool.Auto, false}, {tool.Idempotent, tool.Ask, false},
		{tool.Once, tool.Auto, true}, {tool.Once, tool.Ask, true},
	} {
		t.Run(fmt.Sprintf("%q %s", c.safety, c.verdict), func(t *testing.T) {
			ctx := t.Context()
			store := &mortal{Store: mem.New(), at: -1}
			calls := 0
			act := tool.Tool{Name: "act", Safety: c.safety, Run: func(context.Context, *tool.Request) (tool.Reply, error) {
				if calls++; calls == 1 {
					store.mu.Lock()
					store.dead = true
					store.mu.Unlock()
				}
				return tool.Reply{Content: fmt.Sprint("call ", calls)}, nil
			}}
			boot := func(over bide.Store) *bide.Runtime {
				rt := bide.Must(bide.New(over, nil))
				flow.Handle(rt, nil)
				bide.Must(tool.New(&tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{Decide: c.verdict}))}, act)).Register(rt)
				return rt
			}
			rt := boot(store)
			run := bide.Must(flow.Start(ctx, rt, doc, map[string]any{}, nil))
			var err error
			run, err = rt.Tick(ctx, run.ID)
			if c.verdict == tool.Ask {
				if err != nil {
					t.Fatal(err)
				}
				bide.Must(rt.Resume(ctx, run.ID, run.Waits[0].ID, bide.Approval{Approved: new(true)}))
				_, err = rt.Tick(ctx, run.ID)
			}
			if err == nil {
				t.Fatal("the process did not die")
			}
			rt = boot(store.Store)
			page := bide.Must(rt.Runs(ctx, bide.RunQuery{Workflow: "f"}))
			if err := rt.Register(doc.Workflow()); err != nil {
				t.Fatal(err)
			}
			run = bide.Must(rt.Tick(ctx, page.Runs[0].ID))
			if asks := len(run.Waits) == 1 && run.Waits[0].Kind == bide.WaitAttention; asks != c.asks {
				t.Fatalf("after the crash the run is %s with %+v, want a question what happened: %v", run.Status, run.Waits, c.asks)
			}
			if want := map[bool]int{true: 1, false: 2}[c.asks]; calls != want {
				t.Errorf("%d calls, want %d", calls, want)
			}
			if !c.asks && string(run.Output) != `"call 2"` {
				t.Errorf("output = %s", run.Output)
			}
		})
	}
}
