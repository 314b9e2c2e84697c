package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

func TestAnAgentThinksActsObservesAndFinishes(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Spec: agent.Spec{System: "Be brief."}, Tools: auto(lookup(map[string]string{"bide": "to wait"}))},
		func(turn int, req *llm.Request) (*llm.Response, error) {
			if turn == 1 {
				return wants("lookup", `{"word":"bide"}`, "lookup", `{"word":"xyz"}`, "nothing", `{}`)
			}
			last := req.Messages[len(req.Messages)-1]
			var results []string
			for _, p := range last.Parts {
				results = append(results, fmt.Sprintf("%s %v: %s", p.ID, p.IsError, p.ResultText()))
			}
			return says(strings.Join(results, "\n"))
		})
	run := d.run(agent.Input{Task: "What does bide mean?"})
	got := output(t, run)
	want := agent.Output{
		Answer: "c0 false: to wait\nc1 true: The tool failed: there is no such word\n" +
			`c2 true: The call was not made: there is no tool "nothing"; there are ["lookup"].`,
		ExitReason: agent.ExitAnswered,
		Used:       agent.Used{Iterations: 2, ToolCalls: 2, InputTokens: 20, OutputTokens: 10, Unpriced: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if got := d.nodes(); got != "begin think act observe think act finish" {
		t.Errorf("the run went %q", got)
	}
	req := d.model.asked[0]
	if req.System != "Be brief." || req.Messages[0].Text() != "What does bide mean?" || len(req.Tools) != 1 {
		t.Errorf("the first request is %+v", req)
	}
	d.replays()
}

func TestToolsOfTheSetThatTheAgentIsNotGivenCannotBeCalled(t *testing.T) {
	set := auto(lookup(map[string]string{"a": "b"}), tool.Func("pay", "", tool.Once, func(context.Context, struct{}) (string, error) {
		t.Error("the tool was called")
		return "", nil
	}))
	d := newDesk(t, desk{}, agent.Config{Tools: set}, func(turn int, req *llm.Request) (*llm.Response, error) {
		if turn == 1 {
			return wants("pay", `{}`)
		}
		return says(req.Messages[2].Parts[0].ResultText())
	})
	out := output(t, d.run(agent.Input{Spec: agent.Spec{Tools: []string{"look*"}}}))
	if !strings.Contains(out.Answer, `there is no tool "pay"; there are ["lookup"]`) {
		t.Errorf("answer = %q", out.Answer)
	}
}

func TestInputsThatCannotBeUsedSaySo(t *testing.T) {
	for want, in := range map[string]agent.Input{
		`tools[0]: there is no tool "no*"; there are ["lookup"]`: {Task: "x", Spec: agent.Spec{Tools: []string{"no*"}}},
		`model: "gpt" is not of the form provider/model`:         {Task: "x", Spec: agent.Spec{Model: "gpt"}},
		`limits.iterations: is negative`:                         {Task: "x", Spec: agent.Spec{Limits: &agent.Limits{Iterations: -1}}},
		`limits.on_reached: "stop" is not "answer" or "ask"`:     {Task: "x", Spec: agent.Spec{Limits: &agent.Limits{OnReached: "stop"}}},
		`context.mode: "forget" is not "trim" or "summarize"`:    {Task: "x", Spec: agent.Spec{Context: &agent.Context{Mode: "forget"}}},
		`approvals.ask[0]: "[" is not a pattern`:                 {Task: "x", Spec: agent.Spec{Approvals: &agent.Approvals{Ask: []string{"["}}}},
	} {
		d := newDesk(t, desk{}, agent.Config{Tools: auto(lookup(nil))}, nil)
		run := d.run(in)
		if run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, want) {
			t.Errorf("the run is %s with %v, want %q", run.Status, run.Error, want)
		}
		if reason := bide.Must(bide.Get[agent.ExitReason](run.Vars, "exit_reason")); reason != agent.ExitError {
			t.Errorf("exit_reason = %q", reason)
		}
	}
	d := newDesk(t, desk{}, agent.Config{}, nil)
	if run := bide.Must(d.rt.Run(ctx, d.agent.Workflow(), agent.Input{}, nil)); run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, "task: is empty") {
		t.Errorf("without a task the run is %s with %v", run.Status, run.Error)
	}
	_, err := agent.New(agent.Config{ID: "a b", Tools: auto(tool.Func("ask_user", "", tool.Once, func(context.Context, struct{}) (string, error) { return "", nil }))})
	if !errors.Is(err, bide.ErrInvalidInput) || !strings.Contains(err.Error(), `"a b" is not the name of an agent`) || !strings.Contains(err.Error(), `"ask_user" is a tool that agents have`) {
		t.Errorf("New = %v", err)
	}
}

