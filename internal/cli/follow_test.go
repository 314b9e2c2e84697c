package cli

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// ledgers is a backend that has runs to look at.
type ledgers struct {
	backend
	rt *bide.Runtime
}

func (l ledgers) Run(ctx context.Context, id string, _ int64) (*bide.Run, error) {
	return l.rt.Get(ctx, id)
}

func (l ledgers) Records(ctx context.Context, id string, from int64, _ bool) iter.Seq2[bide.Record, error] {
	return l.rt.Watch(ctx, id, from)
}

// Somebody who goes on with a run sees what happened since it was looked at, also what happened before it was followed.
func TestGoingOnWithARunShowsAllAfterTheRecordThatIsNamed(t *testing.T) {
	rt := bide.Must(bide.New(mem.New(), nil))
	ask := func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Well?", nil).As("mood")).ThenCompleteWith("mood.text"), nil
	}
	run := bide.Must(rt.Run(t.Context(), bide.Workflow{ID: "w", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": ask}}, nil, nil))
	bide.Must(rt.Resume(t.Context(), run.ID, run.Waits[0].ID, "well"))
	bide.Must(rt.Tick(t.Context(), run.ID))
	var shown bytes.Buffer
	f := &follower{b: ledgers{rt: rt}, t: newTerminal(strings.NewReader(""), &shown, false)}
	ended, err := f.follow(t.Context(), run, true)
	if err != nil || ended.Status != bide.StatusCompleted {
		t.Fatalf("follow = %v, %v", ended, err)
	}
	for _, want := range []string{"wait.resolved", "run.completed"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("%s is not shown in:\n%s", want, shown.String())
		}
	}
	if strings.Contains(shown.String(), "wait.opened") {
		t.Errorf("what was there already is shown again in:\n%s", shown.String())
	}
}
