package bide_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// impure are the functions by which time, randomness and the environment come
// into a program. In the kernel they may be named only where impureIn says (K5).
// The entries are patterns of path.Match.
var impure = []string{
	"time.Now", "time.Since", "time.Until", "time.After*", "time.New*", "time.Tick", "time.Sleep", "time.Local",
	"math/rand.*", "math/rand/v2.*", "crypto/rand.*", "github.com/google/uuid.New*",
	"os.*", "net.*", "net/http.*",
}

var impureIn = map[string][]string{
	"clock.go":   {"time.Now", "time.AfterFunc", "github.com/google/uuid.NewV7"},
	"runtime.go": {"math/rand/v2.Float64"},
}

var (
	majorVersion = regexp.MustCompile(`^v[0-9]+$`)
	leftOpen     = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	vagueNames   = []string{"common", "helper", "helpers", "misc", "pkg", "util", "utils"}
	skippedDirs  = []string{".git", "node_modules", "testdata"}
)

// lintFile lists what is wrong with one Go file; name is its path in the repository.
func lintFile(name string, f *ast.File) (faults []string) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	isTest := strings.HasSuffix(name, "_test.go")
	if dir := path.Base(path.Dir(name)); slices.Contains(vagueNames, dir) || slices.Contains(vagueNames, f.Name.Name) {
		add("package %s: the name does not say what it provides", path.Join(path.Dir(name), f.Name.Name))
	}
	for _, group := range f.Comments {
		if word := leftOpen.FindString(group.Text()); word != "" {
			add("%s comment; do it or write it down elsewhere", word)
		}
	}
	for used := range uses(f) {
		switch {
		case isTest && used == "time.Sleep":
			add("a test sleeps; wait for the condition or use fake time")
		case !isTest && path.Dir(name) == "." && matches(impure, used) && !slices.Contains(impureIn[name], used):
			add("the kernel uses %s; take it from the input or the runtime", used)
		}
	}
	if !isTest && f.Name.Name != "main" {
		for _, decl := range f.Decls {
			for _, id := range undocumented(decl) {
				add("%s is exported and has no doc comment", id)
			}
		}
	}
	return faults
}

// uses yields every name of an imported package that f uses, with the package's path.
func uses(f *ast.File) func(yield func(string) bool) {
	paths := map[string]string{}
	for _, spec := range f.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		local := path.Base(importPath)
		if majorVersion.MatchString(local) {
			local = path.Base(path.Dir(importPath))
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		paths[local] = importPath
	}
	return func(yield func(string) bool) {
		for n := range ast.Preorder(f) {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if x, ok := sel.X.(*ast.Ident); ok && paths[x.Name] != "" && !yield(paths[x.Name]+"."+sel.Sel.Name) {
				return
			}
		}
	}
}

func matches(patterns []string, used string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, used)
		return ok || err != nil
	})
}

// undocumented lists the exported names of a declaration without a comment. A
// comment on a group of constants or variables speaks for all of them.
func undocumented(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if recv := receiver(d); d.Doc == nil && d.Name.IsExported() && (recv == "" || ast.IsExported(recv)) {
			names = append(names, strings.TrimPrefix(recv+"."+d.Name.Name, "."))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if id.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// receiver is the name of a method's type, or empty.
func receiver(d *ast.FuncDecl) (name string) {
	if d.Recv == nil {
		return ""
	}
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}

// lint lists what is wrong with a set of files, by path.
func lint(files map[string]*ast.File) (faults []string) {
	said := map[string]bool{} // by package: whether it has a comment
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		for _, fault := range lintFile(name, f) {
			faults = append(faults, name+": "+fault)
		}
		if !strings.HasSuffix(name, "_test.go") {
			said[path.Dir(name)] = said[path.Dir(name)] || f.Doc != nil
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(said)) {
		if !said[dir] {
			faults = append(faults, dir+": the package has no comment that says what it is for")
		}
	}
	return faults
}

func TestTheCodeKeepsTheHouseRules(t *testing.T) {
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skippedDirs, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		files[filepath.ToSlash(name)] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files["runtime.go"] == nil {
		t.Fatalf("the walk over %d files did not meet the kernel", len(files))
	}
	for _, fault := range lint(files) {
		t.Error(fault)
	}
}

func TestTheHouseRulesRefuseWhatTheyShould(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"a_test.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }", "a test sleeps"},
		{"a_test.go", "package a\nimport clock \"time\"\nvar f = clock.Sleep", "a test sleeps"},
		{"run.go", "// Package a.\npackage a\nimport \"time\"\nvar t = time.Now()", "the kernel uses time.Now"},
		{"runtime.go", "// Package a.\npackage a\nimport \"time\"\nvar t = time.Now()", "the kernel uses time.Now"},
		{"run.go", "// Package a.\npackage a\nimport \"math/rand/v2\"\nvar r = rand.Float64()", "the kernel uses math/rand/v2.Float64"},
		{"runtime.go", "// Package a.\npackage a\nimport \"math/rand/v2\"\nvar r = rand.IntN(3)", "the kernel uses math/rand/v2.IntN"},
		{"run.go", "// Package a.\npackage a\nimport \"os\"\nvar e = os.Getenv(\"A\")", "the kernel uses os.Getenv"},
		{"run.go", "// Package a.\npackage a\nimport \"github.com/google/uuid\"\nvar u, _ = uuid.NewV7()", "the kernel uses github.com/google/uuid.NewV7"},
		{"a/a.go", "package a", "no comment that says what it is for"},
		{"a/util/a.go", "// Package strings.\npackage strings", "does not say what it provides"},
		{"a/a.go", "// Package common.\npackage common", "does not say what it provides"},
		{"a/a.go", "// Package a.\npackage a\n// TO" + "DO: more", "comment; do it"},
		{"a/a.go", "// Package a.\npackage a\nfunc F() {}", "F is exported"},
		{"a/a.go", "// Package a.\npackage a\n// T is.\ntype T[K any] struct{}\nfunc (t *T[K]) M() {}", "T.M is exported"},
		{"a/a.go", "// Package a.\npackage a\n// Types.\ntype (\nT int\n)", "T is exported"},
		{"a/a.go", "// Package a.\npackage a\nconst A = 1", "A is exported"},
	} {
		faults := lintSource(t, c.name, c.src)
		if len(faults) != 1 || !strings.Contains(faults[0], c.want) {
			t.Errorf("lint(%s: %q) = %q, want one that contains %q", c.name, c.src, faults, c.want)
		}
	}
}

func TestTheHouseRulesAllowWhatTheyShould(t *testing.T) {
	for name, src := range map[string]string{
		"clock.go":     "// Package a.\npackage a\nimport \"time\"\nvar t = time.Now()",
		"runtime.go":   "// Package a.\npackage a\nimport \"math/rand/v2\"\nvar r = rand.Float64",
		"worker/a.go":  "// Package a.\npackage a\nimport \"time\"\nvar t = time.Now()",
		"cmd/x/x.go":   "// X does.\npackage main\nfunc F() {}",
		"a_test.go":    "package a\nfunc F() {}",
		"docs/a.go":    "// Package a.\npackage a\n// The kinds.\nconst (\nA = 1\nB = 2\n)\nvar C = 3 // of those",
		"methods/a.go": "// Package a.\npackage a\ntype t int\nfunc (t) M() {}",
	} {
		if faults := lintSource(t, name, src); len(faults) > 0 {
			t.Errorf("lint(%s: %q) = %q, want none", name, src, faults)
		}
	}
}

func lintSource(t *testing.T, name, src string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return lint(map[string]*ast.File{name: f})
}
