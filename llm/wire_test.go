package llm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/anthropic"
	"github.com/bide-dev/bide/llm/openai"
)

// secret is a key that must turn up nowhere but in requests.
const secret = "sk-very-secret-0123456789"

var kinds = llm.Kinds{"openai": openai.Open, "gemini": openai.Open, "anthropic": anthropic.Open}

// dialect is how one protocol says what the tests need said.
type dialect struct {
	kind string
	// start begins a stream; the others are events within it.
	start     string
	text      func(text string) string
	reasoning func(text string) []string // whole, with what has to be given back
	callBegin func(i int, id, name string) string
	callArgs  func(i int, args string) string
	end       func(reason, usage string) []string // usage is "", "all" or "partial"
	reasons   map[llm.Finish]string
	filtered  []string // the end of an answer that a filter stopped
	errEvent  string   // an error in mid-stream: too much to do
	refusals  map[llm.Code]refusal
	// givenBack finds in a request what has to be given back with the reasoning.
	givenBack string
}

type refusal struct {
	status int
	body   string
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func chat(kind string) dialect {
	chunk := func(delta string) string {
		return `data: {"id":"r1","model":"m-served","choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}`
	}
	fail := func(status int, code, message string) refusal {
		return refusal{status, fmt.Sprintf(`{"error":{"message":%s,"type":"x","code":%s}}`, quote(message), quote(code))}
	}
	d := dialect{
		kind:  kind,
		start: chunk(`{"role":"assistant","content":""}`),
		text:  func(s string) string { return chunk(`{"content":` + quote(s) + `}`) },
		reasoning: func(s string) []string {
			return []string{chunk(`{"reasoning":` + quote(s) + `,"reasoning_details":[{"type":"reasoning.encrypted","index":0,"data":"SIG-77"}]}`)}
		},
		callBegin: func(i int, id, name string) string {
			return chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%s,"type":"function","function":{"name":%s,"arguments":""}}]}`, i, quote(id), quote(name)))
		},
		callArgs: func(i int, args string) string {
			return chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]}`, i, quote(args)))
		},
		end: func(reason, usage string) []string {
			out := []string{`data: {"id":"r1","choices":[{"index":0,"delta":{},"finish_reason":` + quote(reason) + `}]}`}
			switch usage {
			case "all":
				out = append(out, `data: {"id":"r1","choices":[],"usage":{"prompt_tokens":110,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":5}}}`)
			case "partial":
				out = append(out, `data: {"id":"r1","choices":[],"usage":{"completion_tokens":20}}`)
			}
			return append(out, `data: [DONE]`)
		},
		reasons:  map[llm.Finish]string{llm.FinishStop: "stop", llm.FinishToolCalls: "tool_calls", llm.FinishLength: "length"},
		errEvent: `data: {"error":{"message":"too much to do","type":"server_error","code":503}}`,
		refusals: map[llm.Code]refusal{
			llm.CodeContextTooLong: fail(400, "context_length_exceeded", "This model's maximum context length is 8192 tokens."),
			llm.CodeAuth:           fail(401, "invalid_api_key", "Incorrect API key provided: "+secret),
			llm.CodeContentFilter:  fail(400, "content_filter", "The prompt was filtered."),
			llm.CodeRateLimited:    fail(429, "rate_limit_exceeded", "Slow down."),
			llm.CodeOverloaded:     fail(503, "", "Overloaded."),
			llm.CodeQuota:          fail(429, "insufficient_quota", "You exceeded your current quota."),
			llm.CodeInvalidRequest: fail(404, "model_not_found", "There is no such model."),
		},
		givenBack: `"data":"SIG-77"`,
	}
	d.filtered = d.end("content_filter", "")
	if kind == "gemini" { // whose errors are a list
		for code, r := range d.refusals {
			r.body = "[" + r.body + "]"
			d.refusals[code] = r
		}
	}
	return d
}

