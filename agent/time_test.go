package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

// within is an input with a limit of one minute.
func within(onReached string) agent.Input {
	return agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Time: bide.Duration(time.Minute), OnReached: onReached}}}
}

// took is how long a run took from its beginning to its end.
func took(run *bide.Run) time.Duration { return run.EndedAt.Sub(run.CreatedAt) }

func TestACallOfTheModelIsGivenUpWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, desk{}, agent.Config{}, busy)
		d.model.slow = time.Hour
		run := d.run(within(""))
		if out := output(t, run); out.ExitReason != agent.ExitTime || out.Answer != "" || took(run) != time.Minute {
			t.Errorf("after %s: %+v", took(run), out)
		}
		d.replays()
	})
}

func TestThereIsTimeLeftForAFinalAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, busy)
		d.model.slow = 9 * time.Second
		run := d.run(within(""))
		if out := output(t, run); out.ExitReason != agent.ExitTime || out.Answer != "enough" || took(run) > time.Minute || out.Used.Iterations < 4 {
			t.Errorf("after %s: %+v", took(run), out)
		}
		d.replays()
	})
}

// sleeper is a tool that is told to stop before it has ended.
func sleeper() tool.Tool {
	return tool.Func("lookup", "", tool.ReadOnly, func(ctx context.Context, _ struct {
		Word string `json:"word"`
	}) (string, error) {
		<-ctx.Done()
		return "", context.Cause(ctx)
	})
}

func TestACallOfAToolIsGivenUpInTimeForAFinalAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, desk{}, agent.Config{Tools: auto(sleeper())}, func(turn int, req *llm.Request) (*llm.Response, error) {
			if req.ToolChoice == "none" {
				return says(req.Messages[len(req.Messages)-1].Parts[0].ResultText())
			}
			return busy(turn, req)
		})
		d.model.slow = 9 * time.Second
		run := d.run(within(""))
		if out := output(t, run); out.ExitReason != agent.ExitTime || !strings.Contains(out.Answer, "ran out of time") || took(run) > time.Minute {
			t.Errorf("after %s: %+v", took(run), out)
		}
	})
}

func TestARestartDoesNotExtendTheTime(t *testing.T) {
	for name, c := range map[string]struct {
		down  time.Duration // for how long nobody drives the run
		calls int           // of the model, after that
	}{
		"within it": {10 * time.Second, 1},
		"beyond it": {time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, desk{store: mem.New()}, agent.Config{}, busy)
				d.model.slow = time.Hour
				half, stop := context.WithTimeout(ctx, 30*time.Second)
				defer stop()
				in := within("")
				in.Task = "Do it."
				if _, err := d.rt.Run(half, d.agent.Workflow(), in, &bide.StartOptions{RunID: "r"}); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("Run = %v, want that it was stopped", err)
				}
				<-time.After(c.down)
				second := newDesk(t, desk{store: d.store}, agent.Config{}, busy)
				second.model.slow = time.Hour
				run := bide.Must(second.rt.Tick(ctx, "r"))
				if out := output(t, run); out.ExitReason != agent.ExitTime || took(run) != max(time.Minute, 30*time.Second+c.down) || second.model.calls() != c.calls {
					t.Errorf("after %s and %d calls: %+v", took(run), second.model.calls(), out)
				}
			})
		})
	}
}

func TestAtTheEndOfTheTimeAPersonMayGiveMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, desk{}, agent.Config{}, func(int, *llm.Request) (*llm.Response, error) { return says("at last") })
		d.model.slow = 5 * time.Minute
		run := d.run(within(agent.ReachedAsk))
		if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitBudget || !strings.Contains(run.Waits[0].Message, "no answer came within 1m0s") {
			t.Fatalf("waits = %+v, want one about the time", run.Waits)
		}
		d.answer(run.Waits[0], bide.JSON(`{"type":"raise","limits":{"time":"1h"}}`))
		if out := output(t, bide.Must(d.rt.Tick(ctx, "r"))); out.ExitReason != agent.ExitAnswered || out.Answer != "at last" {
			t.Errorf("output = %+v", out)
		}
		d.replays()
	})
}

func TestAProviderThatAsksToWaitLongerThanThereIsEndsTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, desk{}, agent.Config{}, func(int, *llm.Request) (*llm.Response, error) {
			return nil, &llm.Error{Code: llm.CodeRateLimited, Message: "slow down", RetryAfter: bide.Duration(time.Hour)}
		})
		run := d.run(within(""))
		if out := output(t, run); out.ExitReason != agent.ExitTime || d.model.calls() != 1 || took(run) > time.Minute {
			t.Errorf("after %s and %d calls: %+v", took(run), d.model.calls(), out)
		}
	})
}

func TestDecisionsThatAreNotMadeInTimeLeaveTheCallsUnmade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := 0
		set := bide.Must(tool.New(nil, tool.Func("lookup", "", tool.Once, func(context.Context, struct {
			Word string `json:"word"`
		}) (string, error) {
			called++
			return "", nil
		})))
		d := newDesk(t, desk{}, agent.Config{Tools: set, Spec: agent.Spec{Approvals: &agent.Approvals{All: true}}}, func(_ int, req *llm.Request) (*llm.Response, error) {
			if req.ToolChoice == "none" {
				return says(req.Messages[len(req.Messages)-1].Parts[0].ResultText())
			}
			return wants("lookup", `{"word":"a"}`, "lookup", `{"word":"b"}`)
		})
		d.model.slow = 9 * time.Second
		run := d.run(within(""))
		d.answer(run.Waits[0], bide.Approval{Approved: new(true)})
		if out := output(t, d.end(run)); out.ExitReason != agent.ExitTime || !strings.Contains(out.Answer, "The call was not made: the run has taken") || called != 0 || took(run) > time.Minute {
			t.Errorf("after %s and %d calls: %+v", took(run), called, out)
		}
		d.replays()
	})
}
