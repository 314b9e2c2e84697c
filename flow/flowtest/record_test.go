package flowtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
)

// Every run of every example becomes a case that holds.
func TestARecordedRunBecomesACaseThatHolds(t *testing.T) {
	files, err := filepath.Glob("../../examples/flows/*.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../examples/*.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range append(files, more...) {
		file := strings.TrimSuffix(name, ".test.yaml") + ".yaml"
		doc, err := flow.Parse(file, source(t, file))
		if err != nil {
			t.Fatal(err)
		}
		cases, err := flow.ParseCases(name, source(t, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases.List {
			p := newPlay(doc, c)
			if _, err := p.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			text, faults, err := FromRun(t.Context(), p.rt, doc, p.root)
			if errors.Is(err, bide.ErrWrongStatus) {
				continue // it has not ended, or was continued
			}
			if err != nil || len(faults) > 0 {
				t.Errorf("%s, %s: %v %q\n%s", name, c.Name, err, faults, text)
			}
			n++
		}
	}
	if n < 15 {
		t.Errorf("%d runs became cases, want 15 at least", n)
	}
}

func source(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
