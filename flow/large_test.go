package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/store/mem"
)

func TestAThousandSteps(t *testing.T) {
	var b strings.Builder
	b.WriteString("- {id: s0, script: {code: result = 1}}\n")
	for i := 1; i < 1000; i++ {
		fmt.Fprintf(&b, "- {id: s%d, if: s%d > 0, script: {code: result = args + 1, args: '{{ s%d }}'}}\n", i, i-1, i-1)
	}
	b.WriteString("output: '{{ s999 }}'")
	run := newHost(t, nil).start(yamlOf(b.String()), nil)
	completed(t, run, "1000")
	if run.Step != 1002 {
		t.Errorf("the run made %d steps, want 1002: one for each, and the start and the end", run.Step)
	}
}

// items is an input of n items beside something else.
func items(n int) map[string]any {
	list := make([]map[string]any, n)
	for i := range list {
		list[i] = map[string]any{"id": i, "name": fmt.Sprintf("item number %d", i)}
	}
	return map[string]any{"items": list, "factor": 3}
}

func TestTenThousandItemsOneAfterTheOther(t *testing.T) {
	counter := &counting{Store: mem.New()}
	rt := bide.Must(bide.New(counter, nil))
	flow.Handle(rt, nil)
	d := parse(t, yamlOf("- set: {sum: 0}\n- id: each\n  for_each: {in: input.items, steps: [{set: {sum: '{{ sum + item.id * input.factor }}'}}], output: '{{ item.id }}'}\noutput: '{{ [sum, len(each), each[9999]] }}'"))
	run := bide.Must(flow.Start(t.Context(), rt, d, items(10_000), nil))
	ticks := 0
	for ; !run.Status.Final() && ticks < 100; ticks++ {
		run = bide.Must(rt.Tick(t.Context(), run.ID))
	}
	completed(t, run, "[149985000,10000,9999]")
	if run.Step > 20_010 {
		t.Errorf("the run made %d steps, want two per item", run.Step)
	}
	if limit := 3_000 * 10_000; counter.bytes > limit {
		t.Errorf("the ledger has %d bytes, want at most %d", counter.bytes, limit)
	}
	if counter.commits > 100 {
		t.Errorf("%d commits were made, want a few per tick: nothing waits", counter.commits)
	}
}

func TestTenThousandItemsAtOnce(t *testing.T) {
	counter := &counting{Store: mem.New()}
	rt := bide.Must(bide.New(counter, nil))
	flow.Handle(rt, nil)
	d := parse(t, yamlOf("- id: each\n  for_each: {in: input.items, concurrency: 500, steps: [{set: {x: '{{ item.id * input.factor }}'}}], output: '{{ x }}'}\noutput: '{{ [len(each), each[9999], sum(each)] }}'"))
	run := bide.Must(flow.Start(t.Context(), rt, d, items(10_000), nil))
	for range 100 {
		if run = bide.Must(rt.Tick(t.Context(), run.ID)); run.Status.Final() {
			break
		}
		page := bide.Must(rt.Runs(t.Context(), bide.RunQuery{Parent: run.ID, Status: bide.StatusRunning, Limit: 1000}))
		for _, child := range page.Runs {
			bide.Must(rt.Tick(t.Context(), child.ID))
		}
	}
	completed(t, run, "[10000,29997,149985000]")
	// A child is given its item and the factor, not the whole list.
	if limit := 5_000 * 10_000; counter.bytes > limit {
		t.Errorf("the ledgers have %d bytes, want at most %d", counter.bytes, limit)
	}
}
