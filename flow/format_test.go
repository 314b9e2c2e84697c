package flow_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bide-dev/bide/flow"
)

func TestFormattingKeepsCommentsAndMeaningAndIsDoneOnce(t *testing.T) {
	src := `# the whole
steps:
    # first
    - say: hi   # said
      id: one
    - {retry: {attempts: 2}, id: two, http: {url: "https://a.b"}, if: input}
    - for_each:
        steps:
            - say: x
              if: item
        in: input.l
flow: a
bide: 1
`
	want := `# the whole
bide: 1
flow: a
steps:
  # first
  - id: one
    say: hi # said
  - {id: two, if: input, http: {url: "https://a.b"}, retry: {attempts: 2}}
  - for_each:
      steps:
        - if: item
          say: x
      in: input.l
`
	got, err := flow.Format("a.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("Format =\n%s\nwant\n%s", got, want)
	}
	for file, src := range examples(t) {
		once, err := flow.Format(file, src)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		twice, err := flow.Format(file, once)
		if err != nil || string(twice) != string(once) {
			t.Errorf("%s: formatted again it is another (%v)\n%s", file, err, twice)
		}
		if a, b := strings.Count(string(src), "#"), strings.Count(string(once), "#"); a != b {
			t.Errorf("%s: %d of %d comment signs are left", file, b, a)
		}
	}
}

func TestJSONStaysJSON(t *testing.T) {
	got, err := flow.Format("a.json", []byte(`{"steps":[{"say":"hi"}],"bide":1,"flow":"a"}`))
	want := "{\n  \"bide\": 1,\n  \"flow\": \"a\",\n  \"steps\": [\n    {\n      \"say\": \"hi\"\n    }\n  ]\n}\n"
	if err != nil || string(got) != want {
		t.Errorf("Format = %q, %v, want %q", got, err, want)
	}
}

func TestWhatHasFaultsIsNotFormatted(t *testing.T) {
	if _, err := flow.Format("a.yaml", []byte("bide: 1")); err == nil {
		t.Error("Format takes a document without a flow")
	}
}

func TestTheExamplesAreFormatted(t *testing.T) {
	for file, src := range examples(t) {
		got, err := flow.Format(file, src)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) == string(src) {
			continue
		}
		if os.Getenv("UPDATE") == "1" {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s is not formatted; run the tests with UPDATE=1", file)
	}
}

const drawn = `bide: 1
flow: pay
title: Pay & tell
steps:
  - {id: ok, ask: {prompt: Pay?, choices: [yes, no]}, timeout: 1h, on_timeout: bye}
  - if: ok.choice == "yes"
    then:
      - {id: call, http: {url: "https://a.b"}, on_error: [{say: sorry}]}
    else:
      - {say: fine, next: end}
  - parallel: {branches: {x: [{wait: 1s}], y: [{say: b}]}}
  - repeat: {until: n > 3, max: 5, steps: [{set: {n: 1}}]}
  - {id: bye, say: bye}
`

func TestDrawings(t *testing.T) {
	d := parse(t, []byte(drawn))
	want := `pay · Pay & tell
├─ ask: ok ⏱ timeout → bye
├─ if
│  then
│  └─ http: call
│     on error
│     └─ say
│  else
│  └─ say → end
├─ parallel
│  x
│  └─ wait
│  y
│  └─ say
├─ repeat
│  └─ set
└─ say: bye
`
	if got := d.Picture(); got != want {
		t.Errorf("Picture =\n%s\nwant\n%s", got, want)
	}
	mermaid := d.Mermaid()
	for _, line := range []string{"flowchart TD", `(["start"])`, `[/"ask: ok"/]`, `{{"repeat"}}`, `-.->|"timeout"|`, `-->|"again"|`} {
		if !strings.Contains(mermaid, line) {
			t.Errorf("Mermaid has no %s:\n%s", line, mermaid)
		}
	}
	dot := d.DOT()
	for _, line := range []string{`digraph "pay" {`, `"ok" -> "bye" [label="timeout", style=dashed]`, `"call" -> "say@`, `-> "@end" [label=""]`} {
		if !strings.Contains(dot, line) {
			t.Errorf("DOT has no %s:\n%s", line, dot)
		}
	}
	if strings.Count(mermaid, "say: bye") != 1 || strings.Contains(mermaid, "@") {
		t.Errorf("Mermaid draws helpers or a step twice:\n%s", mermaid)
	}
}

func TestLintFindsWhatLooksLikeAMistake(t *testing.T) {
	d := parse(t, []byte(`bide: 1
flow: a
env: {unused: x}
steps:
  - {set: {never: 1}}
  - {http: {url: "https://a.b"}, retry: {attempts: 3}, delivery: at_most_once}
  - {return: 1}
  - {id: lost, say: hi}
`))
	got := []string{}
	for _, f := range d.Lint() {
		got = append(got, f.String())
	}
	want := []string{
		"a.yaml:8:5: step lost is never reached",
		`a.yaml:5:12: the variable "never" is never used`,
		`a.yaml:1:1: the setting "unused" is never used`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Lint =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
