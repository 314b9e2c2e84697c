package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

// asking runs one effect whose handler opens w at its first attempt and
// completes with what it is called again with.
func asking(t *testing.T, w bide.Wait, opts *bide.StartOptions) (*bide.Runtime, *bide.Run, *bidetest.Clock) {
	t.Helper()
	clock := bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	wf := one(bide.Call("act", nil).WithErrorResult())
	rt := newRuntime(t, mem.New(), &bide.Options{Clock: clock}, wf)
	rt.Handle("act", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if len(call.Answered) == 0 {
			return bide.Waiting(w), nil
		}
		a := call.Answered[0]
		return bide.Completed(map[string]any{"answer": a.Decision.Answer, "by": a.Decision.Actor, "state": a.Wait.State}), nil
	})
	return rt, must[*bide.Run](t)(rt.Run(ctx, wf, nil, opts)), clock
}

// answered answers the run's wait, ticks and returns the run's output.
func answered(t *testing.T, rt *bide.Runtime, run *bide.Run, answer string, by bide.Command) string {
	t.Helper()
	must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, json.RawMessage(answer), by))
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if run.Status != bide.StatusCompleted {
		t.Fatalf("run = %s %v", run.Status, run.Error)
	}
	must[bide.Position](t)(rt.Verify(ctx, run.ID))
	return string(run.Output)
}

func TestTheAnswerToAnyWaitCanComeBackToItsHandler(t *testing.T) {
	question := bide.Wait{Kind: bide.WaitQuestion, Message: "Who?", FreeText: true, Again: true, State: json.RawMessage(`{"round": 1}`)}
	rt, run, _ := asking(t, question, nil)
	if got, want := answered(t, rt, run, `"me"`, bide.Command{Actor: "anna"}), `{"answer":"me","by":"anna","state":{"round":1}}`; got != want {
		t.Errorf("output = %s, want %s", got, want)
	}

	question.ExpiresAt, question.Default = time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC), json.RawMessage(`"nobody"`)
	rt, run, clock := asking(t, question, nil)
	clock.Advance(time.Hour)
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if got, want := string(run.Output), `{"answer":"nobody","by":"","state":{"round":1}}`; got != want {
		t.Errorf("output after the deadline = %s, want %s", got, want)
	}

	job := bide.Wait{Kind: bide.WaitJob, Key: "render", Again: true}
	rt, run, _ = asking(t, job, nil)
	if got, want := answered(t, rt, run, `{"error":"no paper"}`, bide.Command{}), `{"answer":{"error":"no paper"},"by":"","state":null}`; got != want {
		t.Errorf("output after the job = %s, want %s", got, want)
	}
}

func TestABudgetIsRaisedOrStopsTheWork(t *testing.T) {
	budget := bide.Wait{Kind: bide.WaitBudget, Message: "100 calls are used up",
		Schema: json.RawMessage(`{"type":"object","properties":{"calls":{"type":"integer","minimum":101}},"additionalProperties":false}`)}
	rt, run, _ := asking(t, budget, nil)
	for answer, want := range map[string]string{
		`"raise"`:                     "is a string, not an object",
		`{"type":"more"}`:             `"more" is not one of "raise" and "stop"`,
		`{"type":"raise"}`:            "/limits: is missing or empty",
		`{"type":"stop","limits":{}}`: `goes with type "raise" only`,
		`{"type":"raise","limits":{"calls":7,"x":1}}`: "/limits",
		`{"type":"stop","by":"me"}`:                   "/by: is not known here",
	} {
		_, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, json.RawMessage(answer), bide.Command{Actor: "anna"})
		if !errors.Is(err, bide.ErrInvalidAnswer) || !strings.Contains(err.Error(), want) {
			t.Errorf("Resume(%s) = %v, want ErrInvalidAnswer with %q", answer, err, want)
		}
	}
	if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, bide.Budget{Type: bide.BudgetStop}, bide.Command{Actor: "agent:writer"}); !errors.Is(err, bide.ErrForbidden) {
		t.Errorf("Resume by an agent = %v, want ErrForbidden", err)
	}
	if got, want := answered(t, rt, run, `{"type":"raise","limits":{"calls":200}}`, bide.Command{Actor: "anna"}), `{"type":"raise","limits":{"calls":200},"by":"anna"}`; got != want {
		t.Errorf("output = %s, want %s", got, want)
	}
}

