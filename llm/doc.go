// Package llm asks language models, as durable effects.
//
// # One request, one answer, many providers
//
// A [Request] names its model as provider/model, as in "openai/gpt-5-mini" or
// "ollama/qwen3:8b"; a [Response] is an assistant's [Message] with what is known about how it
// came to be. Both are JSON. A [Provider] carries out one request with exactly one HTTP request;
// packages llm/openai, llm/anthropic and llm/scripted have them. [Models] finds the provider of a
// model, and sees to what all have in common.
//
//	models, err := llm.New(cfg, llm.Kinds{"openai": openai.Open, "gemini": openai.Open, "anthropic": anthropic.Open}, nil)
//	rt.Handle(llm.Type, models.Handle)
//
// # A call is an effect
//
//	return bide.Do(llm.Call(llm.Request{Model: "openai/gpt-5-mini", Messages: []llm.Message{
//		llm.User("Is this spam? " + text),
//	}}).As("verdict")).Then("act"), nil
//
// The response is the effect's result. What may pass, such as a rate limit or a stream
// that was cut, fails the attempt and is tried again by the effect's retry policy, no sooner than the
// provider asks; what cannot is permanent. The failure's code is the [Code] of the [Error].
//
// # A conversation is stored once
//
// [CallFrom] makes a call that refers to messages in the run's vars. Append its result to them,
// and every message is in the ledger once, however long the conversation gets.
//
// # Live, and on record
//
// While an answer comes, its deltas go to the subscribers of [Models.Deltas] and nowhere else. The
// ledger has the final response, with the tokens used and what they cost; [Spent] and [SpentByTree] add that up.
//
// Keys are references that a [Secrets] resolves for each request; their values are in no
// error, record or log. The package writes no logs. It knows no provider, no tool and no agent.
package llm
