package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/flow/flowtest"
	"github.com/bide-dev/bide/store/mem"
)

// yamlOf is a document around steps, and maybe members after them.
func yamlOf(steps string) []byte { return []byte("bide: 1\nflow: a\nsteps:\n" + steps) }

func parse(t testing.TB, src []byte) *flow.Doc {
	t.Helper()
	d, err := flow.Parse("a.yaml", src)
	if err != nil {
		t.Fatalf("Parse =\n%v\n%s", err, src)
	}
	return d
}

// host is a runtime with a clock of its own.
type host struct {
	*bide.Runtime
	t     testing.TB
	clock *bidetest.Clock
}

func newHost(t testing.TB, h *flow.Handlers) *host {
	clock := bidetest.NewClock(flowtest.Epoch)
	rt := bide.Must(bide.New(mem.New(), &bide.Options{Clock: clock, Random: func() float64 { return 0 }}))
	flow.Handle(rt, h)
	return &host{rt, t, clock}
}

// start starts a document and drives it.
func (h *host) start(src []byte, input any) *bide.Run {
	h.t.Helper()
	run, err := flow.Start(h.t.Context(), h.Runtime, parse(h.t, src), input, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.drive(run.ID)
}

// drive ticks a run and those below it until nothing moves; timers do not fire by themselves.
func (h *host) drive(id string) *bide.Run {
	h.t.Helper()
	for range 10_000 {
		moved := false
		for _, status := range []bide.Status{bide.StatusRunning, bide.StatusWaiting} {
			page, err := h.Runs(h.t.Context(), bide.RunQuery{Status: status, Limit: 1000})
			if err != nil {
				h.t.Fatal(err)
			}
			for _, info := range page.Runs {
				r, err := h.Tick(h.t.Context(), info.ID)
				if err != nil {
					h.t.Fatal(err)
				}
				moved = moved || r.Seq != info.Seq
			}
		}
		if !moved {
			run, err := h.Get(h.t.Context(), id)
			if err != nil {
				h.t.Fatal(err)
			}
			return run
		}
	}
	h.t.Fatal("the run goes on and on")
	return nil
}

func (h *host) pass(run *bide.Run, d time.Duration) *bide.Run {
	h.clock.Advance(d)
	return h.drive(run.ID)
}

func (h *host) answer(run *bide.Run, answer any) *bide.Run {
	h.t.Helper()
	if len(run.Waits) == 0 {
		h.t.Fatalf("run is %s and waits for nothing: %v", run.Status, run.Error)
	}
	if _, err := h.Resume(h.t.Context(), run.ID, run.Waits[0].ID, answer, bide.Command{Actor: "ada"}); err != nil {
		h.t.Fatal(err)
	}
	return h.drive(run.ID)
}

// completed checks the end of a run.
func completed(t testing.TB, run *bide.Run, want string) {
	t.Helper()
	if run.Status != bide.StatusCompleted || string(run.Output) != want {
		t.Errorf("run is %s (%v) with %s, want %s", run.Status, run.Error, run.Output, want)
	}
}

func failed(t testing.TB, run *bide.Run, code, message string) {
	t.Helper()
	if run.Status != bide.StatusFailed || run.Error.Code != code || !strings.Contains(run.Error.Message, message) {
		t.Errorf("run is %s with %v, want failed with %s: …%s…", run.Status, run.Error, code, message)
	}
}

// These need nobody: input, steps, output.
func TestStepsThatNeedNobody(t *testing.T) {
	for name, c := range map[string]struct{ input, steps, want string }{
		"set sees what was before":   {`{"a":1}`, "- set: {x: 1, y: 2}\n- set: {x: '{{ y }}', y: '{{ x }}'}\n- return: '{{ [x, y] }}'", `[2,1]`},
		"a big number stays":         {`{"n":9007199254740993}`, "- return: ['{{ input.n }}', '{{ input.n + 1 }}', 9007199254740993, '{{ [input.n] }}', 'n {{ input.n }}']", `[9007199254740993,9007199254740994,9007199254740993,[9007199254740993],"n 9007199254740993"]`},
		"a number keeps its text":    {`{"n":1.10,"m":123456789012345678901234567890}`, "- return: {a: '{{ input.n }}', b: '{{ {\"x\": input.m} }}', c: 2.50, d: '{{ input.m }}'}", `{"a":1.10,"b":{"x":123456789012345678901234567890},"c":2.50,"d":123456789012345678901234567890}`},
		"types are kept":             {`{}`, "- return: ['{{ 1 }}', '{{ nil }}', '{{ true }}', '{{ {} }}', '{{ 1 }}{{ 2 }}']", `[1,null,true,{},"12"]`},
		"if and else":                {`{"a":3}`, "- {if: input.a > 2, then: [{set: {x: big}}], else: [{set: {x: small}}]}\n- return: '{{ x }}'", `"big"`},
		"else":                       {`{"a":1}`, "- {if: input.a > 2, then: [{set: {x: big}}], else: [{set: {x: small}}]}\n- return: '{{ x }}'", `"small"`},
		"if without else":            {`{"a":1}`, "- {if: input.a > 2, then: [{set: {x: big}}]}\n- return: '{{ x }}'", `null`},
		"a skipped step is nothing":  {`{}`, "- {id: b, if: false, script: {code: result = 1}}\n- return: ['{{ b }}', '{{ b == nil }}', '{{ b.x.y }}']", `[null,true,null]`},
		"switch takes the first":     {`{"a":5}`, "- switch: [{if: input.a > 9, then: [{return: 9}]}, {if: input.a > 3, then: [{return: 3}]}, {if: input.a > 1, then: [{return: 1}]}, {else: [{return: 0}]}]", `3`},
		"switch jumps":               {`{"a":5}`, "- switch: [{if: input.a > 3, next: big}]\n- return: small\n- {id: big, return: big}", `"big"`},
		"switch without match":       {`{"a":0}`, "- switch: [{if: input.a > 3, next: end}]\n- return: small", `"small"`},
		"next":                       {`{}`, "- {set: {n: 0}}\n- {id: up, set: {n: '{{ n + 1 }}'}}\n- {if: n < 3, say: more, next: up}\n- return: '{{ n }}'", `3`},
		"a loop by jumps":            {`{}`, "- {set: {n: 0}}\n- {id: up, set: {n: '{{ n + 1 }}'}}\n- switch: [{if: n < 3, next: up}]\n- return: '{{ n }}'", `3`},
		"for_each":                   {`{"l":[1,2,3]}`, "- id: each\n  for_each: {in: input.l, output: '{{ item * 10 + index }}', steps: [{say: hi}]}\n- return: '{{ each }}'", `[10,21,32]`},
		"for_each of nothing":        {`{}`, "- id: each\n  for_each: {in: input.l, steps: [{say: hi}]}\n- return: '{{ each }}'", `[]`},
		"items begin afresh":         {`{"l":[1,2,3]}`, "- id: each\n  for_each: {in: input.l, steps: [{if: item == 1, set: {x: '{{ item }}'}}], output: '{{ x }}'}\n- return: '{{ each }}'", `[1,null,null]`},
		"outer variables add up":     {`{"l":[1,2,3]}`, "- set: {sum: 0}\n- for_each: {in: input.l, as: n, steps: [{set: {sum: '{{ sum + n }}'}}]}\n- return: '{{ sum }}'", `6`},
		"return ends an item":        {`{"l":[1,2,3]}`, "- id: each\n  for_each: {in: input.l, steps: [{if: item == 2, then: [{return: two}]}, {id: s, script: {code: result = args, args: '{{ item }}'}}]}\n- return: '{{ each }}'", `[{"s":1},"two",{"s":3}]`},
		"loops in loops":             {`{"l":[[1,2],[3]]}`, "- id: o\n  for_each: {in: input.l, as: row, index: r, output: '{{ i }}', steps: [{id: i, for_each: {in: row, output: '{{ [r, index, item] }}', steps: [{say: x}]}}]}\n- return: '{{ o }}'", `[[[0,0,1],[0,1,2]],[[1,0,3]]]`},
		"concurrent":                 {`{"l":[1,2,3],"k":{"a":5,"b":6}}`, "- set: {f: 100}\n- id: each\n  for_each: {in: input.l, concurrency: 2, output: '{{ item * f + input.k.a + index }}', steps: [{say: x}]}\n- return: '{{ each }}'", `[105,206,307]`},
		"concurrent in concurrent":   {`{"l":[[1,2],[3]],"k":7}`, "- id: o\n  for_each: {in: input.l, as: row, concurrency: 2, output: '{{ i }}', steps: [{id: i, for_each: {in: row, concurrency: 2, output: '{{ [input.k, row[0], item] }}', steps: [{say: x}]}}]}\n- return: '{{ o }}'", `[[[7,1,1],[7,1,2]],[[7,3,3]]]`},
		"a loop in a concurrent one": {`{"l":[[1,2],[3]]}`, "- id: o\n  for_each: {in: input.l, as: row, concurrency: 2, output: '{{ i }}', steps: [{id: i, for_each: {in: row, output: '{{ item + len(row) }}', steps: [{say: x}]}}]}\n- return: '{{ o }}'", `[[3,4],[4]]`},
		"failures are allowed":       {`{"l":[1,0]}`, "- id: each\n  for_each: {in: input.l, concurrency: 1, allow_failures: true, output: '{{ 6 / item }}', steps: [{say: x}]}\n- return: '{{ [each[0], each[1].ok, each[1].error.code] }}'", `[{"ok":true,"output":6},false,"node_error"]`},
		"parallel":                   {`{"a":1}`, "- id: both\n  parallel: {branches: {x: [{id: p, script: {code: result = args, args: '{{ input.a }}'}}], y: [{return: 2}]}}\n- return: '{{ both }}'", `{"x":{"p":1},"y":2}`},
		"repeat until":               {`{}`, "- set: {n: 0}\n- id: r\n  repeat: {until: n >= 3, max: 10, steps: [{set: {n: '{{ n + 1 }}'}}]}\n- return: '{{ [n, r.count] }}'", `[3,3]`},
		"repeat while, never":        {`{}`, "- id: r\n  repeat: {while: 1 > 2, max: 10, steps: [{say: x}]}\n- return: '{{ r.count }}'", `0`},
		"on_error as steps":          {`{}`, "- id: s\n  script: {code: 'fail(\"oh\")'}\n  on_error: [{set: {what: '{{ error.step }}: {{ error.code }}'}}]\n- return: '{{ what }}'", `"s: script_failed"`},
		"on_error as a jump":         {`{}`, "- id: s\n  script: {code: 'fail(\"oh\")'}\n  on_error: undo\n- return: fine\n- {id: undo, return: undone}", `"undone"`},
		"a fault of an expression":   {`{"s":"x"}`, "- set: {n: '{{ input.s + 1 }}'}\n  on_error: [{return: '{{ error.code }}'}]", `"node_error"`},
		"an error in a block":        {`{}`, "- if: true\n  then: [{fail: {code: mine, message: no}}]\n  on_error: [{return: '{{ error.code }} {{ error.message }}'}]", `"mine no"`},
		"an error in a handler":      {`{}`, "- if: true\n  then:\n    - fail: first\n      on_error: [{fail: second}]\n  on_error: [{return: '{{ error.message }}'}]", `"second"`},
		"an error in a branch":       {`{}`, "- parallel: {branches: {x: [{fail: broken}]}}\n  on_error: [{return: '{{ error.code }}'}]", `"child_failed"`},
		"env has defaults":           {`{}`, "- return: '{{ env.model }}'\nenv: {model: small}", `"small"`},
		"the output":                 {`{}`, "- set: {x: 1}\noutput: {x: '{{ x }}'}", `{"x":1}`},
		"end":                        {`{}`, "- {say: bye, next: end}\n- fail: never\noutput: done", `"done"`},
		"emit and wait":              {`{}`, "- emit: {name: ping, payload: {n: 1}}\n- {id: got, wait_event: ping}\n- return: '{{ got.payload.n }}'", `1`},
		"braces as they are":         {`{}`, "- return: 'a {{ \"{{\" }} b'", `"a {{ b"`},
		"a flow with an error step":  {`{}`, "- fail: {code: x, message: no}\non_error: [{return: '{{ error.code }}'}]", `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			completed(t, newHost(t, nil).start(yamlOf(c.steps), json.RawMessage(c.input)), c.want)
		})
	}
}

func TestRunsFailWithWhatWentWrong(t *testing.T) {
	for name, c := range map[string]struct{ steps, code, message string }{
		"fail":                         {"- fail: 'no {{ 1 + 1 }}'", "planned", "no 2"},
		"fail with a code":             {"- fail: {code: out_of_stock, message: sorry}", "out_of_stock", "sorry"},
		"an expression":                {"- set: {x: '{{ 1 / 0 }}'}", "node_error", "step set@1 (line 4): x: division by zero"},
		"a condition that is none":     {"- {if: '\"x\"', say: hi}", "node_error", `if: a condition is true or false, not the string "x"`},
		"a bound":                      {"- repeat: {until: '1 > 2', max: 3, steps: [{say: x}]}", "repeat_limit", "was repeated 3 times"},
		"no list":                      {"- for_each: {in: '5', steps: [{say: x}]}", "node_error", "in: a list is needed, not 5"},
		"a branch":                     {"- parallel: {branches: {x: [{fail: broken}]}}", "child_failed", "0 of 1 children completed"},
		"a setting that is missing":    {"- say: '{{ env.key }}'\nenv: {key: }", "env_missing", `the settings ["key"]`},
		"nobody for a model":           {"- llm: {model: m, prompt: hi}", "no_handler", "LLM_CALL"},
		"a flow that is not there":     {"- flow: {name: other}", "no_workflow", "other"},
		"exec is off":                  {"- exec: {command: [date]}", "exec_not_allowed", `the program "date" is not allowed`},
		"a private address":            {"- http: {url: 'http://127.0.0.1:1/'}", "http_address", "not public"},
		"another scheme":               {"- http: {url: 'file:///etc/passwd'}", "handler_error", "does not begin with https:// or http://"},
		"a secret that is not known":   {"- http: {url: 'https://a.b/{{ secret(\"t\") }}'}", "secret_missing", `"t"`},
		"too much work":                {"- set: {x: '{{ let l = 1..2000; all(l, all(l, true)) }}'}", "node_error", "more than 1048576 steps"},
		"too much memory":              {"- set: {x: '{{ reduce(1..64, #acc + #acc, \"ab\") }}'}", "node_error", "more than 8388608 bytes"},
		"a script without end":         {"- script: {code: 'while True: pass'}", "script_failed", "too many steps"},
		"an event that nobody can get": {"- emit: {name: x, scope: session}", "not_sent", "session"},
	} {
		t.Run(name, func(t *testing.T) {
			failed(t, newHost(t, nil).start(yamlOf(c.steps), nil), c.code, c.message)
		})
	}
}

func TestQuestionsAndFormsAreForTheirAssignees(t *testing.T) {
	h := newHost(t, nil)
	run := h.start(yamlOf(`
- {id: q, ask: {prompt: Pay?, choices: [approve, reject], assignees: [ada, "group:{{ input.team }}"]}}
- {id: f, form: {prompt: Why?, schema: {type: object}, assignees: "{{ input.bosses }}"}}
- return: ["{{ q.by }}", "{{ f.by }}"]
`), map[string]any{"team": "ops", "bosses": []string{"ada"}})
	if got := run.Waits[0].Assignees; !slices.Equal(got, []string{"ada", "group:ops"}) {
		t.Errorf("assignees = %q", got)
	}
	for _, answer := range []any{"approve", map[string]any{}} {
		if _, err := h.Resume(t.Context(), run.ID, run.Waits[0].ID, answer, bide.Command{Actor: "ben"}); !errors.Is(err, bide.ErrForbidden) {
			t.Errorf("an answer by another = %v, want ErrForbidden", err)
		}
		run = h.answer(run, answer)
	}
	completed(t, run, `["ada","ada"]`)
	failed(t, h.start(yamlOf(`- ask: {prompt: Pay?, assignees: "{{ input }}"}`), []string{}), "node_error", "assignees is empty: nobody could answer")
}

func TestWaitsOfEveryKind(t *testing.T) {
	h := newHost(t, nil)
	run := h.start(yamlOf(`
- {id: q, ask: {prompt: "How many, {{ input.who }}?", choices: [1, 2], free_text: true}}
- {id: f, form: {prompt: Address, schema: {type: object, required: [zip]}}}
- {id: w, wait: "{{ q.choice }}h"}
- {id: u, wait: {until: "{{ input.at }}"}}
- {id: e, wait_event: {name: paid, scope: run}}
- {id: j, job: {key: pack, details: {zip: "{{ f.data.zip }}"}}}
output: {q: "{{ q }}", f: "{{ f.data }}", e: "{{ e.payload }}", j: "{{ j }}"}
`), map[string]any{"who": "Ada", "at": "2026-01-02T00:00:00Z"})
	if w := run.Waits[0]; w.Message != "How many, Ada?" || len(w.Choices) != 2 || !w.FreeText {
		t.Errorf("question = %+v", w)
	}
	run = h.answer(run, "2")
	if _, err := h.Resume(t.Context(), run.ID, run.Waits[0].ID, map[string]any{}); !errors.Is(err, bide.ErrInvalidAnswer) {
		t.Errorf("a form without its zip = %v, want ErrInvalidAnswer", err)
	}
	run = h.answer(run, map[string]any{"zip": "04711"})
	if run = h.pass(run, 119*time.Minute); run.Node != "w" {
		t.Errorf("run is at %s after 119 minutes, want w", run.Node)
	}
	if run = h.pass(run, time.Minute); run.Node != "u" {
		t.Errorf("run is at %s after two hours, want u", run.Node)
	}
	run = h.pass(run, 22*time.Hour)
	if err := h.Send(t.Context(), bide.Event{ScopeID: run.ID, Name: "paid", Payload: 5}); err != nil {
		t.Fatal(err)
	}
	run = h.drive(run.ID)
	if w := run.Waits[0]; w.Kind != bide.WaitJob || w.Key != "pack" || string(w.Details) != `{"zip":"04711"}` {
		t.Errorf("job = %+v", w)
	}
	run = h.answer(run, bide.JobResult{Result: bide.JSON(`"box 3"`)})
	completed(t, run, `{"e":5,"f":{"zip":"04711"},"j":"box 3","q":{"by":"ada","choice":"2"}}`)
}

func TestWhatHappensWhenTheTimeIsOver(t *testing.T) {
	for name, c := range map[string]struct{ steps, want string }{
		"a default answer":      {"- {id: q, ask: {prompt: x, choices: [yes, no], timeout: 1h, on_timeout: no}}\n- return: '{{ [q.choice, q.expired] }}'", `["no",true]`},
		"a default form":        {"- {id: q, form: {prompt: x, schema: {}, timeout: 1h, on_timeout: {a: 1}}}\n- return: '{{ q.data.a }}'", `1`},
		"steps":                 {"- {id: q, ask: {prompt: x}, timeout: 1h, on_timeout: [{return: late}]}\n- return: '{{ q }}'", `"late"`},
		"a jump":                {"- {wait_event: x, timeout: 1h, on_timeout: late}\n- return: never\n- {id: late, return: '{{ error.code }}'}", `"timeout"`},
		"on_error takes it too": {"- {job: {}, timeout: 1h, on_error: [{return: '{{ error.code }}'}]}", `"timeout"`},
		"a job":                 {"- {job: {}, timeout: 1h, on_timeout: [{say: slow}]}\n- return: on", `"on"`},
		"a branch that waits":   {"- {id: p, parallel: {join: first, branches: {a: [{for_each: {in: '1..3', concurrency: 2, steps: [{ask: x}]}}], late: [{wait: 1h}]}}}\n- return: '{{ p.a == nil }}'", `true`},
		"first of several":      {"- {id: p, parallel: {join: first, branches: {a: [{ask: x}], b: [{wait: 30m}, {return: 1}]}}}\n- return: '{{ p }}'", `{"b":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil)
			run := h.start(yamlOf(c.steps), nil)
			if run.Status != bide.StatusWaiting {
				t.Fatalf("run is %s (%v) before the time is over, want waiting", run.Status, run.Error)
			}
			completed(t, h.pass(run, time.Hour), c.want)
			page, err := h.Runs(t.Context(), bide.RunQuery{Parent: run.ID})
			if err != nil {
				t.Fatal(err)
			}
			for _, child := range page.Runs {
				if !child.Status.Final() {
					t.Errorf("child %s is still %s", child.ID, child.Status)
				}
			}
		})
	}
}

