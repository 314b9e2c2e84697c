package bide_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

func TestWhatFailedAttemptsCameWithIsKeptWhereThePlanSays(t *testing.T) {
	tries := bide.RetryPolicy{Attempts: 3, Backoff: bide.Duration(time.Second)}
	for name, c := range map[string]struct {
		effect bide.Effect
		fits   int // the attempt that succeeds
		output string
		code   string
	}{
		"until one succeeds": {bide.Call("act", nil).WithRetry(tries).KeepFailed("failed"), 3, `["try 1","try 2"]`, ""},
		"of all":             {bide.Call("act", nil).WithRetry(tries).KeepFailed("failed").WithErrorResult(), 9, `["try 1","try 2","try 3"]`, ""},
		"not unless asked":   {bide.Call("act", nil).WithRetry(tries), 2, `null`, ""},
		"nor over a scalar":  {bide.Call("act", nil).WithRetry(tries).KeepFailed("input"), 2, ``, bide.FailureWrite},
		"nor nowhere":        {bide.Call("act", nil).KeepFailed("a..b"), 1, ``, bide.FailureNode},
	} {
		t.Run(name, func(t *testing.T) {
			clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			wf := bide.Workflow{ID: "keeps", Version: "1", Entry: "a", Nodes: bide.Nodes{
				"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(c.effect).Then("b"), nil },
				"b": func(r *bide.Run) (bide.StepPlan, error) {
					failed, err := bide.Get[any](r.Vars, "failed")
					return bide.Complete(failed), err
				},
			}}
			rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock}, wf)
			rt.Handle("act", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
				out := bide.Completed(fmt.Sprintf("try %d", call.Attempt))
				if call.Attempt < c.fits {
					return out, errors.New("not yet")
				}
				return out, nil
			})
			run := must[*bide.Run](t)(rt.Run(ctx, wf, "in", nil))
			for range 3 {
				clock.Advance(time.Minute)
				run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
			}
			if c.code != "" {
				if run.Status != bide.StatusFailed || run.Error.Code != c.code {
					t.Errorf("the run is %s with %v, want failed with %s", run.Status, run.Error, c.code)
				}
				return
			}
			if string(run.Output) != c.output {
				t.Errorf("output = %s of a run that is %s, want %s", run.Output, run.Status, c.output)
			}
			must[bide.Position](t)(rt.Verify(ctx, run.ID))
		})
	}
}

// What was down for longer than the time of an effect does not begin it once more.
func TestNoAttemptBeginsAfterTheTimeOfItsEffect(t *testing.T) {
	for name, c := range map[string]struct {
		effect  bide.Effect
		handler func(stop context.CancelFunc) bide.Handler // of the first process
		want    string
	}{
		"after a crash in the middle": {bide.Call("act", nil).WithTimeout(time.Minute), func(stop context.CancelFunc) bide.Handler {
			return func(ctx context.Context, _ *bide.Invocation) (bide.Outcome, error) {
				stop()
				<-ctx.Done()
				return bide.Outcome{}, ctx.Err()
			}
		}, "its time was over"},
		"when another attempt was due": {bide.Call("act", nil).WithTimeout(time.Minute).WithRetry(bide.RetryPolicy{}), func(context.CancelFunc) bide.Handler {
			return func(context.Context, *bide.Invocation) (bide.Outcome, error) {
				return bide.Outcome{}, errors.New("not yet")
			}
		}, "its time was over"},
	} {
		t.Run(name, func(t *testing.T) {
			clock, store, wf := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), mem.New(), one(c.effect)
			first := newRuntime(t, store, &bide.Options{Clock: clock}, wf)
			stopped, stop := context.WithCancel(ctx)
			first.Handle("act", c.handler(stop))
			if _, err := first.Run(stopped, wf, nil, &bide.StartOptions{RunID: "r"}); err != nil && stopped.Err() == nil {
				t.Fatal(err)
			}
			clock.Advance(time.Hour)
			second := newRuntime(t, store, &bide.Options{Clock: clock}, wf)
			second.Handle("act", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
				t.Error("the handler was called")
				return bide.Completed(nil), nil
			})
			run := must[*bide.Run](t)(second.Tick(ctx, "r"))
			if run.Status != bide.StatusFailed || run.Error.Code != bide.FailureTimeout || !strings.Contains(run.Error.Message, c.want) || len(run.Waits) > 0 {
				t.Errorf("the run is %s with %v and the waits %+v", run.Status, run.Error, run.Waits)
			}
			must[bide.Position](t)(second.Verify(ctx, "r"))
		})
	}
}
