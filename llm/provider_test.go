package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/google/go-cmp/cmp"
)

func ask(text string) llm.Request {
	return llm.Request{Model: "p/m", Messages: []llm.Message{llm.User(text)}}
}

func count(n int64) *int64 { return &n }

// codeOf is the code of an error, or empty.
func codeOf(err error) llm.Code {
	var e *llm.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestAnAnswerStreamsAndIsReturnedWhole(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		script := append([]string{d.startCounted(), d.text("Hel"), d.text("lo")}, d.end(d.reasons[llm.FinishStop], "all")...)
		s := serve(t, events(script...))
		var live strings.Builder
		got, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), func(d llm.Delta) { live.WriteString(d.Part.Text) })
		if err != nil {
			t.Fatal(err)
		}
		want := &llm.Response{Message: llm.Assistant("Hello"), Model: "p/m", Provider: llm.ProviderInfo{Kind: d.kind}, ServedModel: "m-served", ID: "r1", Finish: llm.FinishStop,
			Usage: llm.Usage{Input: count(110), Output: count(20), CacheRead: count(10), Reasoning: count(5)}}
		if d.kind == "anthropic" {
			want.Usage.CacheWrite = count(0)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if live.String() != "Hello" {
			t.Errorf("the deltas are %q", live.String())
		}
		if n := len(s.requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		if len(s.keys) != 1 || !strings.HasSuffix(s.keys[0], secret) {
			t.Errorf("the key did not reach the server: %q", s.keys)
		}
	})
}

func TestEachFailureHasItsCodeAndIsNotTriedAgainInOneAttempt(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		for code, r := range d.refusals {
			t.Run(string(code), func(t *testing.T) {
				s := serve(t, refuses(r, "Retry-After", "0"))
				_, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil)
				var e *llm.Error
				if !errors.As(err, &e) || e.Code != code || e.Status != r.status || e.Model != "p/m" {
					t.Fatalf("Generate = %#v, want code %s and status %d", err, code, r.status)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error has the key in it: %v", err)
				}
				if n := len(s.requests()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				raw, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				var back llm.Error
				if err := json.Unmarshal(raw, &back); err != nil || back != *e {
					t.Errorf("after JSON: %+v, want %+v (%v)", back, *e, err)
				}
			})
		}
	})
}

func TestAStreamWithoutATerminalSignalIsAnError(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		hangUp := func(w http.ResponseWriter, r *http.Request) {
			events(d.start, d.text("half"))(w, r)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		}
		whole := d.answer("cut")
		for name, script := range map[string]http.HandlerFunc{
			"ends early":       events(d.start, d.text("half")),
			"ends mid event":   events(d.start, d.text("half"), strings.TrimRight(d.text("other"), "}")),
			"hangs up":         hangUp,
			"nothing":          events(),
			"not JSON":         events(d.start, strings.Replace(d.text("x"), "{", "<", 1)),
			"no last event":    events(whole[:2]...),
			"not a stream":     refuses(refusal{200, `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`}),
			"error in between": events(d.start, d.text("half"), d.errEvent),
		} {
			t.Run(name, func(t *testing.T) {
				s := serve(t, script)
				resp, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil)
				want := llm.CodeProtocol
				if name == "error in between" {
					want = llm.CodeOverloaded
				}
				if codeOf(err) != want || resp != nil {
					t.Errorf("Generate = %v, %v, want code %s", resp, err, want)
				}
				if n := len(s.requests()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			})
		}
	})
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		s := serve(t, events())
		s.Close()
		if _, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil); codeOf(err) != llm.CodeUnavailable {
			t.Errorf("Generate = %v, want code %s", err, llm.CodeUnavailable)
		}
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		other := serve(t, events(d.answer("stolen")...))
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		if resp, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil); codeOf(err) != llm.CodeInvalidRequest {
			t.Errorf("Generate = %v, %v, want code %s", resp, err, llm.CodeInvalidRequest)
		}
		if n := len(other.requests()); n != 0 {
			t.Errorf("the key went to another server")
		}
	})
}

func TestAnAnswerThatAFilterStopsIsNoAnswer(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		s := serve(t, events(append([]string{d.start, d.text("I ")}, d.filtered...)...))
		if resp, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil); codeOf(err) != llm.CodeContentFilter {
			t.Errorf("Generate = %v, %v, want code %s", resp, err, llm.CodeContentFilter)
		}
	})
}