func TestRetriesAndDeliveryReachTheEffect(t *testing.T) {
	h := newHost(t, nil)
	n := 0
	h.Handle(flow.TypeLLM, func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		if n++; n < 3 {
			return bide.Outcome{}, errors.New("busy")
		}
		return bide.Completed("ok"), nil
	})
	run := h.start(yamlOf("- {id: x, llm: {prompt: hi}, retry: {attempts: 3, backoff: 10s, factor: 3, jitter: 0}}\n- return: '{{ x }}'"), nil)
	run = h.pass(run, 9*time.Second)
	if n != 1 {
		t.Errorf("%d attempts after 9s, want 1", n)
	}
	run = h.pass(run, time.Second)
	completed(t, h.pass(run, 30*time.Second), `"ok"`)
}

func TestChildFlows(t *testing.T) {
	h := newHost(t, nil)
	child := parse(t, []byte("bide: 1\nflow: double\nsteps: [{id: q, ask: ok?}]\noutput: '{{ input.n * 2 }}'"))
	if err := flow.Publish(t.Context(), h.Runtime, child); err != nil {
		t.Fatal(err)
	}
	run := h.start(yamlOf("- {id: d, flow: {name: double, input: {n: 21}}}\n- {id: off, flow: {name: double, input: {n: 1}, detached: true}}\n- return: '{{ [d.output, off.status] }}'"), nil)
	page, err := h.Waits(t.Context(), bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitQuestion}})
	if err != nil || len(page.Waits) != 1 {
		t.Fatalf("Waits = %v, %v", page, err)
	}
	id, _ := bide.WaitRun(page.Waits[0].ID)
	bide.Must(h.Resume(t.Context(), id, page.Waits[0].ID, "yes"))
	completed(t, h.drive(run.ID), `[42,"running"]`)
}
