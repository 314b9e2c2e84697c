// Package agent is the loop of a model with tools, as an ordinary durable workflow: think, act, observe, and
// think again, until the model has an answer or a limit is reached.
//
//	set, err := tool.New(&tool.Options{Policy: policy}, tools...)
//	a, err := agent.New(agent.Config{ID: "researcher", Spec: agent.Spec{Model: "openai/gpt-5-mini", System: "…"}, Tools: set})
//	agent.Handle(rt, store)                  // what agents need besides models and tools
//	rt.Handle(llm.Type, models.Handle)
//	set.Register(rt)
//	run, err := rt.Run(ctx, a.Workflow(), agent.Input{Task: "Who wrote this?"}, nil)
//
// The output of the run is an [Output]. Each call of the model is one effect, and so is each call of a tool; decisions
// about those, questions to the user and used-up budgets are waits of the run.
//
// # The conversation
//
// is at "messages" in the run's vars, and stored once: a call refers to it, an answer is appended to it, and the result of a tool
// stays where the call put it (llm.Messages reads all of it). When it grows beyond [Context].MaxTokens, it is cut or
// summarised, on record. With [Spec].Listen, [Tell] adds a message while the agent is at work.
//
// # Limits
//
// A call is made only if what it may use fits into what is left, and what it did use is counted after it, attempts that failed with an answer
// included. At a limit the agent gives a final answer without tools, or opens a budget wait ([Limits].OnReached). Calls under way when the
// time is over are given up. Agents that an agent calls are child runs, and draw on its limits as well as on their own.
//
// The package knows no provider and no store but what a store has of documents and mail.
package agent
