package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

// The rules of the approval contract, by their numbers.

func TestRule1TheHashIsComputedAgainAtDispatchAndAMismatchAsksAgain(t *testing.T) {
	d := newDesk(t, nil)
	run := d.start(nil, mails(1)...)
	w := d.wait(run, "c0")
	sum := bide.Must(bide.ArgsSHA256("mail", json.RawMessage(`{ "to": "\u0061\u0030" }`)))
	if w.Items[0].ArgsSHA256 != sum {
		t.Errorf("args_sha256 = %s, want %s", w.Items[0].ArgsSHA256, sum)
	}
	approved, err := json.Marshal(bide.Approval{Decisions: []bide.ToolDecision{{ToolCallID: "c0", ArgsSHA256: sum, Type: bide.VerbApprove}}})
	if err != nil {
		t.Fatal(err)
	}
	effect := run.Effects[0]
	call := bide.Invocation{Run: "r", Type: effect.Type, Payload: effect.Payload, Key: effect.Key, Attempt: 2,
		Answered: []bide.Answered{{Wait: w, Decision: bide.Decision{Wait: w.ID, By: bide.ByAnswer, Answer: approved, Actor: "anna"}}}}
	for name, forge := range map[string]func(w *bide.Wait, answer *json.RawMessage){
		"other arguments on record": func(w *bide.Wait, _ *json.RawMessage) { w.Items[0].Args = json.RawMessage(`{"to":"thief"}`) },
		"another call":              func(w *bide.Wait, _ *json.RawMessage) { w.Items[0].ToolCallID = "c1" },
		"another hash on record":    func(w *bide.Wait, _ *json.RawMessage) { w.Items[0].ArgsSHA256 = strings.Repeat("0", 64) },
		"another definition":        func(w *bide.Wait, _ *json.RawMessage) { w.Items[0].Source.SHA256 = "other" },
		"a rejection":               func(_ *bide.Wait, a *json.RawMessage) { *a = json.RawMessage(`{"approved":false}`) },
		"no decision":               func(_ *bide.Wait, a *json.RawMessage) { *a = json.RawMessage(`{}`) },
	} {
		forged := call
		a := forged.Answered[0]
		a.Wait.Items = slices.Clone(a.Wait.Items)
		forge(&a.Wait, &a.Decision.Answer)
		forged.Answered = []bide.Answered{a}
		out, err := d.set.Handle(ctx, &forged)
		if err != nil {
			t.Fatal(err)
		}
		if got := opened(t, out); got.Kind != bide.WaitToolApproval || !strings.Contains(got.Items[0].Reason, "decided again") || len(d.sent()) != 0 {
			t.Errorf("%s: wait = %+v, sent = %q; want the decision asked for again and nothing sent", name, got, d.sent())
		}
	}
	if _, err := d.set.Handle(ctx, &call); err != nil || len(d.sent()) != 1 {
		t.Errorf("the decision as it was: sent = %q, %v; want one mail", d.sent(), err)
	}
}

// opened is the wait that an outcome opens when it is recorded.
func opened(t *testing.T, out bide.Outcome) bide.Wait {
	t.Helper()
	d := newDesk(t, nil)
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("open", nil)).ThenComplete(nil), nil
	}}}
	d.rt.Handle("open", func(_ context.Context, _ *bide.Invocation) (bide.Outcome, error) { return out, nil })
	run := d.must(d.rt.Run(ctx, wf, nil, nil))
	if len(run.Waits) != 1 {
		t.Fatalf("run = %s %v with %d waits, want one", run.Status, run.Error, len(run.Waits))
	}
	return run.Waits[0]
}

func TestRule1AToolThatChangedAfterItsApprovalIsAskedAboutAgain(t *testing.T) {
	d := newDesk(t, nil)
	d.approve(d.wait(d.start(nil, mails(1)...), "c0"))
	changed := d.mail()
	changed.Description = "Sends a mail to everybody."
	d.boot(nil, changed)
	run := d.tick()
	w := d.wait(run, "c0")
	if !strings.Contains(w.Items[0].Reason, "definition has changed") || len(d.sent()) != 0 {
		t.Errorf("reason = %q, sent = %q", w.Items[0].Reason, d.sent())
	}
	d.approve(w)
	if got := d.results(d.tick()); got[0].Status != tool.StatusOK || len(d.sent()) != 1 {
		t.Errorf("results = %+v, sent = %q", got, d.sent())
	}
}