func TestQuestionsAndFormsNameWhoMayAnswer(t *testing.T) {
	whom := []string{"anna", "group:ops"}
	for name, c := range map[string]struct {
		effect bide.Effect
		answer any
	}{
		"question": {bide.Ask("Pay?", &bide.AskOptions{Assignees: whom}), "yes"},
		"form":     {bide.Form("Pay?", map[string]any{"type": "object"}, &bide.FormOptions{Assignees: whom}), map[string]any{}},
	} {
		wf := one(c.effect)
		rt := newRuntime(t, mem.New(), nil, wf)
		run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
		if got := run.Waits[0].Assignees; !slices.Equal(got, whom) {
			t.Errorf("%s: assignees = %q, want %q", name, got, whom)
		}
		for _, by := range []bide.Command{{}, {Actor: "ben"}, {Actor: "ben", Groups: []string{"group:dev"}}} {
			if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, c.answer, by); !errors.Is(err, bide.ErrForbidden) {
				t.Errorf("%s: an answer by %+v = %v, want ErrForbidden", name, by, err)
			}
		}
		if run = must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, c.answer, bide.Command{Actor: "ben", Groups: []string{"group:ops"}})); len(run.Waits) != 0 {
			t.Errorf("%s: the answer of somebody of the group leaves %+v", name, run.Waits)
		}
	}
	wf := one(bide.Ask("Pay?", &bide.AskOptions{Assignees: []string{""}}))
	if run := must[*bide.Run](t)(newRuntime(t, mem.New(), nil, wf).Run(ctx, wf, nil, nil)); run.Error == nil || !strings.Contains(run.Error.Message, "an assignee is empty") {
		t.Errorf("with an empty assignee the run is %s with %v", run.Status, run.Error)
	}
}

func TestOnlyAssigneesMayAnswer(t *testing.T) {
	rt, run, _ := asking(t, bide.Wait{Kind: bide.WaitQuestion, Message: "Pay?", Choices: []string{"yes"}, Assignees: []string{"anna", "group:ops"}}, nil)
	for _, by := range []bide.Command{{}, {Actor: "ben"}, {Actor: "ben", Groups: []string{"group:sales"}}, {Actor: "group:sales"}} {
		if _, err := rt.Resume(ctx, run.ID, run.Waits[0].ID, "yes", by); !errors.Is(err, bide.ErrForbidden) {
			t.Errorf("Resume by %+v = %v, want ErrForbidden", by, err)
		}
	}
	if got := answered(t, rt, run, `"yes"`, bide.Command{Actor: "carl", Groups: []string{"group:ops"}}); !strings.Contains(got, `"carl"`) {
		t.Errorf("output = %s, want carl's answer", got)
	}
}

func TestAnApprovalMayFailTheCallAtItsDeadline(t *testing.T) {
	w := leave(json.RawMessage(`{"to":"a"}`), time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC))
	w.OnExpire = bide.ExpireFail
	rt, run, clock := asking(t, w, nil)
	clock.Advance(time.Hour)
	run = must[*bide.Run](t)(rt.Tick(ctx, run.ID))
	if got := bide.Must(bide.Get[bide.ErrorResult](run.Vars, "result")); run.Status != bide.StatusCompleted || got.Error == nil || got.Error.Code != bide.FailureTimeout {
		t.Errorf("run = %s, result = %+v, want a timeout", run.Status, got.Error)
	}
	must[bide.Position](t)(rt.Verify(ctx, run.ID))
}