func TestAModelThatCannotBeAskedFailsTheRunAndSaysSo(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{}, func(int, *llm.Request) (*llm.Response, error) {
		return nil, &llm.Error{Code: llm.CodeAuth, Message: "no such key"}
	})
	run := d.run(agent.Input{})
	if run.Status != bide.StatusFailed || run.Error.Code != string(llm.CodeAuth) {
		t.Errorf("the run is %s with %v", run.Status, run.Error)
	}
	if reason := bide.Must(bide.Get[agent.ExitReason](run.Vars, "exit_reason")); reason != agent.ExitError {
		t.Errorf("exit_reason = %q", reason)
	}
}

func TestAnAnswerFitsTheSchemaAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		d := newDesk(t, desk{}, agent.Config{Spec: agent.Spec{Output: &llm.Output{Schema: bide.JSON(`{"type":"object","required":["urgent"]}`)}}},
			func(int, *llm.Request) (*llm.Response, error) {
				if n++; n == 1 {
					return says("I think it is.")
				}
				return says(`{"urgent":true}`)
			})
		if run := d.run(agent.Input{}); run.Status != bide.StatusWaiting {
			t.Fatalf("the run is %s, want waiting for the next attempt", run.Status)
		}
		<-time.After(time.Minute)
		if out := output(t, bide.Must(d.rt.Tick(ctx, "r"))); string(out.Output) != `{"urgent":true}` {
			t.Errorf("output = %+v", out)
		}
	})
}

func TestTheAgentAsksTheUser(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Spec: agent.Spec{AskUser: true}}, func(turn int, req *llm.Request) (*llm.Response, error) {
		if turn == 1 {
			return wants("ask_user", `{"question":"Which one?","choices":["red","blue"]}`, "ask_user", `{"question":"Why?"}`, "ask_user", `{}`)
		}
		var said []string
		for _, p := range req.Messages[2].Parts {
			said = append(said, p.ResultText())
		}
		return says(strings.Join(said, "|"))
	})
	run := d.run(agent.Input{})
	if len(run.Waits) != 2 || run.Waits[0].Kind != bide.WaitQuestion || run.Waits[0].Message != "Which one?" {
		t.Fatalf("waits = %+v", run.Waits)
	}
	d.answer(run.Waits[1], "no reason")
	d.answer(run.Waits[0], "blue")
	out := output(t, bide.Must(d.rt.Tick(ctx, "r")))
	if !strings.HasPrefix(out.Answer, "blue|no reason|The call was not made: the arguments do not fit:") {
		t.Errorf("answer = %q", out.Answer)
	}
	d.replays()
}