func TestCancellingIsDistinctAndStopsTheRequest(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		gone := make(chan struct{})
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			events(d.start, d.text("half"))(w, r)
			<-r.Context().Done()
			close(gone)
		})
		why := errors.New("the user left")
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := modelsAt(t, d.kind, s, nil).Generate(ctx, ask("hi"), func(llm.Delta) { cancel(why) })
		if codeOf(err) != llm.CodeCancelled || !errors.Is(err, why) {
			t.Errorf("Generate = %v, want code %s because %v", err, llm.CodeCancelled, why)
		}
		<-gone
	})
}

func TestInterleavedToolCallsAssemble(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		script := []string{d.start, d.callBegin(0, "c1", "add"), d.callBegin(1, "c2", "say"), d.callArgs(1, `{"text":"a`), d.callArgs(0, `{"x":9007199254740993,`),
			d.callArgs(1, `, b"}`), d.callArgs(0, `"y":1}`), d.callBegin(2, "c3", "now"), d.callBegin(3, "c4", "broken"), d.callArgs(3, `{"x":`)}
		s := serve(t, events(append(script, d.end(d.reasons[llm.FinishToolCalls], "")...)...))
		got, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil)
		if err != nil {
			t.Fatal(err)
		}
		call := func(id, name, args, text string) llm.Part {
			p := llm.Part{Type: llm.PartToolCall, ID: id, Name: name, ArgsText: text}
			if args != "" {
				p.Args = bide.JSON(args)
			}
			return p
		}
		want := []llm.Part{call("c1", "add", `{"x":9007199254740993,"y":1}`, ""), call("c2", "say", `{"text":"a, b"}`, ""), call("c3", "now", `{}`, ""), call("c4", "broken", "", `{"x":`)}
		if diff := cmp.Diff(want, got.ToolCalls()); diff != "" {
			t.Error(diff)
		}
		if got.Finish != llm.FinishToolCalls {
			t.Errorf("finish is %q", got.Finish)
		}
	})
}

func TestArgumentsThatAreNoJSONObjectAreKeptAsText(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		for _, args := range []string{`[1]`, `"x"`, `x=1`, `{"a":1,"a":2}`, `{"a":1} {"b":2}`, `{"a":NaN}`, `{"a":"\ud800"}`} {
			s := serve(t, events(append([]string{d.start, d.callBegin(0, "c1", "f"), d.callArgs(0, args)}, d.end(d.reasons[llm.FinishToolCalls], "")...)...))
			got, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c := got.ToolCalls(); len(c) != 1 || c[0].Args != nil || c[0].ArgsText != args {
				t.Errorf("arguments %s became %+v", args, c)
			}
		}
	})
}

func TestACallWithoutANameIsNoAnswer(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		s := serve(t, events(append([]string{d.start, d.callBegin(0, "c1", ""), d.callArgs(0, `{"x":1}`)}, d.end(d.reasons[llm.FinishToolCalls], "all")...)...))
		got, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil)
		if codeOf(err) != llm.CodeProtocol || !strings.Contains(err.Error(), `{"x":1}`) || got == nil {
			t.Errorf("Generate = %v, %v; want code %s, and what was used", got, err, llm.CodeProtocol)
		}
	})
}

func TestCallsWithoutAnIDGetTheSameOneEveryTime(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		ids := func(text string) (out []string) {
			s := serve(t, events(append([]string{d.start, d.callBegin(0, "", "f"), d.callBegin(1, "", "f"), d.callBegin(2, "c", "f"), d.callBegin(3, "c", "g")}, d.end(d.reasons[llm.FinishToolCalls], "")...)...))
			got, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range got.ToolCalls() {
				out = append(out, c.ID)
			}
			return out
		}
		first, again, other := ids("hi"), ids("hi"), ids("ho")
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("the ids changed: %s", diff)
		}
		if len(first) != 4 || first[0] == "" || first[0] == first[1] || first[2] != "c" || first[3] == "c" || first[0] == other[0] {
			t.Errorf("ids %q, of another request %q", first, other)
		}
	})
}

func TestMissingUsageIsUnknown(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		for usage, want := range map[string]llm.Usage{"": {}, "partial": {Output: count(20)}} {
			s := serve(t, events(append([]string{d.start, d.text("hi")}, d.end(d.reasons[llm.FinishStop], usage)...)...))
			got, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), ask("hi"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Usage); diff != "" || got.Usage.Known() || got.Cost != nil {
				t.Errorf("usage %q: cost %v, %s", usage, got.Cost, diff)
			}
		}
	})
}

