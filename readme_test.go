package bide_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// snippet is one fenced block of a Markdown file.
type snippet struct{ lang, text string }

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```[ \t]*$")

func snippets(markdown string) (out []snippet) {
	for _, m := range fence.FindAllStringSubmatch(markdown, -1) {
		out = append(out, snippet{lang: m[1], text: m[2]})
	}
	return out
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// build compiles a whole Go file as part of this module and returns the program.
func build(t *testing.T, file string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("go build = %v\n%s", err, out)
	}
	return program
}

func TestReadmeShowsTheSmallestExample(t *testing.T) {
	want := snippet{"go", readFile(t, "examples/smallest/main.go")}
	if !slices.Contains(snippets(readFile(t, "README.md")), want) {
		t.Errorf("no Go block of README.md is examples/smallest/main.go, byte for byte")
	}
}

// Every block says what it is, and every Go block is a whole file that compiles.
func TestReadmeSnippetsCompile(t *testing.T) {
	readme := readFile(t, "README.md")
	blocks := snippets(readme)
	if fences := strings.Count(readme, "```"); len(blocks) == 0 || fences != 2*len(blocks) {
		t.Fatalf("README.md has %d fences and %d blocks", fences, len(blocks))
	}
	for _, block := range blocks {
		switch block.lang {
		case "sh", "text":
		case "go":
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(block.text), 0o600); err != nil {
				t.Fatal(err)
			}
			build(t, file)
		default:
			t.Errorf("a block is marked %q, not go, sh or text:\n%s", block.lang, block.text)
		}
	}
}

func TestSmallestExampleDoesWhatReadmeSays(t *testing.T) {
	program, dir := build(t, "./examples/smallest"), t.TempDir()
	for _, when := range []string{"first", "second"} {
		cmd := exec.Command(program)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("the %s run = %v\n%s", when, err, out)
		}
		if said := "`" + strings.TrimSpace(string(out)) + "`"; !strings.Contains(readFile(t, "README.md"), "It prints "+said) {
			t.Errorf("the %s run prints %s, which is not what README.md says", when, said)
		}
	}
}
