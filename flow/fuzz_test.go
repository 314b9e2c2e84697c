package flow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/store/mem"
)

func FuzzParse(f *testing.F) {
	for _, src := range examples(f) {
		f.Add(src)
	}
	f.Add([]byte(everything))
	f.Add([]byte(drawn))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := flow.Parse("a.yaml", src)
		if err != nil {
			var e *flow.Error
			if !errors.As(err, &e) {
				t.Fatalf("Parse = %T", err)
			}
			for _, fault := range e.Faults {
				if fault.Line < 1 || fault.Column < 1 || fault.Message == "" {
					t.Errorf("fault %+v has no place", fault)
				}
			}
			return
		}
		// What was found without fault compiles, draws, and is the same when it is read again.
		rt := bide.Must(bide.New(mem.New(), nil))
		if err := rt.Register(d.Workflow()); err != nil {
			t.Fatalf("Register = %v", err)
		}
		if again, err := flow.Parse("a.yaml", d.Definition()); err != nil || again.Version() != d.Version() {
			t.Errorf("the canonical form is not the same document: %v", err)
		}
		if d.Mermaid() == "" || d.DOT() == "" || d.Picture() == "" {
			t.Error("nothing is drawn")
		}
	})
}

// A template is evaluated the same way each time, within its bounds, and to JSON.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a {{ input.x }} b", "{{ map(1..9, # * 2) }}", `{{ "{{" }}`, "{{ {'a': [1, nil]} }}", "{{ sort(input.l) }}", "{{", "{{ 1 / 0 }}", "{{ let a = 1; a }}"} {
		f.Add(s, `{"x":1.50,"l":[3,1]}`)
	}
	f.Fuzz(func(t *testing.T, template, input string) {
		doc, err := json.Marshal(map[string]any{"bide": 1, "flow": "a", "steps": []any{map[string]any{"return": template}}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := flow.Parse("a.json", doc)
		if err != nil {
			return
		}
		var ends [2]*bide.Run
		for i := range ends {
			rt := bide.Must(bide.New(mem.New(), nil))
			if ends[i], err = rt.Run(t.Context(), d.Workflow(), json.RawMessage(input), &bide.StartOptions{RunID: "r"}); err != nil {
				return // the input is not JSON
			}
			if !ends[i].Status.Final() {
				t.Fatalf("run is %s", ends[i].Status)
			}
			if e := ends[i].Error; e != nil && e.Code == bide.FailurePanic {
				t.Fatalf("%s\n%s", e.Message, e.Stack)
			}
		}
		if !bytes.Equal(ends[0].Output, ends[1].Output) && !bytes.Contains([]byte(template), []byte("run")) {
			t.Errorf("%q gives %s and %s", template, ends[0].Output, ends[1].Output)
		}
	})
}

func FuzzParseCases(f *testing.F) {
	f.Add([]byte("bide: 1\ncases: [{name: a, answers: {q: yes}, effects: {c: [{result: 1}, {error: x}]}, expect: {output: 1}}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		cases, err := flow.ParseCases("a.test.yaml", src)
		if err == nil && len(cases.List) == 0 {
			t.Error("a file without cases is taken")
		}
	})
}