func TestReasoningGoesBackToItsProviderAndToNoOther(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		script := append(append([]string{d.start}, d.reasoning("hm, 2+2")...), d.callBegin(0, "c1", "add"), d.callArgs(0, `{"x":2}`))
		s := serve(t, events(append(script, d.end(d.reasons[llm.FinishToolCalls], "")...)...), events(d.answer("4")...))
		m := modelsAt(t, d.kind, s, nil)
		first, err := m.Generate(t.Context(), ask("hi"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if first.Reasoning() != "hm, 2+2" {
			t.Errorf("the reasoning is %q", first.Reasoning())
		}
		raw, err := json.Marshal(first) // as a ledger keeps it
		if err != nil {
			t.Fatal(err)
		}
		var kept llm.Message
		if err := json.Unmarshal(raw, &kept); err != nil {
			t.Fatal(err)
		}
		result, err := llm.ToolResult("c1", "add", 4, false)
		if err != nil {
			t.Fatal(err)
		}
		next := ask("hi")
		next.Messages = append(next.Messages, kept, llm.ToolResults(result))
		if _, err := m.Generate(t.Context(), next, nil); err != nil {
			t.Fatal(err)
		}
		if body := s.requests()[1]; !strings.Contains(body, d.givenBack) || !strings.Contains(body, "c1") {
			t.Errorf("the second request has no %s: %s", d.givenBack, body)
		}
		for _, other := range []dialect{chat("openai"), messages()} {
			if other.kind == d.kind {
				continue
			}
			s := serve(t, events(other.answer("4")...))
			if _, err := modelsAt(t, other.kind, s, nil).Generate(t.Context(), next, nil); err != nil {
				t.Fatal(err)
			}
			if body := s.requests()[0]; strings.Contains(body, "SIG-77") {
				t.Errorf("%s was sent what %s alone understands: %s", other.kind, d.kind, body)
			}
		}
	})
}

func TestWhatARequestAsksForReachesTheServer(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		s := serve(t, events(d.answer("{}")...))
		half := 0.5
		req := llm.Request{Model: "p/m", System: "be brief", MaxTokens: 77, Temperature: &half, Stop: []string{"END"}, Reasoning: "low", ToolChoice: "none",
			Messages: []llm.Message{llm.User("see", "https://example.com/a.png", "data:image/png;base64,QUJD")},
			Tools:    []llm.Tool{{Name: "add", Description: "adds", Schema: bide.JSON(`{"type":"object","properties":{"x":{"type":"integer"}},"additionalProperties":false}`)}},
			Output:   &llm.Output{Schema: bide.JSON(`{"type":"object","title":"T-9"}`)},
			Options:  map[string]bide.JSON{"service_tier": bide.JSON(`"flex-5"`)}}
		if _, err := modelsAt(t, d.kind, s, nil).Generate(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		body := s.requests()[0]
		for _, want := range []string{`"m"`, "be brief", "77", "0.5", "END", `"low"`, `"none"`, "https://example.com/a.png", "QUJD", `"add"`, "adds", "additionalProperties", "T-9", "flex-5", `"stream":true`} {
			if !strings.Contains(body, want) {
				t.Errorf("the request has no %s: %s", want, body)
			}
		}
	})
}

