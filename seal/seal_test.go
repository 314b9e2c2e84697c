package seal_test

import (
	"context"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
)

func keyring(t testing.TB, ids ...string) *seal.Keyring {
	t.Helper()
	text := ""
	for _, id := range ids {
		line, err := seal.NewKey(id)
		if err != nil {
			t.Fatal(err)
		}
		text += line + "\n"
	}
	k, err := seal.ParseKeyring([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestARunOverASealedStore(t *testing.T) {
	ctx := context.Background()
	inner := mem.New()
	store, err := seal.New(ctx, inner, keyring(t, "k1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rt := bide.Must(bide.New(store, nil))
	ask := func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Refund 120 EUR?", nil).As("decision")).ThenCompleteWith("decision.text"), nil
	}
	wf := bide.Workflow{ID: "approval", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": ask}}
	run, err := rt.Run(ctx, wf, map[string]string{"a": "geheim"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rt = bide.Must(bide.New(store, nil))
	if err := rt.Register(wf); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, "approve", bide.Command{ID: "c1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, "approve", bide.Command{ID: "c1"}); err != nil {
		t.Fatal(err)
	}
	run, err = rt.Tick(ctx, run.ID)
	if err != nil || string(run.Output) != `"approve"` {
		t.Fatalf("%v %v", run, err)
	}
	if _, err := rt.Verify(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	blind := bide.Must(bide.New(inner, nil))
	if _, err := blind.Verify(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	_, err = blind.Get(ctx, run.ID)
	t.Log(err)
	for rec, err := range blind.Ledger(ctx, run.ID, 1) {
		t.Log(string(rec.Raw), err)
	}
	if run, err = rt.Shred(ctx, run.ID, bide.Command{Actor: "ann", Reason: "asked to"}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", run)
	for rec, err := range rt.Ledger(ctx, run.ID, 1) {
		t.Log(string(rec.Raw), err)
	}
	if run, err = bide.Must(bide.New(store, nil)).Get(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Verify(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	if run, err = rt.StateAt(ctx, run.ID, 2); err == nil {
		t.Fatal("no")
	}
	t.Log(err)
}