func TestApprovalsOfTheSpecAreAskedForBeyondThePolicy(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all %v", all), func(t *testing.T) {
			ran := []string{}
			var mu sync.Mutex
			note := func(name string) tool.Tool {
				return tool.Func(name, "", tool.Once, func(context.Context, struct{}) (string, error) {
					mu.Lock()
					defer mu.Unlock()
					ran = append(ran, name)
					return name + " done", nil
				})
			}
			d := newDesk(t, desk{}, agent.Config{Tools: auto(note("safe"), note("risky"))}, func(turn int, req *llm.Request) (*llm.Response, error) {
				if turn == 1 {
					return wants("safe", `{}`, "risky", `{}`)
				}
				return says(req.Messages[2].Parts[0].ResultText() + ", " + req.Messages[2].Parts[1].ResultText())
			})
			run := d.run(agent.Input{Spec: agent.Spec{Approvals: &agent.Approvals{Ask: []string{"risk*"}, All: all}}})
			if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitToolApproval || run.Waits[0].Items[0].Name != "risky" {
				t.Fatalf("waits = %+v, want an approval of risky", run.Waits)
			}
			if want := []string{"safe"}; all && len(ran) > 0 || !all && cmp.Diff(want, ran) != "" {
				t.Errorf("before the decision %q ran", ran)
			}
			d.answer(run.Waits[0], bide.Approval{Approved: new(true)})
			if out := output(t, bide.Must(d.rt.Tick(ctx, "r"))); out.Answer != "safe done, risky done" {
				t.Errorf("answer = %q", out.Answer)
			}
			d.replays()
		})
	}
}

func TestMessagesCanBeAddedWhileItRuns(t *testing.T) {
	var d *desk
	d = newDesk(t, desk{}, agent.Config{Spec: agent.Spec{Listen: true}, Tools: auto(lookup(map[string]string{"a": "b"}))},
		func(turn int, req *llm.Request) (*llm.Response, error) {
			switch turn {
			case 1:
				for range 2 { // sent twice, it is there once
					if err := agent.Tell(ctx, d.rt, "r", "m1", "Hurry."); err != nil {
						t.Error(err)
					}
				}
				return wants("lookup", `{"word":"a"}`)
			case 2:
				if err := agent.Tell(ctx, d.rt, "r", "m2", "Also say bye."); err != nil {
					t.Error(err)
				}
				return says("hello")
			}
			var said []string
			for _, m := range req.Messages {
				if m.Role == llm.RoleUser {
					said = append(said, m.Text())
				}
			}
			return says(strings.Join(said, " "))
		})
	run := d.run(agent.Input{})
	for range 5 {
		if run.Status == bide.StatusWaiting {
			run = bide.Must(d.rt.Tick(ctx, "r"))
		}
	}
	if out := output(t, run); out.Answer != "Do it. Hurry. Also say bye." {
		t.Errorf("answer = %q after %s", out.Answer, d.nodes())
	}
	d.replays()
}

func TestMemoryOutlivesTheRun(t *testing.T) {
	var ids []string
	script := func(run int) func(int, *llm.Request) (*llm.Response, error) {
		return func(turn int, req *llm.Request) (*llm.Response, error) {
			result := ""
			if turn > 1 {
				result = req.Messages[len(req.Messages)-1].Parts[0].ResultText()
			}
			switch {
			case run == 1 && turn == 1:
				return wants("memory_note", `{"text":"Anna likes red"}`, "memory_note", `{"text":"Ben likes blue"}`)
			case run == 2 && turn == 1:
				return wants("memory_query", `{"words":"LIKES"}`)
			case run == 2 && turn == 2:
				var notes []agent.Memorized
				if err := jsonOf(result, &notes); err != nil || len(notes) != 2 || notes[0].Text != "Ben likes blue" {
					t.Errorf("notes = %s, %v", result, err)
				}
				for _, n := range notes {
					ids = append(ids, n.ID)
				}
				return wants("memory_compact", fmt.Sprintf(`{"text":"red and blue","ids":["%s"]}`, strings.Join(ids, `","`)))
			case run == 2 && turn == 3:
				return wants("memory_query", `{}`)
			}
			return says(result)
		}
	}
	spec := agent.Spec{Memory: "colours"}
	d := newDesk(t, desk{}, agent.Config{Spec: spec}, script(1))
	output(t, d.run(agent.Input{}))
	second := newDesk(t, desk{store: d.store}, agent.Config{ID: "b", Spec: spec}, script(2))
	run := bide.Must(second.rt.Run(ctx, second.agent.Workflow(), agent.Input{Task: "x"}, nil))
	var left []agent.Memorized
	if err := jsonOf(output(t, run).Answer, &left); err != nil || len(left) != 1 || left[0].Text != "red and blue" {
		t.Errorf("left = %+v, %v", left, err)
	}
}