func TestGenerateRefusesWhatCannotBeSent(t *testing.T) {
	s := serve(t, events())
	m := modelsAt(t, "openai", s, nil)
	for want, req := range map[string]llm.Request{
		`there is no provider "q"`:    {Model: "q/m", Messages: []llm.Message{llm.User("x")}},
		`does not name a model`:       {Model: "m", Messages: []llm.Message{llm.User("x")}},
		`messages: there are none`:    {Model: "p/m"},
		`"system" is none of`:         {Model: "p/m", Messages: []llm.Message{{Role: "system"}}},
		`needs a tool_call_id`:        {Model: "p/m", Messages: []llm.Message{llm.ToolResults(llm.Part{Type: llm.PartToolResult})}},
		`"big" is none of none, low`:  {Model: "p/m", Reasoning: "big", Messages: []llm.Message{llm.User("x")}},
		`output.schema`:               {Model: "p/m", Output: &llm.Output{Schema: bide.JSON(`{"type":7}`)}, Messages: []llm.Message{llm.User("x")}},
		`not at an http, https or da`: {Model: "p/m", Messages: []llm.Message{llm.User("x", "artifact:1")}},
	} {
		if _, err := m.Generate(t.Context(), req, nil); codeOf(err) != llm.CodeInvalidRequest || !strings.Contains(err.Error(), want) {
			t.Errorf("Generate = %v, want %q", err, want)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestPicturesElsewhereAreResolved(t *testing.T) {
	s := serve(t, events(chat("openai").answer("a cat")...))
	m := modelsAt(t, "openai", s, &llm.Options{Images: func(_ context.Context, url string) (string, []byte, error) { return "image/gif", []byte(url), nil }})
	req := llm.Request{Model: "p/m", Messages: []llm.Message{llm.User("see", "artifact:1")}}
	if _, err := m.Generate(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	if body := s.requests()[0]; !strings.Contains(body, "data:image/gif;base64,YXJ0aWZhY3Q6MQ==") {
		t.Errorf("the picture is not in the request: %s", body)
	}
	if req.Messages[0].Parts[1].Image.URL != "artifact:1" {
		t.Error("the caller's message was changed")
	}
}

// A local server is often given a word for a key; what a model says is not changed for that.
func TestAKeyThatIsAWordDoesNotChangeAnswers(t *testing.T) {
	d := chat("openai")
	s := serve(t, events(d.answer("lm-studio is a program")...))
	m := modelsAt(t, "openai", s, nil)
	t.Setenv("BIDE_TEST_KEY", "lm-studio")
	b := newBench(t, mem.New(), m)
	if run := b.run(once(llm.Call(ask("hi"))), nil); !strings.Contains(string(run.Output), "lm-studio is a program") {
		t.Errorf("the answer became %s", run.Output)
	}
}

func TestAPanicEndsTheAttemptForSubscribersToo(t *testing.T) {
	s := serve(t, events(chat("openai").answer("x")...))
	m := modelsAt(t, "openai", s, &llm.Options{Images: func(context.Context, string) (string, []byte, error) { panic("no such file") }})
	b := newBench(t, mem.New(), m)
	sub := m.Deltas().Subscribe("r")
	defer sub.Close()
	req := llm.Request{Model: "p/m", Messages: []llm.Message{llm.User("see", "artifact:1")}}
	run, err := b.Run(t.Context(), once(llm.Call(req).WithRetry(bide.RetryPolicy{Attempts: 1})), nil, &bide.StartOptions{RunID: "r"})
	if err != nil || run.Status != bide.StatusFailed || run.Error.Code != bide.FailurePanic {
		t.Fatalf("the run is %+v, %v", run, err)
	}
	for e := range sub.Events(t.Context()) {
		if e.Kind == llm.EventEnded {
			if e.Error == nil {
				t.Error("subscribers were told that the answer is complete")
			}
			break
		}
	}
}

// Some servers number every call 0, or none, and send each whole.
func TestCallsWithoutProperNumbersStayApart(t *testing.T) {
	d := chat("gemini")
	part := func(index, id, args string) string {
		return `data: {"choices":[{"index":0,"delta":{"tool_calls":[{` + index + `"id":"` + id + `","function":{"name":"f","arguments":"` + args + `"},"extra_content":{"google":{"thought_signature":"SIG-` + id + `"}}}]}}]}`
	}
	for _, index := range []string{`"index":0,`, ``} {
		s := serve(t, events(append([]string{part(index, "a", "{}"), part(index, "b", "{}")}, d.end("stop", "")...)...), events(d.answer("ok")...))
		m := modelsAt(t, "gemini", s, nil)
		got, err := m.Generate(t.Context(), ask("hi"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if c := got.ToolCalls(); len(c) != 2 || c[0].ID != "a" || c[1].ID != "b" || got.Finish != llm.FinishToolCalls {
			t.Errorf("with %q: %+v, finish %s", index, c, got.Finish)
		}
		next := ask("hi")
		next.Messages = append(next.Messages, got.Message)
		if _, err := m.Generate(t.Context(), next, nil); err != nil {
			t.Fatal(err)
		}
		for _, sig := range []string{"SIG-a", "SIG-b"} {
			if !strings.Contains(s.requests()[1], sig) {
				t.Errorf("%s did not go back", sig)
			}
		}
	}
}

func TestAKeyThatCannotBeHadIsAnAuthErrorThatNamesTheReference(t *testing.T) {
	eachProvider(t, func(t *testing.T, d dialect) {
		s := serve(t, events(d.answer("x")...))
		m := modelsAt(t, d.kind, s, nil)
		t.Setenv("BIDE_TEST_KEY", "")
		if _, err := m.Generate(t.Context(), ask("hi"), nil); codeOf(err) != llm.CodeAuth || !strings.Contains(err.Error(), "BIDE_TEST_KEY") {
			t.Errorf("Generate = %v, want code %s and the name of the variable", err, llm.CodeAuth)
		}
		if n := len(s.requests()); n != 0 {
			t.Errorf("%d requests were made without a key", n)
		}
	})
}