func messages() dialect {
	event := func(typ, rest string) string {
		return fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}", typ, typ, rest)
	}
	begin := func(i int, block string) string {
		return event("content_block_start", fmt.Sprintf(`,"index":%d,"content_block":%s`, i, block))
	}
	delta := func(i int, d string) string {
		return event("content_block_delta", fmt.Sprintf(`,"index":%d,"delta":%s`, i, d))
	}
	fail := func(status int, typ, message string) refusal {
		return refusal{status, fmt.Sprintf(`{"type":"error","error":{"type":%s,"message":%s}}`, quote(typ), quote(message))}
	}
	end := func(reason, usage string) []string {
		u := map[string]string{"": `{}`, "all": `{"output_tokens":20,"output_tokens_details":{"thinking_tokens":5}}`, "partial": `{"output_tokens":20}`}[usage]
		return []string{event("message_delta", `,"delta":{"stop_reason":`+quote(reason)+`},"usage":`+u), event("message_stop", "")}
	}
	return dialect{
		kind:  "anthropic",
		start: event("message_start", `,"message":{"id":"r1","type":"message","role":"assistant","model":"m-served","content":[],"usage":{"output_tokens":1}}`),
		text:  func(s string) string { return delta(50, `{"type":"text_delta","text":`+quote(s)+`}`) },
		reasoning: func(s string) []string {
			return []string{begin(0, `{"type":"thinking","thinking":"","signature":""}`),
				delta(0, `{"type":"thinking_delta","thinking":`+quote(s)+`}`), delta(0, `{"type":"signature_delta","signature":"SIG-77"}`)}
		},
		callBegin: func(i int, id, name string) string {
			return begin(100+i, fmt.Sprintf(`{"type":"tool_use","id":%s,"name":%s,"input":{}}`, quote(id), quote(name)))
		},
		callArgs: func(i int, args string) string {
			return delta(100+i, `{"type":"input_json_delta","partial_json":`+quote(args)+`}`)
		},
		end:      end,
		reasons:  map[llm.Finish]string{llm.FinishStop: "end_turn", llm.FinishToolCalls: "tool_use", llm.FinishLength: "max_tokens"},
		filtered: end("refusal", ""),
		errEvent: event("error", `,"error":{"type":"overloaded_error","message":"too much to do"}`),
		refusals: map[llm.Code]refusal{
			llm.CodeContextTooLong: fail(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
			llm.CodeAuth:           fail(401, "authentication_error", "invalid x-api-key "+secret),
			llm.CodeContentFilter:  fail(400, "invalid_request_error", "Output blocked by content filtering policy"),
			llm.CodeRateLimited:    fail(429, "rate_limit_error", "Slow down."),
			llm.CodeOverloaded:     fail(529, "overloaded_error", "Overloaded."),
			llm.CodeQuota:          fail(400, "invalid_request_error", "Your credit balance is too low."),
			llm.CodeInvalidRequest: fail(404, "not_found_error", "model: nope"),
		},
		givenBack: `"signature":"SIG-77"`,
	}
}

// full is the usage that end gives with "all", which for the Messages API also needs the start of the stream.
func (d dialect) startCounted() string {
	return strings.Replace(d.start, `"usage":{"output_tokens":1}`, `"usage":{"input_tokens":100,"cache_read_input_tokens":10,"cache_creation_input_tokens":0,"output_tokens":1}`, 1)
}

func (d dialect) answer(text string) []string {
	return append([]string{d.startCounted(), d.text(text)}, d.end(d.reasons[llm.FinishStop], "all")...)
}

// server is a fake provider. Each request takes the next script; the last serves all that follow.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []string
	keys    []string
	scripts []http.HandlerFunc
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies
}

func serve(t *testing.T, scripts ...http.HandlerFunc) *server {
	t.Helper()
	s := &server{scripts: scripts}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		s.mu.Lock()
		n := min(len(s.bodies), len(s.scripts)-1)
		s.bodies = append(s.bodies, string(body))
		s.keys = append(s.keys, r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"))
		s.mu.Unlock()
		s.scripts[n](w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// events answers with a stream.
func events(list ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range list {
			fmt.Fprintf(w, "%s\n\n", e)
			w.(http.Flusher).Flush()
		}
	}
}

// refuses answers with an error.
func refuses(r refusal, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(r.status)
		fmt.Fprint(w, r.body)
	}
}

// Models of a provider "p" at a server, which is what the model "p/m" is of.
func modelsAt(t *testing.T, kind string, s *server, opts *llm.Options) *llm.Models {
	t.Helper()
	t.Setenv("BIDE_TEST_KEY", secret)
	cfg := llm.Config{Providers: map[string]llm.ProviderConfig{"p": {Kind: kind, BaseURL: s.URL, Key: "env:BIDE_TEST_KEY"}}}
	m, err := llm.New(cfg, kinds, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// eachProvider runs a test for every provider with a protocol.
func eachProvider(t *testing.T, test func(t *testing.T, d dialect)) {
	for _, d := range []dialect{chat("openai"), chat("gemini"), messages()} {
		t.Run(d.kind, func(t *testing.T) { test(t, d) })
	}
}