func TestAnInputChangesItsOwnRunOnly(t *testing.T) {
	warm, cold := 1.0, 0.0
	d := newDesk(t, desk{}, agent.Config{Tools: auto(lookup(nil), other()), Spec: agent.Spec{
		System: "Be kind.", Tools: []string{"lookup"}, Temperature: &warm, Options: map[string]bide.JSON{"a": bide.JSON("1")}, Limits: &agent.Limits{Iterations: 7, Repeats: 3},
	}}, func(int, *llm.Request) (*llm.Response, error) { return says("hi") })
	run := func(in agent.Input) llm.Request {
		in.Task = "x"
		output(t, bide.Must(d.rt.Run(ctx, d.agent.Workflow(), in, nil)))
		return d.model.asked[len(d.model.asked)-1]
	}
	shape := func(r llm.Request) string {
		names := ""
		for _, t := range r.Tools {
			names += t.Name + " "
		}
		return fmt.Sprintf("%s %s%v %s", r.System, names, *r.Temperature, r.Options["a"])
	}
	before := shape(run(agent.Input{}))
	if got := shape(run(agent.Input{Spec: agent.Spec{System: "Be quick.", Tools: []string{"other"}, Temperature: &cold, Options: map[string]bide.JSON{"a": bide.JSON("2")}}})); got != "Be quick. other 0 2" {
		t.Errorf("with an input of its own: %q", got)
	}
	if got := shape(run(agent.Input{Spec: agent.Spec{Tools: []string{}}})); got != "Be kind. 1 1" {
		t.Errorf("without tools: %q", got)
	}
	if after := shape(run(agent.Input{})); after != before || before != "Be kind. lookup 1 1" {
		t.Errorf("before %q, after %q", before, after)
	}
}

func other() tool.Tool {
	return tool.Func("other", "", tool.ReadOnly, func(context.Context, struct{}) (string, error) { return "", nil })
}

// A server of tools may go while one of its calls waits for a decision.
func TestAToolThatGoesInTheMiddleOfATurnIsAnErrorForTheModel(t *testing.T) {
	store := mem.New()
	answers := func(turn int, req *llm.Request) (*llm.Response, error) {
		if turn == 1 {
			return wants("lookup", `{"word":"x"}`, "nothing", `{}`)
		}
		return says(req.Messages[len(req.Messages)-1].Parts[0].ResultText())
	}
	asks := func(tools ...tool.Tool) *tool.Set { return bide.Must(tool.New(nil, tools...)) }
	first := newDesk(t, desk{store: store}, agent.Config{Tools: asks(words())}, answers)
	run := first.run(agent.Input{})
	if len(run.Waits) != 1 {
		t.Fatalf("waits = %+v, want a decision", run.Waits)
	}
	other := tool.Func("other", "", tool.ReadOnly, func(context.Context, struct{}) (string, error) { return "", nil })
	second := newDesk(t, desk{store: store}, agent.Config{Tools: asks(other)}, answers)
	second.answer(run.Waits[0], bide.Approval{Approved: new(true)})
	if out := output(t, bide.Must(second.rt.Tick(ctx, "r"))); !strings.Contains(out.Answer, `there is no tool "lookup"`) {
		t.Errorf("output = %+v", out)
	}
}

func TestAnAnswerWithVeryManyCallsDoesNotEndTheRun(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, func(turn int, req *llm.Request) (*llm.Response, error) {
		if turn > 1 {
			parts := req.Messages[len(req.Messages)-1].Parts
			return says(fmt.Sprintf("%d: %s, %s", len(parts), parts[99].ResultText(), parts[100].ResultText()))
		}
		var calls []string
		for i := range 1100 {
			calls = append(calls, "lookup", fmt.Sprintf(`{"word":"w%d"}`, i))
		}
		return wants(calls...)
	})
	if out := output(t, d.run(agent.Input{})); out.Answer != "1100: about w99, The call was not made: only the first 100 calls of an answer are." || out.Used.ToolCalls != 100 {
		t.Errorf("output = %+v", out)
	}
}
