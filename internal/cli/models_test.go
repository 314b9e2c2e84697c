package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// assistant is a folder with the example of an agent.
func assistant(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples", "assistant"), os.DirFS("../../examples/assistant")); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../examples/assistant.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "examples", "assistant.yaml"), doc, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "examples", "assistant", "answer.txt")); err != nil {
		t.Fatal(err)
	}
	return dir
}

const assistantCommand = "run examples/assistant.yaml --config examples/assistant/bide.yaml"

func TestAnAgentAsksAtTheTerminalBeforeItsToolIsCalled(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "go run ./cmd/bide "+assistantCommand+"\n") {
		t.Errorf("docs/cli.md does not have the command of the example")
	}
	for _, c := range []struct {
		types   string
		written bool
	}{{"approve\n", true}, {"reject\n", false}} {
		dir := assistant(t)
		s := atTerminal(t, dir, strings.Fields(assistantCommand)...)
		s.sees("write_file")
		s.sees("[approve/edit/reject/respond] ")
		answer := filepath.Join(dir, "examples", "assistant", "answer.txt")
		if _, err := os.Stat(answer); !os.IsNotExist(err) {
			t.Fatalf("before the decision, the file: %v, want that it is not there", err)
		}
		s.types(c.types)
		if !c.written {
			s.sees("Why (optional): ")
			s.types("not now\n")
		}
		s.sees("Ledger verified")
		s.sees(`"model_calls": 3`)
		s.ends(0)
		if _, err := os.Stat(answer); (err == nil) != c.written {
			t.Errorf("after %q, the file: %v", c.types, err)
		}
	}
}

func TestAnAgentIsApprovedFromAnotherProcess(t *testing.T) {
	dir := assistant(t)
	if r := bide(t, dir, strings.Fields(assistantCommand)...); r.code != 6 {
		t.Fatalf("without a terminal the code is %d, want 6\n%s", r.code, r.stderr.String())
	}
	config := []string{"--config", "examples/assistant/bide.yaml"}
	for _, args := range [][]string{{"approve", "@last"}, {"run", "--resume"}, {"show", "@last"}} {
		if r := bide(t, dir, append(args, config...)...); r.code != 0 {
			t.Fatalf("bide %q ends with code %d\n%s", args, r.code, r.stderr.String())
		}
	}
	agents := regexp.MustCompile(`"run_id":"([^"]+)"`).FindStringSubmatch(bide(t, dir, "ls", "flow:agent", "-o", "jsonl").stdout.String())
	if len(agents) == 0 {
		t.Fatal("bide ls does not list the run of the agent")
	}
	if shown := bide(t, dir, "show", agents[1]).stdout.String(); !strings.Contains(shown, "3 answers, 0 failed attempts, 770 tokens in, 58 out") {
		t.Errorf("bide show does not say what the model used:\n%s", shown)
	}
	if r := bide(t, dir, append([]string{"replay", agents[1]}, config...)...); r.code != 0 {
		t.Errorf("bide replay of the agent ends with code %d\n%s", r.code, r.stderr.String())
	}
	if text, err := os.ReadFile(filepath.Join(dir, "examples", "assistant", "answer.txt")); err != nil || string(text) != "About 56 metres.\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

func TestFaultsOfModelsAndToolsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{"models: {defualt: a/b}", "bide.yaml:1, models: "},
		{"models: {providers: {openai: {key: sk-hush}}}", "not the secret itself"},
		{"tools: {fetsh: true}", `unknown field "fetsh"`},
		{"tools: {exec: [git]}", "exec needs a workspace"},
		{"tools: {policy: [{decide: perhaps}]}", "perhaps"},
		{"tools: {mcp: [{name: a}]}", "bide.yaml:1, tools: "},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "bide.yaml"), []byte(c.config+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := bide(t, dir, "version")
		if said := r.stderr.String(); r.code != 2 || !strings.Contains(said, c.want) || strings.Contains(said, "sk-hush") {
			t.Errorf("with %q bide ends with code %d and says %q, want 2 and %q", c.config, r.code, said, c.want)
		}
	}
}
