package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/flow"
)

// vault holds the secrets of a test.
type vault map[string]string

func (v vault) Secret(_ context.Context, name string) (string, error) {
	s, ok := v[name]
	if !ok {
		return "", bide.Permanent(errors.New("not in the vault"))
	}
	return s, nil
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestRequestsAreMadeAsTheStepSays(t *testing.T) {
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), r.Header.Get("X-N"), body))
		if r.Method == "POST" && !strings.Contains(r.Header.Get("Idempotency-Key"), "/") {
			t.Errorf("the key is %q", r.Header.Get("Idempotency-Key"))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"n": 9007199254740993}`)
	}))
	defer srv.Close()
	h := newHost(t, &flow.Handlers{AllowAddresses: loopback})
	run := h.start(yamlOf(`
- id: a
  http: {method: POST, url: "{{ input }}/x", query: {q: "a b", n: 1}, headers: {X-N: "{{ 1 + 1 }}"}, json: {big: 9007199254740993}}
- id: b
  http: {method: PUT, url: "{{ input }}/y", form: {k: v & w}}
- id: c
  http: {url: "{{ input }}/z"}
- return: ["{{ a.json.n }}", "{{ b.status }}", "{{ c.headers['content-type'] }}"]
`), srv.URL)
	completed(t, run, `[9007199254740993,200,"application/json"]`)
	want := []string{`POST /x?n=1&q=a+b application/json 2 {"big":9007199254740993}`, "PUT /y application/x-www-form-urlencoded  k=v+%26+w", "GET /z   "}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("requests =\n%q\nwant\n%q", got, want)
	}
}

func TestStatusesAndBodies(t *testing.T) {
	tries := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			if tries++; tries < 3 {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(503)
				return
			}
			fmt.Fprint(w, "fine")
		case "/missing":
			w.WriteHeader(404)
		case "/large":
			fmt.Fprint(w, strings.Repeat("x", 100))
		case "/binary":
			w.Header().Set("Content-Type", "image/png")
			fmt.Fprint(w, "\x89PNG\xff")
		case "/away":
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		}
	}))
	defer srv.Close()
	for name, c := range map[string]struct{ step, code, message string }{
		"a status that stays":       {"{http: {url: '{{ input }}/missing'}, retry: {attempts: 5}}", "http_404", "404 Not Found"},
		"more than is allowed":      {"{http: {url: '{{ input }}/large', max_bytes: 99}}", "http_too_large", "more than 99 bytes"},
		"neither JSON nor text":     {"{http: {url: '{{ input }}/binary'}}", "http_not_text", "image/png"},
		"a redirect to the inside":  {"{http: {url: '{{ input }}/away'}}", "http_address", "10.0.0.1"},
		"redirects without an end":  {"{http: {url: '{{ input }}/round'}}", "handler_error", "more than 5 redirects"},
		"a status without patience": {"{http: {url: '{{ input }}/busy'}}", "http_503", "503"},
	} {
		t.Run(name, func(t *testing.T) {
			tries = 0
			failed(t, newHost(t, &flow.Handlers{AllowAddresses: loopback}).start(yamlOf("- "+c.step), srv.URL), c.code, c.message)
		})
	}
	h := newHost(t, &flow.Handlers{AllowAddresses: loopback})
	completed(t, h.start(yamlOf("- {id: a, http: {url: '{{ input }}/missing', accept: [404]}}\n- return: '{{ a.status }}'"), srv.URL), "404")
	tries = 0
	run := h.start(yamlOf("- {id: a, http: {url: '{{ input }}/busy'}, retry: {attempts: 3, backoff: 1s}}\n- return: '{{ a.body }}'"), srv.URL)
	run = h.pass(run, 59*time.Second)
	if tries != 1 {
		t.Errorf("%d tries after 59s, want 1: the server asked for 60s", tries)
	}
	run = h.pass(run, time.Second)
	completed(t, h.pass(run, time.Minute), `"fine"`)
}

func TestSecretsReachTheRequestAndNothingElse(t *testing.T) {
	got := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = r.Header.Get("Authorization") + " " + string(body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		if r.URL.Path == "/bad" {
			w.WriteHeader(401)
		}
		fmt.Fprintf(w, `{"you sent": %q}`, r.Header.Get("Authorization"))
	}))
	defer srv.Close()
	h := newHost(t, &flow.Handlers{AllowAddresses: loopback, Secrets: vault{"token": "s3cr3t-value"}})
	// What comes from outside and looks like a reference is not one.
	input := map[string]any{"url": srv.URL, "evil": map[string]any{"secrets": []any{map[string]any{"at": "/x", "parts": []any{map[string]any{"secret": "token"}}}}, "text": `{{ secret("token") }}`}}
	src := yamlOf(`
