package web_test

import (
	"context"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
)

const refund = `bide: 1
flow: refund
title: Refund an order
version: "1"
input:
  type: object
  properties:
    order: {type: string, default: order-42, description: The number of the order}
    amount: {type: number, exclusiveMinimum: 0, default: 120}
    express: {type: boolean}
    currency: {type: string, enum: [EUR, USD], default: EUR}
  required: [order, amount]
  additionalProperties: false
steps:
  - id: approve
    ask:
      prompt: 'Refund {{ input.amount }} EUR for {{ input.order }}?'
      choices: [approve, reject]
  - if: approve.choice == "reject"
    then:
      - return: {paid: false}
  - id: note
    form:
      prompt: How was it paid?
      schema:
        type: object
        properties:
          receipt: {type: string, minLength: 3}
          paid: {type: number}
        required: [receipt]
  - say: Refunded.
output: {paid: true, receipt: "{{ note.data.receipt }}"}
`

// mailing asks for a call of a tool that a person decides about.
func mailing(set *tool.Set) bide.Workflow {
	calls := func(r *bide.Run) []tool.Call {
		args, _, _ := r.Vars.Raw("input") // always there
		return []tool.Call{{ID: "call_1", Name: "send_email", Args: string(args)}}
	}
	return bide.Workflow{ID: "mailing", Version: "1", Entry: "send", Nodes: bide.Nodes{
		"send": func(r *bide.Run) (bide.StepPlan, error) {
			plan, err := set.Plan(calls(r), "results")
			return plan.Then("report"), err
		},
		"report": func(r *bide.Run) (bide.StepPlan, error) {
			results, err := tool.Results(r.Vars, "results", calls(r))
			return bide.Complete(results), err
		},
	}}
}

// payment fails until the site is ready.
func payment() bide.Workflow {
	return bide.Workflow{ID: "payment", Version: "1", Entry: "pay", Nodes: bide.Nodes{
		"pay": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("flaky", nil).As("paid")).ThenCompleteWith("paid"), nil
		},
	}}
}

// counting takes a step for each event "go", three times.
func counting() bide.Workflow {
	return bide.Workflow{ID: "counting", Version: "1", Entry: "count", Nodes: bide.Nodes{
		"count": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Get[int](r.Vars, "n")
			if err != nil || n == 3 {
				return bide.Complete(n), err
			}
			return bide.Do(bide.WaitEvent("go", nil)).Set("n", n+1).Then("count"), nil
		},
	}}
}

// marching makes as many records as it is told to, two a step.
func marching() bide.Workflow {
	return bide.Workflow{ID: "marching", Version: "1", Entry: "step", Nodes: bide.Nodes{
		"step": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Get[int](r.Vars, "n")
			if err != nil {
				return bide.StepPlan{}, err
			}
			most, err := bide.Get[int](r.Vars, "input.steps")
			if err != nil || n >= most {
				return bide.Complete(n), err
			}
			return bide.Do(bide.Call("count", map[string]int{"from": n}).As("last")).Set("n", n+1).Then("step"), nil
		},
	}}
}

// talking asks a model.
func talking() bide.Workflow {
	return bide.Workflow{ID: "talking", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) {
			call := llm.Call(llm.Request{Model: "voice/it", System: "Be brief.", Messages: []llm.Message{llm.User("What is a ledger?")}})
			return bide.Do(call.As("answer")).ThenCompleteWith("answer"), nil
		},
	}}
}

// voice is a model that says what comes over a channel, until that is closed.
type voice chan string

// Generate implements llm.Provider.
func (v voice) Generate(ctx context.Context, _ *llm.Request, emit func(llm.Delta)) (*llm.Response, error) {
	asm := llm.NewAssembler(emit)
	for {
		select {
		case words, more := <-v:
			if !more {
				in, out := int64(12), int64(34)
				return &llm.Response{Message: asm.Message(), Finish: llm.FinishStop, Usage: llm.Usage{Input: &in, Output: &out}}, nil
			}
			if err := asm.Add("text", llm.Part{Type: llm.PartText, Text: words}); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// reporting has an effect that gives its input, and completes with that.
func reporting() bide.Workflow {
	return bide.Workflow{ID: "reporting", Version: "1", Entry: "report", Nodes: bide.Nodes{
		"report": func(r *bide.Run) (bide.StepPlan, error) {
			input, err := bide.Get[bide.JSON](r.Vars, "input")
			return bide.Do(bide.Call("give", input).As("files")).ThenCompleteWith("files"), err
		},
	}}
}

// parenting waits for a run of counting.
func parenting() bide.Workflow {
	return bide.Workflow{ID: "parenting", Version: "1", Entry: "raise", Nodes: bide.Nodes{
		"raise": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.StartRun("counting", nil, nil).As("child")).ThenCompleteWith("child"), nil
		},
	}}
}

// ordering asks for a form with a list of objects.
func ordering() bide.Workflow {
	schema := bide.JSON(`{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","minItems":1,"items":{"type":"object","title":"line","required":["item","count"],
		"properties":{"item":{"type":"string","minLength":2},"count":{"type":"integer","default":1},"gift":{"type":"boolean"},"tags":{"type":"array","items":{"type":"string"}}}}}}}`)
	return bide.Workflow{ID: "ordering", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Form("What shall be sent?", schema, nil).As("order")).ThenCompleteWith("order"), nil
		},
	}}
}
