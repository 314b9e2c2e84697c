package seal_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/seal"
)

var ctx = context.Background()

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// line makes a wrapping key.
func line(t testing.TB, id string) string {
	t.Helper()
	l, err := seal.NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return l + "\n"
}

func ring(t testing.TB, text string) *seal.Keyring {
	t.Helper()
	k, err := seal.ParseKeyring([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed encrypts a store with a keyring.
func sealed(t testing.TB, inner seal.Inner, keyring string) *seal.Store {
	t.Helper()
	s, err := seal.New(ctx, inner, ring(t, keyring), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask asks a person and completes with the answer.
var ask = bide.Workflow{ID: "ask", Version: "1", Entry: "ask", Nodes: bide.Nodes{
	"ask": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Which number?", nil).As("got")).ThenCompleteWith("got.text"), nil
	},
}}

func runtime(t testing.TB, s bide.Store, opts *bide.Options) *bide.Runtime {
	t.Helper()
	rt, err := bide.New(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Register(ask, ledgertest.Order, ledgertest.Part); err != nil {
		t.Fatal(err)
	}
	return rt
}

// ended makes a run of ask that has ended.
func ended(t testing.TB, rt *bide.Runtime, id, answer string) *bide.Run {
	t.Helper()
	run, err := rt.Run(ctx, ask, map[string]string{"question": answer}, &bide.StartOptions{RunID: id, Labels: map[string]string{"customer": id}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = rt.Resume(ctx, id, run.Waits[0].ID, answer, bide.Command{ID: "answer", Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	if run, err = rt.Tick(ctx, id); err != nil || run.Status != bide.StatusCompleted {
		t.Fatalf("run %s = %v, %v; want completed", id, run, err)
	}
	return run
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

// graft is a block of data keys of before under the wrapped key of now.
func graft(t testing.TB, before, now bide.JSON) bide.JSON {
	t.Helper()
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(before, &a), json.Unmarshal(now, &b)); err != nil {
		t.Fatal(err)
	}
	a["key"], a["wrapped"] = b["key"], b["wrapped"]
	out, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