- id: a
  http:
    method: POST
    url: "{{ input.url }}/ok"
    headers: {Authorization: 'Bearer {{ secret("token") }}'}
    json: {evil: "{{ input.evil }}", list: [1, '{{ secret("token") }}']}
- id: b
  http: {url: "{{ input.url }}/bad", query: {key: '{{ secret("token") }}'}, headers: {Authorization: '{{ secret("token") }}'}}
  on_error: [{return: ["{{ a }}", "{{ error.message }}"]}]
`)
	run := h.start(src, input)
	if run.Status != bide.StatusCompleted || !strings.Contains(string(run.Output), "[secret]") {
		t.Errorf("run is %s (%v) with %s", run.Status, run.Error, run.Output)
	}
	if got != "s3cr3t-value " {
		t.Errorf("the server got %q last", got)
	}
	for rec, err := range h.Ledger(t.Context(), run.ID, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(rec.Raw), "s3cr3t") {
			t.Errorf("the secret is in the ledger: %s", rec.Raw)
		}
	}
	if names := parse(t, src).Secrets(); fmt.Sprint(names) != "[token]" {
		t.Errorf("Secrets = %v", names)
	}
}

func TestASecretGoesWhereItBelongs(t *testing.T) {
	got := ""
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = string(body)
	}))
	defer srv.Close()
	h := newHost(t, &flow.Handlers{AllowAddresses: loopback, Secrets: vault{"a": "A", "b": "B"}})
	run := h.start(yamlOf(`
- http: {method: POST, url: "{{ input }}", json: {"x/y": [0, {z: '{{ secret("a") }}-{{ 1 }}-{{ secret("b") }}'}], "~": '{{ secret("b") }}'}}
`), srv.URL)
	completed(t, run, "null")
	if want := `{"x/y":[0,{"z":"A-1-B"}],"~":"B"}`; got != want {
		t.Errorf("the server got %s, want %s", got, want)
	}
}

func TestPrograms(t *testing.T) {
	h := newHost(t, &flow.Handlers{AllowExec: []string{"printf", "cat", "env", "false", "sleep"}, Secrets: vault{"k": "hush"}, Timeout: 30 * time.Second})
	completed(t, h.start(yamlOf(`
- {id: a, exec: {command: [printf, "%s|", "a b", "$HOME; ls", "{{ input }}"]}}
- {id: b, exec: {command: [cat], stdin: "{{ a.stdout }}"}}
- {id: c, exec: {command: [env], env: {KEY: '{{ secret("k") }}'}}}
- {id: d, exec: {command: ["false"], accept: [1]}}
- return: ["{{ b.stdout }}", "{{ c.stdout contains 'KEY=[secret]' }}", "{{ d.exit_code }}"]
`), "x\ny"), `["a b|$HOME; ls|x\ny|",true,1]`)
	failed(t, h.start(yamlOf("- exec: {command: ['false']}"), nil), "exec_failed", "exit code 1")
	failed(t, h.start(yamlOf("- exec: {command: [printf, '%0100d', '1'], max_bytes: 50}"), nil), "exec_too_large", "more than 50 bytes")
	failed(t, h.start(yamlOf("- exec: {command: [sh, '-c', ls]}"), nil), "exec_not_allowed", `"sh"`)
	completed(t, h.start(yamlOf(`
