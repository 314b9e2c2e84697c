package bide_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bide-dev/bide"

// layout says what each package of the module may import of the module: the
// whole of design.md §9, packages that do not exist yet included. A key ending
// in /* is every package below, each on its own; a package below a key is part of
// it. "." is the kernel. What is not in the table fails the test.
var layout = map[string][]string{
	".":                   {},
	"store/*":             {".", "internal/pack", "internal/queue"},
	"storetest":           {"."},
	"seal":                {".", "artifact"},
	"redact":              {"."},
	"bidetest":            {".", "store/mem"},
	"ledger":              {"."},
	"artifact":            {"."},
	"schedule":            {"."},
	"tool":                {"."},
	"llm":                 {"."},
	"llm/*":               {".", "llm"},
	"mcp":                 {".", "tool"},
	"agent":               {".", "artifact", "llm", "tool"},
	"flow":                {".", "agent", "llm", "tool"},
	"flow/flowtest":       {".", "flow", "bidetest", "store/mem"},
	"worker":              {".", "artifact", "ledger", "schedule"},
	"engine":              {".", "ledger", "schedule", "seal", "store/*", "worker"},
	"internal/pack":       {},
	"internal/pgtest":     {},
	"internal/queue":      {},
	"gateway":             {".", "agent", "artifact", "flow", "gateway/api", "gateway/auth", "gateway/problem", "gateway/remote", "gateway/tally", "gateway/webhook", "internal/search", "ledger", "llm", "mcp", "schedule", "tool", "web", "worker"},
	"gateway/api":         {".", "llm", "schedule"},
	"gateway/tally":       {".", "llm"},
	"gateway/problem":     {".", "gateway/api"},
	"gateway/auth":        {".", "gateway/api", "gateway/problem", "schedule"},
	"gateway/webhook":     {".", "gateway/api", "gateway/auth", "gateway/problem", "tool"},
	"gateway/remote":      {".", "gateway/api", "gateway/auth", "gateway/problem"},
	"gateway/mcpserver":   {".", "gateway/api"},
	"client":              {".", "agent", "gateway/api", "llm", "schedule"},
	"web":                 {},
	"internal/search":     {"."},
	"internal/cli":        {"*", "store/*", "llm/*", "flow/flowtest", "gateway/api", "gateway/auth", "gateway/mcpserver", "gateway/webhook", "gateway/remote", "internal/search"},
	"cmd/*":               {"internal/cli"},
	"examples/*":          {"*", "store/*", "llm/*"},
	"telemetry":           {".", "llm", "tool"},
	"internal/ledgertest": {".", "bidetest", "internal/pgtest", "seal", "store/*"},
}

// kernelDeps are the modules that the kernel and what it imports may come from,
// besides the standard library.
var kernelDeps = []string{
	"github.com/go-json-experiment/json",
	"github.com/google/uuid",
	"github.com/santhosh-tekuri/jsonschema/v6",
	"golang.org/x/text",
}

// home is the key of layout that a package belongs to, and the part of its path
// that is one package for the table: store/sqlite/vfs is part of store/sqlite.
func home(pkg string) (key, unit string) {
	segs := strings.Split(pkg, "/")
	for n := len(segs); n > 0; n-- {
		if key := strings.Join(segs[:n-1], "/") + "/*"; n > 1 && layout[key] != nil {
			return key, strings.Join(segs[:n], "/")
		}
		if unit := strings.Join(segs[:n], "/"); layout[unit] != nil {
			return unit, unit
		}
	}
	return "", ""
}

// checkImport says why pkg must not import dep, both relative to the module, or nothing.
func checkImport(pkg, dep string) string {
	from, unit := home(pkg)
	to, target := home(dep)
	switch may := layout[from]; {
	case from == "":
		return fmt.Sprintf("%s has no place in the layout; give it one in imports_test.go", pkg)
	case to == "":
		return fmt.Sprintf("%s imports %s, which has no place in the layout", pkg, dep)
	case unit == target, slices.Contains(may, to), slices.Contains(may, target):
		return ""
	case slices.Contains(may, "*") && !strings.Contains(to, "/"):
		return ""
	}
	return fmt.Sprintf("%s must not import %s", pkg, dep)
}

// checkKernelDep says why the kernel must not depend on dep, or nothing.
func checkKernelDep(dep string) string {
	for _, m := range kernelDeps {
		if dep == m || strings.HasPrefix(dep, m+"/") {
			return ""
		}
	}
	return fmt.Sprintf("the kernel must not depend on %s", dep)
}

