package flowtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/flow/flowtest"
)

func TestEveryExampleDoesWhatItsCasesSay(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../examples/flows/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, ".test.yaml") {
			continue
		}
		n++
		t.Run(filepath.Base(file), func(t *testing.T) {
			doc, err := flow.Parse(file, read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range doc.Lint() {
				t.Errorf("lint: %s", f)
			}
			name := strings.TrimSuffix(file, ".yaml") + ".test.yaml"
			cases, err := flow.ParseCases(name, read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			results, err := flowtest.Run(t.Context(), doc, cases)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				for _, fault := range r.Faults {
					t.Errorf("%s:%d: %s: %s", name, r.Case.Line, r.Case.Name, fault)
				}
			}
		})
	}
	if n < 8 {
		t.Errorf("there are %d examples, want 8 at least", n)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
