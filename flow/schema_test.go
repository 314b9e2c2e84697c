package flow_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bide-dev/bide/flow"
)

// examples are the documents under examples/, by file.
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, pattern := range []string{"../examples/*.yaml", "../examples/flows/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, ".test.yaml") {
				continue
			}
			if out[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(out) < 8 {
		t.Fatalf("there are %d examples", len(out))
	}
	return out
}

func TestTheSchemaTakesWhatTheParserTakes(t *testing.T) {
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(flow.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("flow.json", raw); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("flow.json")
	if err != nil {
		t.Fatal(err)
	}
	for file, src := range examples(t) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(parse(t, src).Definition()))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, bad := range []string{`{"bide":1,"flow":"a"}`, `{"bide":1,"flow":"a","steps":[]}`, `{"bide":1,"flow":"a","steps":[{"id":"a"}]}`, `{"bide":1,"flow":"a","steps":[{"say":"a","wait":"1s"}]}`, `{"bide":1,"flow":"a","steps":[{"sya":"a"}]}`} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
}

// property is a part of the schema.
type property struct {
	Properties map[string]property `json:"properties"`
	OneOf      []property          `json:"oneOf"`
	Ref        string              `json:"$ref"`
	Defs       map[string]property `json:"$defs"`
}

// Every member that the schema offers is one that the parser knows, and the other way round.
func TestTheParserKnowsTheMembersOfTheSchema(t *testing.T) {
	var root property
	if err := json.Unmarshal(flow.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	step := root.Defs["step"]
	kinds := 0
	for name := range step.Properties {
		// A value that fits nothing gives faults, but none that the member is not known.
		got := faultsOf(t, "bide: 1\nflow: a\nsteps: [{say: hi, "+name+": {nonsense: 1}}]")
		isKind := strings.Contains(got, "a step does one thing") || name == "say"
		if isKind {
			kinds++
		}
		if strings.Contains(got, "has no member \""+name) && name != "else" {
			t.Errorf("the schema has %s, the parser says\n%s", name, got)
		}
		if !isKind {
			continue
		}
		members := step.Properties[name].Properties
		for _, alt := range step.Properties[name].OneOf {
			if alt.Ref == "#/$defs/tool" {
				alt = root.Defs["tool"]
			}
			for m, p := range alt.Properties {
				if members == nil {
					members = map[string]property{}
				}
				members[m] = p
			}
		}
		if len(members) == 0 || name == "switch" {
			continue
		}
		all := []string{}
		for m := range members {
			all = append(all, m)
			got := faultsOf(t, "bide: 1\nflow: a\nsteps: [{"+name+": {nonsense: 1, "+m+": 1}}]")
			if strings.Contains(got, "has no member \""+m+"\"") {
				t.Errorf("the schema has %s.%s, the parser says\n%s", name, m, got)
			}
		}
		if got := faultsOf(t, "bide: 1\nflow: a\nsteps: [{"+name+": {nonsense: 1}}]"); !strings.Contains(got, `has no member "nonsense"`) {
			t.Errorf("%s takes any member; it has %q\n%s", name, slices.Sorted(slices.Values(all)), got)
		}
	}
	if kinds != 24 {
		t.Errorf("the schema has %d kinds of steps, want 24", kinds)
	}
}
