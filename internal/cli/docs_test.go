package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a page, with the line before it.
type block struct{ lang, text, before string }

var fence = regexp.MustCompile("(?ms)(?:^([^\n]+)\n\n?)?^```([a-z]*)\n(.*?)^```$")

func blocks(t *testing.T, page string) (out []block) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		out = append(out, block{lang: m[2], text: m[3], before: m[1]})
	}
	if len(out) == 0 {
		t.Fatalf("%s has no blocks", page)
	}
	return out
}

// The commands of the tutorial do what it says, in their order, in one folder.
func TestTheTutorialIsTrue(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BIDE_ACTOR", "ann")
	said := ""
	for _, b := range blocks(t, "../../docs/tutorial.md") {
		switch b.lang {
		case "console": // how to install
		case "yaml":
			name := strings.Trim(strings.TrimSuffix(b.before, ":"), "`")
			if err := os.WriteFile(filepath.Join(dir, name), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case "sh":
			said = ""
			for line := range strings.Lines(b.text) {
				line = strings.TrimSpace(line)
				if to, ok := strings.CutPrefix(line, "cd "); ok {
					dir = filepath.Join(dir, to)
				} else if keys, ok := strings.CutPrefix(b.before, "<!-- types: "); ok {
					said += typed(t, dir, line, strings.TrimSuffix(keys, " -->"))
				} else {
					said += shell(t, dir, line)
				}
			}
		case "text":
			shows(t, b.text, said)
		default:
			t.Errorf("a block is marked %q:\n%s", b.lang, b.text)
		}
	}
}

// shell runs a line, which must succeed, and returns what it says.
func shell(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// typed runs a line at a terminal, where a person answers the first question.
func typed(t *testing.T, dir, line, keys string) string {
	t.Helper()
	s := atTerminalWith(t, exec.Command("sh", "-c", "exec "+line), dir, "NO_COLOR=1")
	s.sees("[well/so-so] ")
	if keys == "^C" {
		s.types("\x03")
		s.ends(130)
	} else {
		s.types(keys + "\n")
		s.ends(0)
	}
	return strings.ReplaceAll(s.shown(), "\r", "")
}

// shows wants the lines of a text in what was said, in their order. … stands for anything, and spaces for any number of them.
func shows(t *testing.T, text, said string) {
	t.Helper()
	rest := said
	for line := range strings.Lines(text) {
		var parts []string
		for _, part := range strings.Split(strings.TrimSpace(line), "…") {
			var words []string
			for _, w := range strings.Fields(part) {
				words = append(words, regexp.QuoteMeta(w))
			}
			parts = append(parts, strings.Join(words, `\s+`))
		}
		pattern := regexp.MustCompile(`(?m)` + strings.Join(parts, `.*`))
		at := pattern.FindStringIndex(rest)
		if at == nil {
			t.Errorf("%q is not shown, or not in its place, in:\n%s", strings.TrimSpace(line), said)
			return
		}
		rest = rest[at[1]:]
	}
}

// The first commands of the README: the flow asks, waits, goes on in another process, ends, and shows its ledger.
func TestTheFirstCommandsOfTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	flow, err := filepath.Abs("../../examples/refund.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go run ./cmd/bide run examples/refund.yaml ", "go run ./cmd/bide run --resume "} {
		if !strings.Contains(string(text), command) {
			t.Errorf("README.md does not have %q", command)
		}
	}
	dir := t.TempDir()
	s := atTerminal(t, dir, "run", flow)
	s.sees("[approve/reject] ")
	s.types("\x03")
	s.ends(130)
	s = atTerminal(t, dir, "run", "--resume")
	s.sees("[approve/reject] ")
	s.types("approve\n")
	s.sees("Refunded 120 EUR for order-42")
	s.sees("Ledger verified")
	s.sees(`"paid": true`)
	s.ends(0)
}

// The page on the command line says what the program says.
func TestThePageOnTheCommandLineIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, topic := range []string{"exit-codes", "search", "config"} {
		said := bide(t, t.TempDir(), "help", topic).stdout.String()
		said, _, _ = strings.Cut(said, "\nUsage:")
		if !strings.Contains(page, strings.TrimSpace(said)) {
			t.Errorf("docs/cli.md does not have bide help %s as it is:\n%s", topic, said)
		}
	}
	var settings []struct{ Name string }
	if err := json.Unmarshal(bide(t, t.TempDir(), "config", "show", "-o", "json").stdout.Bytes(), &settings); err != nil || len(settings) == 0 {
		t.Fatalf("bide config show = %v, %v", settings, err)
	}
	for _, s := range settings {
		if variable := "BIDE_" + strings.ToUpper(strings.ReplaceAll(s.Name, ".", "_")); !regexp.MustCompile(variable + `\b`).MatchString(page) {
			t.Errorf("bide help config does not have %s, with %s", s.Name, variable)
		}
	}
	command := regexp.MustCompile(`(?m)^  ([a-z]+) {2,}`)
	for _, m := range command.FindAllStringSubmatch(bide(t, t.TempDir(), "help").stdout.String(), -1) {
		if name := m[1]; !strings.Contains(page, "| `"+name) && name != "help" {
			t.Errorf("docs/cli.md has no line on bide %s", name)
		}
	}
}
