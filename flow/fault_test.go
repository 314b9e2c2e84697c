package flow_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bide-dev/bide/flow"
)

// faultsOf parses and returns the faults, one per line.
func faultsOf(t *testing.T, src string) string {
	t.Helper()
	_, err := flow.Parse("a.yaml", []byte(src))
	if err == nil {
		return ""
	}
	var e *flow.Error
	if !errors.As(err, &e) || len(e.Faults) == 0 {
		t.Fatalf("Parse = %T %v, want a *flow.Error with faults", err, err)
	}
	return e.Error()
}

func TestEveryFaultOfADocumentIsReportedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "a.yaml:1:1: the document is empty; begin with bide: 1"},
		{"- 1", "a.yaml:1:1: a document is an object, not a list; begin with bide: 1"},
		{"a: [1", "a.yaml:2:1: while parsing a flow sequence: did not find expected ',' or ']'"},
		{"a: \xff", "a.yaml:1:1: the document is not UTF-8"},
		{"{}", `a.yaml:1:1: a flow needs the member "bide"
a.yaml:1:1: a flow needs the member "flow"
a.yaml:1:1: a flow needs the member "steps"`},
		{"bide: 2\nflow: a\nsteps: [say: hi]", "a.yaml:1:7: the version of the format is 1, not 2"},
		{"bide: 1\nflow: my flow\nsteps: [say: hi]", `a.yaml:2:7: "my flow" cannot be used: the name of a flow begins with a letter and has letters, digits, - and _, at most 64`},
		{"bide: 1\nflow: agent\nsteps: [say: hi]", `a.yaml:2:7: a flow cannot be called "agent": that is the workflow of agent steps; give it another name, such as my_agent`},
		{"bide: 1\nflow: a\nsteps: []", "a.yaml:3:8: a list of steps is needed here, not an empty list"},
		{"bide: 1\nflow: a\nsteps:\n\t- say: x", "a.yaml:4:1: while scanning for the next token: found character that cannot start any token; indent with spaces, not with tabs"},
		{"bide: 1\nflow: a\nstep: [say: hi]", `a.yaml:1:1: a flow needs the member "steps"
a.yaml:3:1: a flow has no member "step"; did you mean "steps"?`},
		{"bide: 1\nflow: a\nflow: b\nsteps: [say: hi]", `a.yaml:3:1: "flow" is there twice; the first is in line 2`},
		{"bide: 1\nflow: a\nsteps: [say: &x hi]", "a.yaml:3:14: anchors and aliases are not part of the format; repeat the value, or keep it in a variable with set"},
		{"bide: 1\nflow: a\nsteps: [say: !!str hi]", "a.yaml:3:14: tags such as !!str are not part of the format"},
		{"bide: 1\nflow: a\nsteps: [set: {x: .nan}]", "a.yaml:3:18: .nan is not a number that JSON can hold; put it in quotes if it is text"},
		{"bide: 1\nflow: a\ninput: {type: strin}\nsteps: [say: hi]", "a.yaml:3:15: the JSON Schema cannot be used: type: "},
		{"bide: 1\nflow: a\ninput: {$ref: 'https://example.com/x'}\nsteps: [say: hi]", "a.yaml:3:8: the JSON Schema cannot be used: failing loading \"https://example.com/x\": reference to https://example.com/x: a schema must hold all it refers to"},
		{"bide: 1\nflow: a\ntimeout: soon\nsteps: [say: hi]", `a.yaml:3:10: "soon" is not a duration; write it like 30s, 5m or 24h (there are no days: 168h is a week)`},
		{"bide: 1\nflow: a\nenv: [x]\nsteps: [say: hi]", "a.yaml:3:6: env is an object of names and their defaults, not a list"},
	} {
		if got := faultsOf(t, c.src); !strings.HasPrefix(got, c.want) {
			t.Errorf("Parse(%q) =\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

func TestEveryFaultOfAStepIsReportedWithItsPlace(t *testing.T) {
	// The steps begin in line 4, column 3.
	for _, c := range []struct{ steps, want string }{
		{"- hello", `4:5: a step is an object, not the string "hello"; write it like {say: "hello"}`},
		{"- parallel:\n      branches: {a: [continue_as_new: {}], b: [say: hi]}", "5:39: continue_as_new cannot stand in a branch of parallel or an item of a for_each with a concurrency: those are runs of their own"},
		{"- {continue_as_new: {}, next: end}", "4:33: next does not go with a continue_as_new step: nothing comes after it"},
		{"- id: x", `4:5: the step does nothing; give it one of ["agent"`},
		{"- sya: hi", `4:5: there is no kind of step "sya"; did you mean "say"?`},
		{"- {say: hi, wait: 1s}", `4:15: a step does one thing; this one has both say and wait; make two steps of it`},
		{"- {say: hi, ifs: true}", `4:15: a say step has no member "ifs"; did you mean "if"?`},
		{"- {id: my-step, say: hi}", `4:10: "my-step" cannot be used: an id begins with a letter`},
		{"- {id: run, say: hi}", `4:10: "run" means something else in a flow; choose another id`},
		{"- {id: a, say: hi}\n  - {id: a, say: ho}", `5:10: the id "a" is taken by the step in line 4`},
		{"- {id: a, say: hi}\n  - set: {a: 1}", `5:11: "a" is the id of a step; a variable needs another name`},
		{"- {say: hi, next: nowhere}", `4:21: there is no step "nowhere" to go to`},
		{"- {id: one, say: hi, next: oen}", `4:30: there is no step "oen" to go to; did you mean "one"?`},
		{"- {say: hi, if: 'input.a >'}", `4:28: the expression cannot be read: unexpected token EOF`},
		{"- say: hi {{ inptu.name }}", `4:16: there is no "inptu" here; did you mean "input"?`},
		{"- say: |\n      first\n      then {{ inptu.name }}", `6:15: there is no "inptu" here; did you mean "input"?`},
		{`- say: "{{ uper(input) }}"`, `4:14: there is no function uper; did you mean "upper"?`},
		{`- say: "{{ now() }}"`, `4:14: there is no function now`},
		{`- say: "{{ upper(1, 2) }}"`, `4:14: upper takes 1 argument, not 2`},
		{`- say: "{{ input"`, `4:11: {{ is not closed`},
		{`- say: "{{ 'a' matches '(' }}"`, `4:26: the pattern cannot be used`},
		{`- say: "{{ input.a.b() }}"`, `values have no methods`},
		{`- say: "{{ env.model }}"`, `4:14: the setting "model" is not declared under env; declare it with env: {model: }`},
		{`- say: "{{ secret('x') }}"`, `4:13: a secret can be used only in http and exec steps`},
		{`- http: {url: "https://a.b/{{ secret('x') + 1 }}"}`, `secret("name") must be the whole of its {{ }}`},
		{"- say: '{{ later }}'\n  - {id: later, ask: hm}", `4:14: step "later" cannot have run before: it comes later, in line 5`},
		{"- {id: self, ask: '{{ self.text }}'}", `4:25: step "self" cannot use its own result`},
		{"- say: '{{ x }}'\n  - set: {x: 1}", `4:14: "x" cannot have been set before: step set@2 in line 5 comes later`},
		{"- {id: a, if: input, then: [{id: b, ask: x}], else: [{say: '{{ b.text }}'}]}", `step "b" cannot have run before: it comes later, in line 4`},
		{"- {id: loop, for_each: {in: input, steps: [{id: inner, ask: x}]}}\n  - say: '{{ inner.text }}'", `5:14: step "inner" is inside of "loop", and not known outside; use the result of "loop"`},
		{"- for_each: {in: input, steps: [{say: hi, next: out}]}\n  - {id: out, say: bye}", `4:51: step "out" cannot be reached by a jump from here`},
		{"- set: {n: 0}\n  - for_each: {in: input, concurrency: 2, steps: [{set: {n: 1}}]}", `5:58: "n" belongs to the outside; a branch or concurrent body cannot set it; give it back as output or with return`},
		{"- for_each: {in: input, allow_failures: true, steps: [{say: hi}]}", `4:43: allow_failures needs a concurrency, so that each item has a run of its own; add concurrency: 1`},
		{"- for_each: {steps: [{say: hi}]}", `4:15: for_each needs the member "in"`},
		{"- {then: [{say: hi}]}", `4:12: then needs a condition; add if to the step`},
		{"- switch: [{if: input}]", `4:14: a case has if, and either then or next`},
		{"- switch: [{else: [{say: a}]}, {if: input, then: [{say: b}]}]", `4:14: else stands alone, in the last case`},
		{"- parallel: {branches: [1]}", `4:26: branches is an object of names and lists of steps, not a list`},
		{"- parallel: {branches: {a: [{say: hi}]}, join: some}", `4:50: join is one of ["all" "first"], not the string "some"`},
		{"- repeat: {max: 3, steps: [{say: hi}]}", `4:13: repeat needs exactly one of while and until`},
		{"- repeat: {until: input, steps: [{say: hi}]}", `4:13: repeat needs the member "max"`},
		{"- repeat: {until: input, max: 0, steps: [{say: hi}]}", `4:33: max is a whole number from 1 to 100000, not 0`},
		{"- {say: hi, retry: {attempts: 3}}", `4:22: retry does not go with a say step: it is for steps that handlers carry out`},
		{"- {set: {a: 1}, timeout: 3s}", `4:28: timeout does not go with a set step: put it on the steps inside, or beside them in a parallel branch that waits, with join: first`},
		{"- {http: {url: x}, retry: {attempts: 0}}", `4:40: attempts is a whole number from 1 to 1000, not 0`},
		{"- {http: {url: x}, retry: {atempts: 2}}", `4:30: retry has no member "atempts"; did you mean "attempts"?`},
		{"- {http: {url: x}, delivery: twice}", `4:32: delivery is one of ["at_least_once" "at_most_once"]`},
		{"- {return: 1, next: end}", `4:23: next does not go with a return step: nothing comes after it`},
		{"- ask: {choices: [a]}", `4:10: ask needs the member "prompt"`},
		{"- ask: {prompt: x, choices: [yes!, no!], on_timeout: no}", `4:56: "no" is not one of the choices; did you mean "no!"?`},
		{"- ask: {prompt: x, assignees: []}", `4:33: assignees is empty: nobody could answer; leave it out if everybody may`},
		{"- form: {prompt: x, schema: {}, assignees: 7}", `4:46: assignees is a list of actors and groups, not 7; write it like [ann, group:ops]`},
		{"- form: {prompt: x, schema: {type: 3}}", `4:38: the JSON Schema cannot be used`},
		{"- wait: 3 days", `4:11: "3 days" is not a duration`},
		{"- wait: {until: tomorrow}", `4:19: "tomorrow" is not a time with a zone`},
		{"- wait: {}", `4:11: wait needs exactly one of for and until`},
		{"- wait_event: {name: x, scope: planet}", `4:34: scope is one of ["run" "session" "workflow" "global"]`},
		{"- http: {url: x, json: 1, body: b}", `4:35: a request has one body: json, form or body`},
		{"- ask: {prompt: x, schema: {}}", `4:22: ask has no member "schema"; it has prompt, choices, free_text, assignees, timeout, on_timeout`},
		{"- http: {url: x, methd: GET}", `4:20: http has no member "methd"; did you mean "method"?`},
		{"- http: {url: [x]}", `4:17: /steps/0/http/url: got array, want`},
		{"- exec: {command: git status}", `4:21: command is a list of a program and its arguments, not the string "git status"; there is no shell`},
		{"- script: {code: 'result = ('}", `the script cannot be read`},
		{"- script: {code: 'result = nope'}", `the script cannot be used: script:1:10: undefined: nope`},
		{"- llm: {model: m}", `4:10: llm needs exactly one of prompt and messages`},
		{"- fail: {code: x}", `4:11: fail needs the member "message"`},
		{"- say: {a: b}", `4:10: say takes a text, not an object`},
	} {
		got := faultsOf(t, "bide: 1\nflow: a\nsteps:\n  "+c.steps)
		if !strings.Contains(got, c.want) {
			t.Errorf("Parse(%q) =\n%s\nwant\n%s", c.steps, got, c.want)
		}
	}
}

func TestAllFaultsAreReportedAtOnceInOrder(t *testing.T) {
	got := faultsOf(t, "bide: 1\nflow: a\nsteps:\n  - say: '{{ x }}'\n  - wiat: 3s\n  - {say: hi, next: y}\n")
	want := `a.yaml:4:14: there is no "x" here
a.yaml:5:5: there is no kind of step "wiat"; did you mean "wait"?
a.yaml:6:21: there is no step "y" to go to`
	if got != want {
		t.Errorf("faults =\n%s\nwant\n%s", got, want)
	}
}