func TestRule2OnlyWhatHasLeaveOnRecordRuns(t *testing.T) {
	d := newDesk(t, &tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{When: `args.to == "a0"`, Decide: tool.Auto}))})
	run := d.start(nil, mails(3)...)
	if err := d.decide(d.wait(run, "c1"), "anna", bide.VerbReject, nil); err != nil {
		t.Fatal(err)
	}
	d.tick()
	if got := d.sent(); !slices.Equal(got, []string{"a0"}) {
		t.Errorf("sent = %q; c1 is rejected and nobody decided about c2", got)
	}
	// The mail that a rule let pass has that in the ledger, before its attempt.
	var kinds []string
	for rec, err := range d.rt.Ledger(ctx, "r", 1) {
		if err != nil {
			t.Fatal(err)
		}
		data := bide.Must(rec.Decode())
		switch x := data.(type) {
		case *bide.WaitResolved:
			if x.By == bide.ByHandler {
				kinds = append(kinds, "leave")
			}
		case *bide.EffectStarted:
			kinds = append(kinds, "attempt")
		}
	}
	if want := []string{"leave", "attempt"}; !slices.Equal(kinds, want) {
		t.Errorf("the ledger has %q, want %q", kinds, want)
	}
}

func TestRule3DecisionsArePartialInAnyOrderAndFromSeveralPeople(t *testing.T) {
	d := newDesk(t, nil)
	calls := append(mails(3), tool.Call{ID: "look", Name: "look", Args: `{"to":"x"}`})
	run := d.start(nil, calls...)
	if len(run.Waits) != 3 {
		t.Fatalf("%d waits, want one for each call that has to be decided", len(run.Waits))
	}
	for i, by := range []string{"ben", "anna", "carl"} {
		id := []string{"c2", "c0", "c1"}[i]
		if err := d.decide(d.wait(run, id), by, bide.VerbApprove, nil); err != nil {
			t.Fatal(err)
		}
		if run = d.tick(); len(d.sent()) != i+1 {
			t.Errorf("after %d decisions %d mails are sent; each call runs when it is decided", i+1, len(d.sent()))
		}
	}
	results := d.results(run)
	if diff := cmp.Diff([]string{"c0 ok", "c1 ok", "c2 ok", "look ok"}, statuses(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if by := results[2].DecidedBy; by != "ben" {
		t.Errorf("c2 was decided by %q, want ben", by)
	}
}

func TestRule3RunWhenAllRunsNothingBeforeTheLastDecision(t *testing.T) {
	d := newDesk(t, nil)
	calls := append(mails(3), tool.Call{ID: "look", Name: "look", Args: `{"to":"x"}`}, tool.Call{ID: "bad", Name: "none"})
	run := d.must(d.rt.Run(ctx, d.whenAll(), calls, nil))
	d.approve(d.wait(run, "c2"))
	if err := d.decide(d.wait(run, "c1"), "anna", bide.VerbReject, nil); err != nil {
		t.Fatal(err)
	}
	if d.tick(); len(d.sent()) != 0 {
		t.Errorf("sent = %q before the last decision", d.sent())
	}
	if err := d.decide(d.wait(run, "c0"), "ben", bide.VerbEdit, func(dec *bide.ToolDecision) { dec.Args = json.RawMessage(`{"to":"b"}`) }); err != nil {
		t.Fatal(err)
	}
	results := d.results(d.tick())
	if diff := cmp.Diff([]string{"c0 ok", "c1 rejected", "c2 ok", "look ok", "bad error"}, statuses(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	sent := d.sent()
	slices.Sort(sent)
	if want := []string{"a2", "b"}; !slices.Equal(sent, want) {
		t.Errorf("sent = %q, want %q", sent, want)
	}
	if !strings.Contains(results[0].Note, `from {"to":"a0"} to {"to":"b"}`) {
		t.Errorf("note = %q", results[0].Note)
	}
}

func TestRule4EveryCallHasOneResultThatSaysWhatHappened(t *testing.T) {
	policy := bide.Must(tool.NewPolicy(
		tool.Rule{When: `args.to == "enemy"`, Decide: tool.Deny, Reason: "we do not write to enemies"},
		tool.Rule{Tool: "mail", Decide: tool.Ask, Approval: &tool.Approval{Timeout: bide.Duration(time.Hour)}}))
	d := newDesk(t, &tool.Options{Policy: policy})
	calls := append(mails(5),
		tool.Call{ID: "enemy", Name: "mail", Args: `{"to":"enemy"}`},
		tool.Call{ID: "none", Name: "fax", Args: `{}`},
		tool.Call{ID: "wrong", Name: "mail", Args: `{"to":7,"cc":"x"}`},
		tool.Call{ID: "text", Name: "mail", Args: `to: me`})
	run := d.start(nil, calls...)
	for id, decide := range map[string]struct {
		verb   bide.Verb
		change func(*bide.ToolDecision)
	}{
		"c0": {bide.VerbApprove, nil},
		"c1": {bide.VerbEdit, func(dec *bide.ToolDecision) { dec.Args, dec.Reason = json.RawMessage(`{"to":"b1"}`), "wrong person" }},
		"c2": {bide.VerbReject, func(dec *bide.ToolDecision) { dec.Message = "not on Fridays" }},
		"c3": {bide.VerbRespond, func(dec *bide.ToolDecision) { dec.Message = "the code is 4711" }},
	} {
		if err := d.decide(d.wait(run, id), "anna", decide.verb, decide.change); err != nil {
			t.Fatal(err)
		}
	}
	d.tick()
	d.clock.Advance(time.Hour) // nobody decides about c4
	results := d.results(d.tick())
	want := map[string]string{
		"c0":    "ok: sent to a0",
		"c1":    "ok: A person changed the arguments from {\"to\":\"a1\"} to {\"to\":\"b1\"}. Reason: wrong person.\n\nsent to b1",
		"c2":    "rejected: The call was not made: it was rejected, with the message: not on Fridays",
		"c3":    "responded: the code is 4711",
		"c4":    "expired: The call was not made: nobody decided about it before 2026-01-01T01:00:00Z.",
		"enemy": "denied: The call was not made: it is denied: we do not write to enemies",
		"none":  `error: The call was not made: there is no tool "fax"; there are look, mail.`,
		"wrong": "error: The call was not made: the arguments do not fit: additional properties 'cc' not allowed; /to: got number, want string",
		"text":  "error: The call was not made: the arguments are not a JSON object with names that differ: to: me",
	}
	if len(results) != len(calls) {
		t.Fatalf("%d results for %d calls", len(results), len(calls))
	}
	for i, res := range results {
		if got := res.Status + ": " + res.Text(); got != want[res.ToolCallID] || res.ToolCallID != calls[i].ID {
			t.Errorf("result %d, of %s = %q, want %q of %s", i, res.ToolCallID, got, want[res.ToolCallID], calls[i].ID)
		}
	}
}

func TestRule5AnEditReplacesTheArgumentsWholeAndBothStayOnRecord(t *testing.T) {
	d := newDesk(t, nil)
	run := d.start(nil, tool.Call{ID: "c0", Name: "mail", Args: `{"to":"a","text":"hello"}`})
	w := d.wait(run, "c0")
	for args, want := range map[string]string{`{"text":"x"}`: "missing property 'to'", `{"to":1}`: "/to", `[]`: "want object"} {
		err := d.decide(w, "anna", bide.VerbEdit, func(dec *bide.ToolDecision) { dec.Args = json.RawMessage(args) })
		if !errors.Is(err, bide.ErrInvalidAnswer) || !strings.Contains(err.Error(), want) {
			t.Errorf("edit to %s = %v, want ErrInvalidAnswer with %q", args, err, want)
		}
	}
	if err := d.decide(w, "anna", bide.VerbEdit, func(dec *bide.ToolDecision) { dec.Args = json.RawMessage(`{"to":"b"}`) }); err != nil {
		t.Fatal(err)
	}
	res := d.results(d.tick())[0]
	if string(res.Leave.Args) != `{"to":"b"}` || string(res.Leave.Proposed) != `{"to":"a","text":"hello"}` || res.DecidedBy != "anna" {
		t.Errorf("leave = %+v", res.Leave)
	}
	var record string
	for rec := range d.rt.Ledger(ctx, "r", 1) {
		if rec.Kind == bide.KindWaitOpened || rec.Kind == bide.KindWaitResolved {
			record += rec.Actor + string(rec.Data)
		}
	}
	for _, part := range []string{`"args":{"to":"a","text":"hello"}`, `"args":{"to":"b"}`, "anna"} {
		if !strings.Contains(record, part) {
			t.Errorf("the ledger has no %s:\n%s", part, record)
		}
	}
}

func TestRule6TheShortFormTakesABoolean(t *testing.T) {
	d := newDesk(t, nil)
	run := d.start(nil, mails(2)...)
	for _, answer := range []string{`{"approved":"false"}`, `{"approved":"true"}`, `{"approved":1}`, `{"approved":null}`, `{}`, `true`, `"approve"`, `{"approved":true,"decisions":[]}`} {
		_, err := d.rt.Resume(ctx, "r", d.wait(run, "c0").ID, json.RawMessage(answer), bide.Command{Actor: "anna"})
		if !errors.Is(err, bide.ErrInvalidAnswer) {
			t.Errorf("Resume(%s) = %v, want ErrInvalidAnswer", answer, err)
		}
	}
	d.must(d.rt.Resume(ctx, "r", d.wait(run, "c0").ID, json.RawMessage(`{"approved":true}`)))
	d.must(d.rt.Resume(ctx, "r", d.wait(run, "c1").ID, json.RawMessage(`{"approved":false,"message":"no"}`)))
	if diff := cmp.Diff([]string{"c0 ok", "c1 rejected"}, statuses(d.results(d.tick()))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestRule7APolicyThatFailsAsksAndArgumentsThatDoNotParseGoBack(t *testing.T) {
	d := newDesk(t, &tool.Options{Policy: bide.Must(tool.NewPolicy(
		tool.Rule{When: `args.text.deep.deeper == 1`, Decide: tool.Deny},
		tool.Rule{Decide: tool.Auto}))})
	run := d.start(nil, tool.Call{ID: "c0", Name: "mail", Args: `{"to":"a","text":"x"}`}, tool.Call{ID: "c1", Name: "mail", Args: `{"to":`}, tool.Call{ID: "c2", Name: "mail", Args: `{"to":"a","to":"b"}`})
	w := d.wait(run, "c0")
	if !strings.Contains(w.Items[0].Reason, "rule 1 of the policy cannot be worked out") {
		t.Errorf("reason = %q", w.Items[0].Reason)
	}
	if len(run.Waits) != 1 || len(d.sent()) != 0 {
		t.Errorf("%d waits, sent = %q; want one and nothing", len(run.Waits), d.sent())
	}
	d.approve(w)
	results := d.results(d.tick())
	if diff := cmp.Diff([]string{"c0 ok", "c1 error", "c2 error"}, statuses(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestRule8AGrantLetsLaterCallsPassUntilItIsRevokedOrTheToolChanges(t *testing.T) {
	d := newDesk(t, nil)
	remember := func(w bide.Wait, scope bide.GrantScope, match bide.GrantMatch) {
		t.Helper()
		d.must(d.rt.Resume(ctx, w.ID[:strings.LastIndex(w.ID, ".")], w.ID, bide.Approval{
			Decisions: []bide.ToolDecision{{ToolCallID: w.Items[0].ToolCallID, ArgsSHA256: w.Items[0].ArgsSHA256, Type: bide.VerbApprove}},
			Remember:  &bide.Remember{Scope: scope, Match: match}}, bide.Command{Actor: "anna"}))
	}
	// Calls are made one after the other: the second and third in nodes of their own.
	wf := bide.Workflow{ID: "series", Version: "1", Entry: "act", Nodes: bide.Nodes{
		"act": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Get[int](r.Vars, "n")
			in, ierr := bide.Input[[]tool.Call](r)
			if err != nil || ierr != nil || n == len(in) {
				return bide.Complete(n), errors.Join(err, ierr)
			}
			plan, err := d.set.Plan(in[n:n+1], "results")
			return plan.Set("n", n+1).Then("act"), err
		}}}
	same, other := tool.Call{ID: "c", Name: "mail", Args: `{"to":"a"}`}, tool.Call{ID: "c", Name: "mail", Args: `{"to":"b"}`}
	run := d.must(d.rt.Run(ctx, wf, []tool.Call{same, same, other, same, same}, nil))
	remember(run.Waits[0], bide.GrantRun, bide.GrantToolArgs)
	run = d.tick()
	if got := d.sent(); !slices.Equal(got, []string{"a", "a"}) {
		t.Errorf("sent = %q; the grant is for the same arguments", got)
	}
	if len(run.Grants) != 1 || run.Grants[0].By != "anna" || run.Grants[0].Match != bide.GrantToolArgs {
		t.Errorf("grants = %+v", run.Grants)
	}
	d.must(d.rt.RevokeGrant(ctx, "r", run.Grants[0].ID))
	remember(run.Waits[0], bide.GrantRun, bide.GrantTool)
	run = d.tick()
	if got := len(d.sent()); got != 5 || run.Status != bide.StatusCompleted {
		t.Errorf("run = %s, %d sent; the second grant is for every call of the tool", run.Status, got)
	}

	// A grant is void when the definition changes.
	d = newDesk(t, nil)
	run = d.must(d.rt.Run(ctx, wf, []tool.Call{same, same}, nil))
	remember(run.Waits[0], bide.GrantRun, bide.GrantTool)
	changed := d.mail()
	changed.Safety = tool.Idempotent
	old := d
	d = &desk{t: t, clock: old.clock, store: old.store}
	d.boot(nil, changed)
	if err := d.rt.Register(wf); err != nil {
		t.Fatal(err)
	}
	if run = d.tick(); len(run.Waits) != 1 || len(d.sent())+len(old.sent()) != 0 {
		t.Errorf("%d waits, sent = %q; want the first call asked about again", len(run.Waits), d.sent())
	}
	d.approve(run.Waits[0])
	if run = d.tick(); len(run.Waits) != 1 || len(old.sent()) != 1 {
		t.Errorf("%d waits, sent = %q; want the second call asked about, the grant being void", len(run.Waits), old.sent())
	}
}

func TestRule9TheActorComesWithTheCommandAndAnAgentCannotDecide(t *testing.T) {
	d := newDesk(t, &tool.Options{Approval: tool.Approval{Assignees: []string{"group:ops", "anna"}, Priority: 3}})
	w := d.wait(d.start(nil, mails(1)...), "c0")
	if w.Priority != 3 || len(w.Assignees) != 2 {
		t.Errorf("wait = %+v", w)
	}
	for _, answer := range []string{`{"approved":true,"actor":"anna"}`, `{"approved":true,"by":"anna"}`} {
		if _, err := d.rt.Resume(ctx, "r", w.ID, json.RawMessage(answer), bide.Command{Actor: "anna"}); !errors.Is(err, bide.ErrInvalidAnswer) {
			t.Errorf("Resume(%s) = %v, want ErrInvalidAnswer", answer, err)
		}
	}
	for _, by := range []bide.Command{{Actor: "agent:writer", Groups: []string{"group:ops"}}, {Actor: "ben"}, {}} {
		if _, err := d.rt.Resume(ctx, "r", w.ID, json.RawMessage(`{"approved":true}`), by); !errors.Is(err, bide.ErrForbidden) {
			t.Errorf("Resume by %+v = %v, want ErrForbidden", by, err)
		}
	}
	d.must(d.rt.Resume(ctx, "r", w.ID, json.RawMessage(`{"approved":true}`), bide.Command{Actor: "dora", Groups: []string{"group:ops"}}))
	if res := d.results(d.tick())[0]; res.DecidedBy != "dora" {
		t.Errorf("decided by %q, want dora", res.DecidedBy)
	}
}
