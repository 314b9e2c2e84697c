package bide_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

func TestALargeResultIsKeptElsewhere(t *testing.T) {
	kept := map[string]string{}
	full := true
	large := &bide.Large{Above: 100, Keep: func(_ context.Context, value bide.JSON) (string, error) {
		if full {
			full = false
			return "", errors.New("the disk is full")
		}
		kept["sum"] = string(value)
		return "sum", nil
	}}
	rt := newRuntime(t, mem.New(), &bide.Options{Large: large})
	big := strings.Repeat("x", 100)
	rt.Handle("small", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed("small"), nil })
	rt.Handle("big", func(context.Context, *bide.Invocation) (bide.Outcome, error) { return bide.Completed(big), nil })
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("small", nil).As("small"), bide.Call("big", nil).WithRetry(bide.RetryPolicy{Attempts: 2, Backoff: 1}).As("big")).ThenCompleteWith("big"), nil
	}}}
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	for range 100 {
		if run.Status.Final() {
			break
		}
		run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	}
	if got := string(run.Output); got != `{"sha256":"sum","bytes":102,"media_type":"application/json"}` {
		t.Errorf("the output is %s (%s, %v), want what names the result", got, run.Status, run.Error)
	}
	if kept["sum"] != `"`+big+`"` {
		t.Errorf("what was kept is %.50q", kept["sum"])
	}
	if got, err := bide.Get[string](run.Vars, "small"); got != "small" || err != nil {
		t.Errorf("the small result is %q, %v", got, err)
	}
	for rec, err := range rt.Ledger(ctx, run.ID, 1) {
		if err != nil || strings.Contains(string(rec.Raw), big) {
			t.Errorf("record %d holds the large result, %v", rec.Seq, err)
		}
	}
}