// listed is what go list says of one package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func goList(t *testing.T, args ...string) (pkgs []listed) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports"}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("go list %q = %v\n%s", args, err, exit.Stderr)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// within returns a path relative to the module, and whether it is in it.
func within(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestImportsPointOneWay(t *testing.T) {
	pkgs := goList(t, "./...")
	if len(pkgs) < 2 {
		t.Fatalf("go list ./... found %d packages", len(pkgs))
	}
	for _, p := range pkgs {
		pkg, ok := within(p.ImportPath)
		if key, _ := home(pkg); !ok || key == "" {
			t.Errorf("%s has no place in the layout; give it one in imports_test.go", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			if dep, ok := within(path); ok {
				if fault := checkImport(pkg, dep); fault != "" {
					t.Error(fault)
				}
			}
		}
	}
}

func TestTheKernelDependsOnlyOnWhatItNames(t *testing.T) {
	unused := slices.Clone(kernelDeps)
	for _, p := range goList(t, "-deps", ".") {
		if p.Standard || p.ImportPath == module {
			continue
		}
		if fault := checkKernelDep(p.ImportPath); fault != "" {
			t.Error(fault)
		}
		unused = slices.DeleteFunc(unused, func(m string) bool { return strings.HasPrefix(p.ImportPath+"/", m+"/") })
	}
	if len(unused) > 0 {
		t.Errorf("the kernel does not depend on %q; take it off the list", unused)
	}
}

func TestImportRulesRefuseWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		pkg, dep string
		ok       bool
	}{
		{".", "store/mem", false},
		{".", "ledger", false},
		{"store/sqlite", ".", true},
		{"store/sqlite", "store/sqlite/internal/schema", true},
		{"store/sqlite/internal/schema", ".", true},
		{"store/sqlite", "store/mem", false},
		{"store/file", "store/sqlite/internal/schema", false},
		{"store/postgres", "internal/cli", false},
		{"store/mem", "storetest", false},
		{"ledger", "worker", false},
		{"llm/openai", "llm", true},
		{"llm/openai", "llm/ollama", false},
		{"agent", "llm/openai", false},
		{"worker", "schedule", true},
		{"worker", "gateway", false},
		{"worker", "store/sqlite", false},
		{"gateway", "worker", true},
		{"gateway", "store/sqlite", false},
		{"gateway", "llm/openai", false},
		{"gateway", "internal/cli", false},
		{"internal/cli", "store/postgres", true},
		{"internal/cli", "llm/openai", true},
		{"internal/cli", "gateway", true},
		{"internal/cli", "cmd/bide", false},
		{"cmd/bide", "internal/cli", true},
		{"cmd/bide", "gateway", false},
		{"examples/refund", "store/sqlite", true},
		{"examples/refund", "bidetest", true},
		{"examples/refund", "internal/cli", false},
		{"examples/refund", "examples/smallest", false},
		{"nowhere", ".", false},
		{".", "nowhere", false},
	} {
		if fault := checkImport(c.pkg, c.dep); (fault == "") != c.ok {
			t.Errorf("checkImport(%q, %q) = %q, want ok %v", c.pkg, c.dep, fault, c.ok)
		}
	}
	for dep, ok := range map[string]bool{
		"golang.org/x/text/language":                  true,
		"github.com/go-json-experiment/json/jsontext": true,
		"github.com/google/uuid":                      true,
		"github.com/google/uuidv8":                    false,
		"github.com/google/go-cmp/cmp":                false,
		"golang.org/x/net/html":                       false,
	} {
		if fault := checkKernelDep(dep); (fault == "") != ok {
			t.Errorf("checkKernelDep(%q) = %q, want ok %v", dep, fault, ok)
		}
	}
}

// What the table allows step by step must not add up to what it forbids.
func TestOnlyTheOutsideReachesStoresAndProviders(t *testing.T) {
	for _, from := range slices.Sorted(maps.Keys(layout)) {
		if slices.Contains([]string{"internal/cli", "engine", "internal/ledgertest", "cmd/*", "examples/*", "bidetest", "flow/flowtest", "store/*", "llm/*"}, from) {
			continue
		}
		seen := map[string]bool{}
		for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
			if pkg := queue[0]; !seen[pkg] {
				seen[pkg] = true
				queue = append(queue, layout[pkg]...)
			}
		}
		for pkg := range seen {
			if strings.HasPrefix(pkg, "store/") || strings.HasPrefix(pkg, "llm/") || pkg == "internal/cli" || pkg == "*" {
				t.Errorf("%s may reach %s", from, pkg)
			}
		}
	}
}
