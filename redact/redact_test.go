package redact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/redact"
	"github.com/bide-dev/bide/store/sqlite"
)

var ctx = context.Background()

func TestRulesReplaceWhatTheyFind(t *testing.T) {
	for name, tc := range map[string]struct {
		rule     redact.Rule
		at       bide.RedactAt
		from, to string
	}{
		"a card in a text":             {redact.Rule{Pattern: "card"}, bide.RedactAt{}, `{"a":"pay 4111 1111 1111 1111, now"}`, `{"a":"pay [redacted:x], now"}`},
		"a card with dashes":           {redact.Rule{Pattern: "card"}, bide.RedactAt{}, `"4111-1111-1111-1111"`, `"[redacted:x]"`},
		"a card as a number":           {redact.Rule{Pattern: "card"}, bide.RedactAt{}, `[1,4111111111111111]`, `[1,"[redacted:x]"]`},
		"a card as a name":             {redact.Rule{Pattern: "card"}, bide.RedactAt{}, `{"4111111111111111":1,"5500005555555559":2}`, `{"[redacted:x]":1,"[redacted:x]#2":2}`},
		"what is no card":              {redact.Rule{Pattern: "card"}, bide.RedactAt{}, `{"a":"4111 1111 1111 1112","b":1.5e300}`, `{"a":"4111 1111 1111 1112","b":1.5e300}`},
		"an address":                   {redact.Rule{Pattern: "email"}, bide.RedactAt{}, `"to ann@example.com and bob@example.org."`, `"to [redacted:x] and [redacted:x]."`},
		"an account":                   {redact.Rule{Pattern: "iban"}, bide.RedactAt{}, `"GB82 WEST 1234 5698 7654 32"`, `"[redacted:x]"`},
		"an account that is none":      {redact.Rule{Pattern: "iban"}, bide.RedactAt{}, `"GB82 WEST 1234 5698 7654 33"`, `"GB82 WEST 1234 5698 7654 33"`},
		"an expression":                {redact.Rule{Pattern: `T-\d+`}, bide.RedactAt{}, `"see T-17"`, `"see [redacted:x]"`},
		"a member":                     {redact.Rule{Path: "patient.ssn"}, bide.RedactAt{}, `{"patient":{"ssn":{"a":[1]},"b":9007199254740993},"ssn":1}`, `{"patient":{"ssn":"[redacted:x]","b":9007199254740993},"ssn":1}`},
		"a member of every item":       {redact.Rule{Path: "items.*.pin"}, bide.RedactAt{}, `{"items":[{"pin":1},{"pin":null}]}`, `{"items":[{"pin":"[redacted:x]"},{"pin":"[redacted:x]"}]}`},
		"a member wherever it is":      {redact.Rule{Path: "**.pin"}, bide.RedactAt{}, `{"pin":1,"a":[{"b":{"pin":2}}]}`, `{"pin":"[redacted:x]","a":[{"b":{"pin":"[redacted:x]"}}]}`},
		"a member by its path in vars": {redact.Rule{Path: "customer.pin"}, bide.RedactAt{Path: "customer"}, `{"pin":1}`, `{"pin":"[redacted:x]"}`},
		"what is written to the path":  {redact.Rule{Path: "customer.pin"}, bide.RedactAt{Path: "customer.pin"}, `1`, `"[redacted:x]"`},
		"another workflow":             {redact.Rule{Pattern: "card", Workflow: "w"}, bide.RedactAt{Workflow: "v"}, `"4111111111111111"`, `"4111111111111111"`},
		"another effect":               {redact.Rule{Pattern: "card", Effect: "e"}, bide.RedactAt{Effect: "f"}, `"4111111111111111"`, `"4111111111111111"`},
		"an effect that is not known":  {redact.Rule{Pattern: "card", Effect: "e"}, bide.RedactAt{Effect: "*"}, `"4111111111111111"`, `"[redacted:x]"`},
	} {
		tc.rule.Name = "x"
		r, err := redact.New(tc.rule)
		if err != nil {
			t.Fatal(err)
		}
		once := r.Redact(tc.at, bide.JSON(tc.from))
		if string(once) != tc.to {
			t.Errorf("%s: %s becomes %s, want %s", name, tc.from, once, tc.to)
		}
		if twice := r.Redact(tc.at, once); !bytes.Equal(twice, once) {
			t.Errorf("%s: redacted again, it is %s, want %s", name, twice, once)
		}
	}
}