func TestAnApprovalThatCannotBeDecidedIsNotOpened(t *testing.T) {
	for want, change := range map[string]func(*bide.Wait){
		"one call, not 0":   func(w *bide.Wait) { w.Items = nil },
		"one call, not 2":   func(w *bide.Wait) { w.Items = append(w.Items, w.Items[0]) },
		"a tool_call_id":    func(w *bide.Wait) { w.Items[0].ToolCallID = "" },
		"args: not JSON":    func(w *bide.Wait) { w.Items[0].Args = json.RawMessage(`{"to":`) },
		"args_schema":       func(w *bide.Wait) { w.Items[0].ArgsSchema = json.RawMessage(`{"type":"thing"}`) },
		"one of the verbs":  func(w *bide.Wait) { w.Items[0].Allowed = []bide.Verb{"perhaps"} },
		"no default":        func(w *bide.Wait) { w.Default = json.RawMessage(`{"approved":true}`) },
		"items and on_expi": func(w *bide.Wait) { w.Kind = bide.WaitQuestion },
	} {
		w := leave(json.RawMessage(`{"to":"a"}`), time.Time{})
		change(&w)
		_, run, _ := asking(t, w, nil)
		got := bide.Must(bide.Get[bide.ErrorResult](run.Vars, "result"))
		if got.Error == nil || !strings.Contains(got.Error.Message, want) {
			t.Errorf("result = %+v, want a failure with %q", got.Error, want)
		}
	}
}

func TestAGrantIsKeptUntilItIsRevoked(t *testing.T) {
	rt, run, _ := asking(t, leave(json.RawMessage(`{"to":"a"}`), time.Time{}), &bide.StartOptions{Session: "s"})
	item := run.Waits[0].Items[0]
	run = must[*bide.Run](t)(rt.Resume(ctx, run.ID, run.Waits[0].ID, bide.Approval{
		Decisions: []bide.ToolDecision{{ToolCallID: "c1", ArgsSHA256: item.ArgsSHA256, Type: bide.VerbApprove}},
		Remember:  &bide.Remember{Scope: bide.GrantSession, Match: bide.GrantToolArgs},
	}, bide.Command{Actor: "anna"}))
	want := []bide.Grant{{ID: run.ID + ".1", Scope: bide.GrantSession, Match: bide.GrantToolArgs, Tool: "mail", ArgsSHA256: item.ArgsSHA256, ToolSHA256: "d1", By: "anna", At: run.UpdatedAt}}
	if diff := cmp.Diff(want, run.Grants); diff != "" {
		t.Errorf("Grants (-want +got):\n%s", diff)
	}
	if _, err := rt.RevokeGrant(ctx, run.ID, "other"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("RevokeGrant of another = %v, want ErrNotFound", err)
	}
	revoke := bide.Command{ID: "x", Actor: "ben", Reason: "too broad"}
	first := must[*bide.Run](t)(rt.RevokeGrant(ctx, run.ID, want[0].ID, revoke))
	again := must[*bide.Run](t)(rt.RevokeGrant(ctx, run.ID, want[0].ID, revoke))
	if diff := cmp.Diff(first, again, cmpopts.IgnoreUnexported(bide.Run{}, bide.Effect{}, bide.StepPlan{})); diff != "" || len(first.Grants) != 0 {
		t.Errorf("Grants = %v, and the repeat differs by:\n%s", first.Grants, diff)
	}
	must[bide.Position](t)(rt.Verify(ctx, run.ID))
}

func TestAHandlerThatAsksWithoutEndIsStopped(t *testing.T) {
	wf := one(bide.Call("act", nil))
	rt := newRuntime(t, mem.New(), nil, wf)
	rt.Handle("act", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Decided(bide.Wait{Again: true}, "go on"), nil
	})
	run := must[*bide.Run](t)(rt.Run(ctx, wf, nil, nil))
	if run.Status != bide.StatusFailed || run.Error.Code != bide.FailureLimit {
		t.Errorf("run = %s %v, want limit_exceeded", run.Status, run.Error)
	}
}

// The vectors are those of RFC 8785 for the order of names and the form of numbers.
func TestArgsSHA256IsOverTheCanonicalForm(t *testing.T) {
	same := bide.Must(bide.ArgsSHA256("f", json.RawMessage(`{"b": 1.50, "a": [1e2, "\u20ac"]}`)))
	if got := bide.Must(bide.ArgsSHA256("f", json.RawMessage(`{"a":[100,"€"],"b":1.5}`))); got != same {
		t.Errorf("the same arguments written in another way = %s, want %s", got, same)
	}
	if got := bide.Must(bide.ArgsSHA256("g", json.RawMessage(`{"a":[100,"€"],"b":1.5}`))); got == same {
		t.Error("another name gives the same hash")
	}
	if _, err := bide.ArgsSHA256("f", json.RawMessage(`{`)); err == nil {
		t.Error("arguments that are not JSON have a hash")
	}
}
