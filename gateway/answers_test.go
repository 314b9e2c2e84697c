package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/store/mem"
)

// asking is a workflow with one effect, whose handler opens a wait.
func asking() bide.Workflow {
	return bide.Workflow{ID: "asking", Version: "1", Entry: "act", Nodes: bide.Nodes{"act": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("act", nil).As("got")).ThenCompleteWith("got"), nil
	}}}
}

// wait opens a wait in a server with a clock of its own, and returns its run.
func wait(t *testing.T, w bide.Wait) (*server, *bide.Run, *bidetest.Clock) {
	t.Helper()
	clock := bidetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	store := mem.New()
	rt := bide.Must(bide.New(store, &bide.Options{Clock: clock}))
	s := serverOf(t, rt, store, &gateway.Options{Workflows: []bide.Workflow{asking()}})
	rt.Handle("act", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if len(call.Answered) == 0 {
			return bide.Waiting(w), nil
		}
		return bide.Completed(call.Answered[0].Decision.Answer), nil
	})
	return s, s.start("operator", `{"workflow":"asking"}`), clock
}

// Decisions about a tool call, by the table of the wire contract.
func TestDecisionsAboutToolCallsOverHTTP(t *testing.T) {
	call := bide.Wait{Kind: bide.WaitToolApproval, Message: "Send it?", Assignees: []string{"group:approver"}, Items: []bide.ToolItem{{
		ToolCallID: "call_abc", Name: "send_email", Args: bide.JSON(`{"to":"a@b.com"}`), ArgsSchema: bide.JSON(`{"type":"object","required":["to"]}`),
		Allowed: []bide.Verb{bide.VerbApprove, bide.VerbEdit, bide.VerbReject},
	}}}
	sum, err := bide.ArgsSHA256("send_email", bide.JSON(`{"to":"a@b.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		as, body string
		status   int
		code     string
		faults   int
	}{
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","args_sha256":"SUM","type":"approve"}]}`, 200, "", 0},
		{"approver", `{"approved":true}`, 200, "", 0},
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","type":"reject","message":"not on Fridays"}]}`, 200, "", 0},
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","args_sha256":"SUM","type":"edit","args":{"to":"b@b.com"},"reason":"wrong person"}],"remember":null}`, 422, "invalid_answer", 1},
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","args_sha256":"SUM","type":"edit","args":{"to":"b@b.com"},"reason":"wrong person"}]}`, 200, "", 0},
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","args_sha256":"SUM","type":"edit","args":{}}]}`, 422, "invalid_answer", 1},
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","args_sha256":"` + strings.Repeat("0", 64) + `","type":"approve"}]}`, 412, "args_changed", 1},
		{"approver", `{"decisions":[{"tool_call_id":"call_xyz","type":"reject"}]}`, 422, "invalid_answer", 1},
		{"approver", `{"decisions":[{"tool_call_id":"call_abc","type":"respond"}]}`, 422, "invalid_answer", 2},
		{"approver", `{"approved":"false"}`, 422, "invalid_answer", 1},
		{"approver", `{"answer":{"approved":true}}`, 422, "invalid_answer", 1},
		{"admin", `{"approved":true}`, 403, "forbidden", 0},
		{"operator", `{"approved":true}`, 403, "forbidden", 0},
	} {
		s, run, _ := wait(t, call)
		path := "/v1/waits/" + run.Waits[0].ID
		seen := s.ask("viewer", http.MethodGet, path, "")
		if got := seen.field(t, "items.0.args_sha256"); got != sum || seen.field(t, "items.0.status") != "pending" {
			t.Errorf("the wait is %s", seen.Body)
		}
		got := s.ask(c.as, http.MethodPost, path+"/answer", strings.ReplaceAll(c.body, "SUM", sum))
		if got.Status != c.status {
			t.Errorf("%s as %s = %d %s, want %d", c.body, c.as, got.Status, got.Body, c.status)
			continue
		}
		after := s.ask("viewer", http.MethodGet, path, "").field(t, "status")
		if c.status == 200 {
			if got.field(t, "wait.status") != "answered" || after != "answered" || got.field(t, "wait.decision.actor") != c.as {
				t.Errorf("%s = %s, and then the wait is %s", c.body, got.Body, after)
			}
			continue
		}
		faults := 0
		for got.field(t, fmt.Sprintf("faults.%d", faults)) != "null" {
			faults++
		}
		if got.field(t, "code") != c.code || faults != c.faults || after != "open" {
			t.Errorf("%s = %s, want code %s with %d faults; then the wait is %s", c.body, got.Body, c.code, c.faults, after)
		}
	}
}

func TestAnAnswerAfterTheDeadlineIsGone(t *testing.T) {
	s, run, clock := wait(t, bide.Wait{Kind: bide.WaitQuestion, Message: "Who?", FreeText: true, ExpiresAt: time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC), Default: bide.JSON(`"nobody"`)})
	clock.Advance(2 * time.Hour)
	path := "/v1/waits/" + run.Waits[0].ID
	got := s.ask("approver", http.MethodPost, path+"/answer", `{"answer":"me"}`)
	if got.Status != http.StatusGone || got.field(t, "code") != "expired" {
		t.Errorf("late = %d %s", got.Status, got.Body)
	}
	s.tick(run.ID)
	if got := s.ask("viewer", http.MethodGet, path, ""); got.field(t, "status") != "expired" {
		t.Errorf("the wait is %s", got.Body)
	}
	if got := s.ask("approver", http.MethodPost, path+"/answer", `{"answer":"me"}`); got.Status != http.StatusGone {
		t.Errorf("later = %d %s", got.Status, got.Body)
	}
}

// Every kind of wait that can be answered has its form.
func TestEachKindOfWaitHasItsAnswer(t *testing.T) {
	for _, c := range []struct {
		w           bide.Wait
		good, wrong string
	}{
		{bide.Wait{Kind: bide.WaitQuestion, FreeText: true}, `{"answer":"x"}`, `{"answer":7}`},
		{bide.Wait{Kind: bide.WaitForm, Schema: bide.JSON(`{"type":"object","required":["n"]}`)}, `{"answer":{"n":9007199254740993}}`, `{"answer":{}}`},
		{bide.Wait{Kind: bide.WaitJob, Key: "j"}, `{"result":{"n":1}}`, `{"answer":{"result":1}}`},
		{bide.Wait{Kind: bide.WaitCustom}, `{"answer":null}`, `{}`},
	} {
		s, run, _ := wait(t, c.w)
		path := "/v1/waits/" + run.Waits[0].ID + "/answer"
		for body, status := range map[string]int{c.wrong: 422, "[1": 400} {
			if got := s.ask("approver", http.MethodPost, path, body); got.Status != status {
				t.Errorf("%s for a %s = %d %s, want %d", body, c.w.Kind, got.Status, got.Body, status)
			}
		}
		if got := s.ask("approver", http.MethodPost, path, c.good); got.Status != 200 {
			t.Errorf("%s for a %s = %d %s", c.good, c.w.Kind, got.Status, got.Body)
		}
	}
}