func TestARuleThatCannotBeUsedIsNamed(t *testing.T) {
	for _, text := range []string{
		`[{"name":"bad"}]`, `[{"name":"bad","path":"a","pattern":"b"}]`, `[{"name":"bad","path":"a..b"}]`, `[{"name":"bad","pattern":"("}]`,
		`[{"name":"bad","pattern":"x*"}]`, `[{"name":"bad","pattern":"redacted"}]`, `[{"name":"b d","path":"bad"}]`, `[{"name":"bad","where":"x"}]`, `{}`,
	} {
		if _, err := redact.Parse([]byte(text)); !errors.Is(err, bide.ErrInvalidInput) || text != `{}` && !strings.Contains(text, "where") && !strings.Contains(err.Error(), "b") {
			t.Errorf("Parse(%s) = %v, want ErrInvalidInput that names the rule", text, err)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`{"a":["4111 1111 1111 1111",{"pin":1}]}`)
	f.Add(`"\ud800"`)
	f.Add(`[`)
	r := bide.Must(redact.New(redact.Rule{Name: "card", Pattern: "card"}, redact.Rule{Name: "pin", Path: "**.pin"}))
	f.Fuzz(func(t *testing.T, text string) {
		once := r.Redact(bide.RedactAt{}, bide.JSON(text))
		if twice := r.Redact(bide.RedactAt{}, once); !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q, and then %q", text, once, twice)
		}
		if strings.Contains(string(once), "4111 1111 1111 1111") {
			t.Errorf("%q becomes %q", text, once)
		}
	})
}

// card stands wherever something from outside can bring it in.
const card = "4111 1111 1111 1111"

// What a rule names is nowhere: not in the ledger, not in the files, and not in what nodes, handlers and people see.
func TestWhatIsRedactedIsNowhere(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "bide.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	rt := bide.Must(bide.New(store, &bide.Options{SnapshotBytes: 1000, Redact: bide.Must(redact.New(redact.Rule{Name: "card", Pattern: "card"}))}))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	see := func(v any) { seen = append(seen, fmt.Sprintf("%s", v)) }
	rt.Handle("work", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		see(call.Payload)
		return bide.Completed("took " + card), nil
	})
	rt.Handle("fail", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Outcome{}, errors.New("refused " + card)
	})
	child := bide.Workflow{ID: "child", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(r *bide.Run) (bide.StepPlan, error) {
		see(bide.Must(bide.Input[string](r)))
		return bide.Complete(card), nil
	}}}
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "work", Nodes: bide.Nodes{
		"work": func(r *bide.Run) (bide.StepPlan, error) {
			see(bide.Must(bide.Input[string](r)))
			return bide.Do(bide.Call("work", card).As("work")).Then("ask").Set("note", card), nil
		},
		"ask": func(r *bide.Run) (bide.StepPlan, error) {
			see(bide.Must(bide.Get[string](r.Vars, "work")) + bide.Must(bide.Get[string](r.Vars, "note")))
			return bide.Do(bide.Ask("Pay with "+card+"?", nil).As("answer")).Then("event"), nil
		},
		"event": func(r *bide.Run) (bide.StepPlan, error) {
			see(bide.Must(bide.Get[string](r.Vars, "answer.text")))
			return bide.Do(bide.WaitEvent("e", nil).As("event")).Then("child"), nil
		},
		"child": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.StartRun("child", card, nil).As("child")).Then("fail"), nil
		},
		"fail": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("fail", nil)).OnError("end").Then("end"), nil
		},
		"end": func(r *bide.Run) (bide.StepPlan, error) { see(r.Caught.Message); return bide.Complete(card), nil },
	}}
	must(rt.Register(child, wf))
	opts := &bide.StartOptions{RunID: "r"}
	run, err := rt.Run(ctx, wf, "take "+card, opts)
	must(err)
	if _, err := rt.Start(ctx, wf, "take "+card, opts); err != nil {
		t.Errorf("the same start again = %v, want the run that is there", err)
	}
	see(run.Waits[0].Message)
	must(rt.Send(ctx, bide.Event{ScopeID: "r", Name: "later", Payload: card}))
	must(rt.Send(ctx, bide.Event{ScopeID: "r", Name: "e", Payload: card}))
	for range 2 { // the same answer again is the same command
		_, err = rt.Resume(ctx, "r", run.Waits[0].ID, card, bide.Command{ID: "answer"})
		must(err)
	}
	if _, err := rt.Resume(ctx, "r", run.Waits[0].ID, card); err != nil {
		t.Errorf("the same answer again = %v, want the first result", err)
	}
	_, err = rt.Tick(ctx, "r")
	must(err)
	page, err := rt.Runs(ctx, bide.RunQuery{Parent: "r"})
	must(err)
	_, err = rt.Tick(ctx, page.Runs[0].ID)
	must(err)
	run, err = rt.Tick(ctx, "r")
	must(err)
	see(run.Output)
	if run.Status != bide.StatusCompleted || len(seen) != 8 {
		t.Fatalf("the run is %s and saw %q", run.Status, seen)
	}
	for _, s := range seen {
		if strings.Contains(s, card) || !strings.Contains(s, "[redacted:card]") {
			t.Errorf("somebody saw %q, want the marker of the rule", s)
		}
	}
	for _, id := range []string{"r", page.Runs[0].ID} {
		if d, err := rt.Replay(ctx, id); d != nil || err != nil {
			t.Errorf("Replay(%s) = %v, %v; want no divergence", id, d, err)
		}
		if _, err := rt.Verify(ctx, id); err != nil {
			t.Error(err)
		}
	}
	search := func(when string) {
		must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if bytes.Contains(text, []byte(card)) {
				t.Errorf("%s: %s holds the card", when, filepath.Base(path))
			}
			return err
		}))
	}
	search("while open")
	must(store.Close())
	search("after Close")
}