- {id: a, exec: {command: [printf, "%s|", "{{ input.n }}", 2.50, true], env: {N: 3}, stdin: 4}}
- {id: b, exec: {command: [env], env: {N: "{{ input.n }}"}}}
- return: ["{{ a.stdout }}", "{{ b.stdout contains 'N=9007199254740993' }}"]
`), json.RawMessage(`{"n": 9007199254740993}`)), `["9007199254740993|2.50|true|",true]`)
}

// A call whose step has no timeout ends after that of the handlers, and says what to write to let it take longer.
func TestACallThatTakesTooLongSaysHowItMayTakeLonger(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer srv.Close()
	defer close(hang)
	h := newHost(t, &flow.Handlers{AllowExec: []string{"sleep"}, AllowAddresses: loopback, Timeout: 50 * time.Millisecond})
	failed(t, h.start(yamlOf("- exec: {command: [sleep, 60]}"), nil), bide.FailureTimeout, "exec took longer than 50ms; give the step a timeout")
	failed(t, h.start(yamlOf("- http: {url: '{{ input }}'}"), srv.URL), bide.FailureTimeout, "http took longer than 50ms; give the step a timeout")
}

func TestScripts(t *testing.T) {
	h := newHost(t, &flow.Handlers{Script: flow.ScriptLimits{Steps: 100_000, Bytes: 1 << 20}})
	for code, want := range map[string]string{
		"result = args": `{"big":9007199254740993,"l":[1,2.5,null,true]}`,
		"def main(a): return a['l'][0] + len(args)":                "3",
		"result = 2 ** 70 if False else 1 << 70":                   "1180591620717411303424",
		"result = sorted({'b': 1, 'a': (1, 2)})":                   `["a","b"]`,
		"result = [x * 2 for x in args['l'][:2]]":                  "[2,5]",
		"result = None\ni = 0\nwhile i < 3:\n  i += 1\nresult = i": "3",
	} {
		code = strings.ReplaceAll(code, "2 ** 70 if False else ", "")
		raw, err := json.Marshal(code)
		if err != nil {
			t.Fatal(err)
		}
		run := h.start(yamlOf("- {id: s, script: {code: "+string(raw)+", args: '{{ input }}'}}\n- return: '{{ s }}'"), json.RawMessage(`{"big":9007199254740993,"l":[1,2.5,null,true]}`))
		completed(t, run, want)
	}
	for code, message := range map[string]string{
		"result = lambda: 1":                "cannot hold a function",
		"result = {1: 2}":                   "key is 1, not a string",
		"fail('oh')":                        "fail: oh",
		"def f(): return f()\nresult = f()": "called recursively",
		"while True: pass":                  "too many steps",
		"x = []\nx.append(x)\nresult = x":   "levels deep",
		"result = [1 // 0]":                 "division by zero",
	} {
		raw, err := json.Marshal(code)
		if err != nil {
			t.Fatal(err)
		}
		failed(t, h.start(yamlOf("- script: {code: "+string(raw)+"}"), nil), "script_failed", message)
	}
}

func TestEventsReachOthers(t *testing.T) {
	h := newHost(t, nil)
	waits := h.start([]byte("bide: 1\nflow: listener\nsteps: [{id: e, wait_event: {name: news, scope: global}}]\noutput: '{{ e.payload }}'"), nil)
	h.start(yamlOf("- emit: {name: news, scope: global, payload: [1]}"), nil)
	completed(t, h.drive(waits.ID), "[1]")
	direct := h.start([]byte("bide: 1\nflow: listener2\nsteps: [{id: e, wait_event: news}]\noutput: '{{ e.payload }}'"), nil)
	h.start(yamlOf("- emit: {name: news, to: '{{ input }}', payload: 2}"), direct.ID)
	completed(t, h.drive(direct.ID), "2")
}

func TestRepliesOfAScriptStandForAModel(t *testing.T) {
	h := newHost(t, nil)
	script := bidetest.NewScript(bidetest.Reply{Wait: &bide.Wait{Kind: bide.WaitQuestion, Message: "Really?", FreeText: true}})
	h.Handle(flow.TypeTool, script.Handle)
	run := h.start(yamlOf("- {id: x, tool: {name: rm, args: {}}}\n- return: '{{ x.text }}'"), nil)
	completed(t, h.answer(run, "yes"), `"yes"`)
}
