package bide_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

func TestAHandlerReadsTheVarsThatItsStepWrote(t *testing.T) {
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Go("b").Append("list", "one"), nil
		},
		"b": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("read", nil).AppendTo("list")).Append("list", "two").ThenCompleteWith("list"), nil
		},
	}}
	rt := newRuntime(t, mem.New(), nil, wf)
	var held bide.Vars
	rt.Handle("read", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		held = call.Vars
		raw, _, err := call.Vars.Raw("list")
		return bide.Completed(string(raw)), err
	})
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	if got, want := string(run.Output), `["one","two","[\"one\",\"two\"]"]`; got != want {
		t.Errorf("output %s, want %s", got, want)
	}
	if raw, _, err := held.Raw("list"); err != nil || string(raw) != `["one","two"]` {
		t.Errorf("what the handler was given changed later: %s, %v", raw, err)
	}
}

func TestAHandlerIsToldWhyTheAttemptBeforeFailed(t *testing.T) {
	wf := one(bide.Call("try", nil).WithRetry(bide.RetryPolicy{Attempts: 3, Backoff: 1, Max: 1}))
	store := mem.New()
	rt := newRuntime(t, store, nil, wf)
	var seen []string
	handler := func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if call.Last != nil {
			seen = append(seen, call.Last.Error())
		}
		if call.Attempt < 3 {
			return bide.Outcome{}, &bide.Failure{Code: "bad", Message: string(rune('0' + call.Attempt))}
		}
		return bide.Completed("done"), nil
	}
	rt.Handle("try", handler)
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	again := newRuntime(t, store, nil, wf) // another process: what it is told comes from the ledger
	again.Handle("try", handler)
	for range 10 {
		if run = must[*bide.Run](t)(again.Tick(ctx, run.ID)); run.Status.Final() {
			break
		}
	}
	if run.Status != bide.StatusCompleted || len(seen) != 2 || seen[0] != "bad: 1" || seen[1] != "bad: 2" {
		t.Errorf("the run is %s; its attempts were told %q", run.Status, seen)
	}
}

func TestWhatCompletedHoldsBesideAnErrorIsKeptOnRecordAlone(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"a result": {map[string]int{"tokens": 7}, `{"tokens":7}`},
		"not JSON": {func() {}, ""},
		"nothing":  {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wf := one(bide.Call("fail", nil).As("out"))
			rt := newRuntime(t, mem.New(), nil, wf)
			rt.Handle("fail", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
				return bide.Completed(c.value), errors.New("no good")
			})
			run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
			if run.Status != bide.StatusFailed || run.Vars.Has("out") || run.Error.Message != "no good" {
				t.Fatalf("the run is %s with %v and vars %s", run.Status, run.Error, run.Vars)
			}
			for rec, err := range rt.Ledger(ctx, run.ID, 1) {
				if err != nil {
					t.Fatal(err)
				}
				if d, ok := must[any](t)(rec.Decode()).(*bide.EffectFailed); ok && string(d.Result) != c.want {
					t.Errorf("the record has %s, want %q", d.Result, c.want)
				}
			}
			must[bide.Position](t)(rt.Verify(ctx, run.ID))
		})
	}
}
