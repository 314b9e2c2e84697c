package agent

import (
	"fmt"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// left is how much time there is, in the steps of a record's time. It is for runs with a limit on it.
func (s *state) left() time.Duration {
	return (time.Duration(s.limits.Time) - s.run.Now().Sub(s.run.CreatedAt)).Truncate(time.Microsecond)
}

// pressed is the verdict of the limit on time about the next call.
func (s *state) pressed(next Used) verdict {
	if s.limits.Time == 0 {
		return verdict{}
	}
	return s.limits.judgeTime(s.left(), time.Duration(s.longestCall), next)
}

// forAnswer is the time that calls of tools leave for a final answer: twice what the longest call of the model took.
func (s *state) forAnswer() time.Duration {
	if s.limits.OnReached == ReachedAsk {
		return 0
	}
	return 2 * time.Duration(s.longestCall)
}

// bound ends effects when the time is over, less what is kept for something else.
func (s *state) bound(effects []bide.Effect, keep time.Duration) {
	if s.limits.Time == 0 {
		return
	}
	for i := range effects {
		effects[i].Timeout = bide.Duration(s.left() - keep)
	}
}

// asks plans a call of the model, which ends when the time is over.
func (s *state) asks(call bide.Effect) bide.StepPlan {
	effects := []bide.Effect{call.AppendTo("messages").KeepFailed("failed")}
	s.bound(effects, 0)
	plan := bide.Do(effects...).OnError(nodeRefused)
	if s.limits.Time > 0 {
		plan = plan.Set("asked_at", s.run.Now())
	}
	return plan
}

// timed notes how long the call of the model took that has ended.
func (s *state) timed(plan bide.StepPlan) (bide.StepPlan, error) {
	if s.limits.Time == 0 {
		return plan, nil
	}
	asked, err := bide.Get[time.Time](s.run.Vars, "asked_at")
	if err != nil || asked.IsZero() { // the limit was set meanwhile
		return plan, err
	}
	if took := bide.Duration(s.run.Now().Sub(asked)); took > s.longestCall {
		s.longestCall = took
		plan = plan.Set("longest_call", took)
	}
	return plan, nil
}

// outOfTime is the verdict about a call of the model that failed: whether it is the limit on time that ended it, or that left none for another attempt.
func (s *state) outOfTime(f *bide.Failure) verdict {
	if s.limits.Time == 0 || f.Code != bide.FailureTimeout || s.left() > 0 && f.Attempts >= llm.CallAttempts {
		return verdict{}
	}
	v := s.limits.judgeTime(0, 0, Used{})
	v.Message = fmt.Sprintf("no answer came within %s", s.limits.Time)
	return v
}

// atTime is what comes after the time is over: a person is asked, and the run goes back to a node, or it ends.
func (s *state) atTime(v verdict, back string) bide.StepPlan {
	if v.Ask {
		return bide.Go(nodeBudget).Set("reached", v).Set("back", back)
	}
	return bide.Go(nodeFinish).Set("exit_reason", ExitTime)
}
