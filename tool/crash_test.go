package tool_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

func TestRule10ACrashInTheMiddleOfACallIsMetAsItsSafetySays(t *testing.T) {
	for _, c := range []struct {
		safety  tool.Safety
		verdict tool.Verdict
		answer  string // to the attention wait; empty when there must be none
		keys    int    // calls of the tool
		want    string
	}{
		{tool.ReadOnly, tool.Auto, "", 2, "ok: done by call 2"},
		{tool.Idempotent, tool.Auto, "", 2, "ok: done by call 2"},
		{tool.Idempotent, tool.Ask, "", 2, "ok: done by call 2"},
		{tool.Once, tool.Auto, `{"type":"done","result":"it did"}`, 1, "ok: A person said that the call happened.\n\nit did"},
		{tool.Once, tool.Ask, `{"type":"done"}`, 1, "ok: A person said that the call happened.\n\n"},
		{tool.Once, tool.Ask, `{"type":"again"}`, 2, "ok: done by call 2"},
		{tool.Once, tool.Ask, `{"type":"fail","message":"it did not"}`, 1, "error: The call failed: it did not"},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.safety, c.verdict, c.answer), func(t *testing.T) {
			store := &mortal{Store: mem.New(), left: -1}
			var keys []string
			act := tool.Func("act", "", c.safety, func(context.Context, struct{}) (any, error) { return nil, nil })
			act.Run = func(_ context.Context, req *tool.Request) (tool.Reply, error) {
				keys = append(keys, req.Key)
				if len(keys) == 1 {
					store.kill()
				}
				return tool.Reply{Content: fmt.Sprintf("done by call %d", len(keys))}, nil
			}
			opts := &tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{Decide: c.verdict}))}
			d := newDesk(t, opts, act)
			d.store = store
			d.boot(opts, act)
			run, err := d.rt.Run(ctx, d.workflow(), []tool.Call{{ID: "c", Name: "act"}}, nil)
			if c.verdict == tool.Ask {
				d.approve(d.wait(d.must(run, err), "c"))
				_, err = d.rt.Tick(ctx, "r")
			}
			if err == nil {
				t.Fatal("the process did not die")
			}
			d.store = store.Store
			d.boot(opts, act)
			run = d.tick()
			if c.answer != "" {
				if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitAttention {
					t.Fatalf("waits = %+v, want one for attention", run.Waits)
				}
				d.must(d.rt.Resume(ctx, "r", run.Waits[0].ID, json.RawMessage(c.answer), bide.Command{Actor: "anna"}))
				run = d.tick()
			}
			res := d.results(run)[0]
			if got := res.Status + ": " + res.Text(); got != c.want {
				t.Errorf("result = %q, want %q", got, c.want)
			}
			if len(keys) != c.keys || len(slices.Compact(slices.Clone(keys))) != 1 {
				t.Errorf("the tool was called with the keys %q, want %d times the same", keys, c.keys)
			}
		})
	}
}

func TestACrashBeforeTheDecisionRaisesNoFalseAlarm(t *testing.T) {
	for commits := range 4 {
		for _, applied := range []bool{false, true} {
			store := &mortal{Store: mem.New(), left: commits, applied: applied}
			d := newDesk(t, nil)
			mail := d.mail()
			d.store = store
			d.boot(nil, mail)
			if _, err := d.rt.Run(ctx, d.workflow(), mails(2), nil); err == nil && commits < 2 { // the ends of both calls may be one commit
				t.Fatalf("the process did not die at commit %d", commits)
			}
			d.store = store.Store
			d.boot(nil, mail)
			run := d.must(d.rt.Run(ctx, d.workflow(), mails(2), &bide.StartOptions{RunID: "r"}))
			for _, w := range run.Waits {
				if w.Kind != bide.WaitToolApproval {
					t.Errorf("death at commit %d (applied %v): a wait of kind %s, about a call that nobody let pass", commits, applied, w.Kind)
				}
			}
			d.approve(d.wait(run, "c0"))
			d.approve(d.wait(run, "c1"))
			if diff := cmp.Diff([]string{"c0 ok", "c1 ok"}, statuses(d.results(d.tick()))); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if got := d.sent(); len(got) != 2 {
				t.Errorf("sent = %q", got)
			}
		}
	}
}
