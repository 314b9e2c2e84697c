package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "x.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rt, _ := bide.New(s, nil)
	rt.Handle("h", func(ctx context.Context, c *bide.Invocation) (bide.Outcome, error) { return bide.Completed(1), nil })
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(r *bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Call("h", nil).As("x")).Then("b"), nil },
		"b": func(r *bide.Run) (bide.StepPlan, error) { return bide.Do(bide.Ask("ok?", nil).As("y")).ThenComplete(1), nil },
	}}
	run, err := rt.Run(ctx, wf, 1, &bide.StartOptions{Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes"); err != nil {
		t.Fatal(err)
	}
	run, err = rt.Tick(ctx, run.ID)
	t.Log(run.Status, err)
	p, err := rt.Runs(ctx, bide.RunQuery{})
	t.Logf("%+v %v", p, err)
	t.Log(rt.Verify(ctx, run.ID))
	t.Log(s.Close(), s.Close())
	t.Log(s.Commit(ctx, &bide.Commit{}))
	_, err = s.Load(ctx, "x", bide.Position{})
	t.Log(err)
}
