// Package flow makes workflows of documents: YAML or JSON that a person can
// write by hand and review in a diff.
//
//	doc, err := flow.Parse("refund.yaml", src)   // every fault at once: *flow.Error
//	wf := doc.Workflow()                         // its version is the hash of the document
//	flow.Handle(rt, nil)                         // http, exec, script, emit, env
//	run, err := flow.Start(ctx, rt, doc, input, nil)
//
// # A document
//
//	bide: 1
//	flow: refund
//	input: {type: object, properties: {order: {type: string}, amount: {type: number}}}
//	steps:
//	  - id: approve
//	    if: input.amount > 100
//	    ask: {prompt: "Refund {{ input.amount }} for {{ input.order }}?", choices: [approve, reject]}
//	  - id: pay
//	    if: approve == nil or approve.choice == "approve"
//	    http: {method: POST, url: "https://example.com/refunds", json: {order: "{{ input.order }}"}}
//	    retry: {attempts: 5}
//	output: {paid: "{{ pay.status == 200 }}"}
//
// A step has one of these members, which is its kind: set, then (with if), switch, for_each, parallel, repeat, ask,
// form, say, wait, wait_event, emit, job, flow, http, exec, script, llm, tool, agent, effect, fail, return, continue_as_new. The others
// refine it: id, if, next, retry, delivery, timeout, attempt_timeout, on_error, on_timeout. [Schema] is the whole of it.
//
// # Expressions
//
// Conditions are expressions; in other places {{ }} holds one. The language is that of expr-lang/expr in a
// profile without clock, chance and unbounded work; a member of nothing is nothing. Names are input, env,
// run, error, the ids of steps, the variables of set steps, and in loops item and index. A
// template that is one expression keeps the type of its value.
//
// A secret is a reference: {{ secret("token") }} in an http or exec step is looked up when the effect runs, through
// [Handlers], and is never in the ledger.
//
// # Loops and branches
//
// What goes one after the other is part of the run; a for_each with a concurrency and the branches of parallel are runs of
// their own, which wait independently. They cannot set variables of the outside; they give back an output. An item or branch
// without output gives an object of the results of its named steps.
//
// A flow that runs for years ends its run with continue_as_new now and then: the value is the input of a new run of the
// same document, which begins at the first step with an empty ledger, under the same key and session. What was sent to the
// old run and not taken goes to the new one, and whoever waits for the old one waits for the new one; see bide.ContinueAsNew.
//
// # Documents live in the store
//
// [Publish] keeps a document in the store under its name and hash.
// [Start] publishes before it starts. So every process can go on with a run: [ForRun] finds the document
// of a run and registers it, a [Library] registers what others publish, for workers.
//
// # Models, tools, agents
//
// An llm step is one llm.Call, whose result is an llm.Response: said(id) is its text, id.output what fits its schema. A tool step is
// a call, or several at once, for the tool.Set of the runtime; its result is a tool.Result. An agent step is a run of an agent.Agent.
//
// # Effects of your own
//
// An effect step names the type of an effect that a handler of the program carries out (bide.Runtime.Handle), or a remote worker of a server
// (package gateway/remote); its result is what that gives:
//
//   - id: small
//     effect: {type: resize, payload: {image: "{{ input.image }}", width: 200}}
//     retry: {attempts: 3}
//
// The package knows no store, no server and no terminal, no model and no tool. Cases are
// run by flow/flowtest, bundles are made and installed by flow/bundle.
package flow
