package tool_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

// workspace is a directory beside a file that must not be reached.
func workspace(t *testing.T) (dir string, w *tool.Workspace) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "work")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..", "outside"), []byte("out of reach"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	w = bide.Must(tool.OpenWorkspace(dir))
	t.Cleanup(func() { w.Close() })
	return dir, w
}

// file calls one of the tools of a workspace.
func file(t *testing.T, w *tool.Workspace, name string, args any) tool.Result {
	t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	for _, tl := range w.Files() {
		if tl.Name == name {
			return one(t, nil, tl, string(raw))
		}
	}
	t.Fatalf("there is no tool %s", name)
	return tool.Result{}
}

type object = map[string]any

func TestTheToolsOfAWorkspace(t *testing.T) {
	dir, w := workspace(t)
	for i, c := range []struct {
		tool string
		args object
		want string
	}{
		{"write_file", object{"path": "src/a.go", "content": "package a\n\nvar x = 1\nvar y = 2\n"}, `{"path":"src/a.go","bytes":31}`},
		{"write_file", object{"path": "b.txt", "content": "x marks\n"}, `{"path":"b.txt","bytes":8}`},
		{"read_file", object{"path": "src/a.go", "first_line": 3, "lines": 1}, "var x = 1\n"},
		{"read_file", object{"path": "src/a.go", "first_line": 40}, ""},
		{"search_files", object{"pattern": "^x|x =", "files": "*.go"}, `{"matches":[{"path":"src/a.go","line":3,"text":"var x = 1"}]}`},
		{"search_files", object{"pattern": "("}, "The tool failed: error parsing regexp: missing closing ): `(`"},
		{"edit_file", object{"path": "src/a.go", "old": "x = 1", "new": "x = 7"}, `{"path":"src/a.go","bytes":31}`},
		{"edit_file", object{"path": "src/a.go", "old": "x = 1", "new": "x = 7"}, "The tool failed: the text to replace occurs 0 times in src/a.go, not once"},
		{"edit_file", object{"path": "src/a.go", "old": "var", "new": "let"}, "The tool failed: the text to replace occurs 2 times in src/a.go, not once"},
		{"read_file", object{"path": "src/a.go"}, "package a\n\nvar x = 7\nvar y = 2\n"},
		{"list_files", object{}, `{"entries":[{"path":"b.txt","bytes":8},{"path":"link","bytes":10},{"path":"src","dir":true},{"path":"src/a.go","bytes":31}]}`},
		{"write_file", object{"path": "src", "content": ""}, "The tool failed: src is not a file"},
	} {
		if got := file(t, w, c.tool, c.args); got.Text() != c.want {
			t.Errorf("%d: %s = %s, want %s", i, c.tool, got.Text(), c.want)
		}
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "src/a.go")); err != nil || !strings.Contains(string(raw), "x = 7") {
		t.Errorf("the file has %q, %v", raw, err)
	}
}

func TestNothingLeadsOutOfAWorkspace(t *testing.T) {
	dir, w := workspace(t)
	for _, name := range []string{"../outside", "link", "/etc/passwd", filepath.Join(dir, "..", "outside"), "src/../../outside"} {
		for tl, args := range map[string]object{
			"read_file": {"path": name}, "write_file": {"path": name, "content": "gotcha"}, "edit_file": {"path": name, "old": "out", "new": "gotcha"},
			"list_files": {"path": name}, "search_files": {"pattern": "reach", "path": name},
		} {
			res := file(t, w, tl, args)
			if strings.Contains(res.Text(), "out of reach") || res.Status == tool.StatusOK && tl != "list_files" && tl != "search_files" {
				t.Errorf("%s of %s = %s %s", tl, name, res.Status, res.Text())
			}
		}
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "..", "outside")); err != nil || string(raw) != "out of reach" {
		t.Errorf("the file outside has %q, %v", raw, err)
	}
}

func TestACommandRunsInTheWorkspaceWithoutAShell(t *testing.T) {
	t.Setenv("SECRET_OF_THIS_PROCESS", "4711")
	dir, w := workspace(t)
	for _, c := range []struct {
		args object
		opts *tool.ExecOptions
		want string
	}{
		{object{"command": []string{"pwd"}}, nil, fmt.Sprintf(`{"exit_code":0,"stdout":%q,"stderr":""}`, dir+"\n")},
		{object{"command": []string{"echo", "$HOME;", "*"}}, nil, `{"exit_code":0,"stdout":"$HOME; *\n","stderr":""}`},
		{object{"command": []string{"cat"}, "stdin": "hello"}, nil, `{"exit_code":0,"stdout":"hello","stderr":""}`},
		{object{"command": []string{"cat"}, "stdin": "hello"}, &tool.ExecOptions{MaxOutput: 2}, `{"exit_code":0,"stdout":"he","stderr":"","cut":true}`},
		{object{"command": []string{"sh", "-c", "echo oops >&2; exit 3"}}, nil, `{"exit_code":3,"stdout":"","stderr":"oops\n"}`},
		{object{"command": []string{"env"}}, &tool.ExecOptions{Env: []string{"A=1"}}, `{"exit_code":0,"stdout":"A=1\n","stderr":""}`},
		{object{"command": []string{"rm", "-rf", "."}}, &tool.ExecOptions{Commands: []string{"ls"}}, `The tool failed: the command is empty or not one of ["ls"]`},
		{object{"command": []string{}}, nil, `The tool failed: the command is empty or not one of []`},
		{object{"command": []string{"no-such-program"}}, nil, `The tool failed: exec: "no-such-program": executable file not found in $PATH`},
	} {
		raw, err := json.Marshal(c.args)
		if err != nil {
			t.Fatal(err)
		}
		if got := one(t, nil, w.Exec(c.opts), string(raw)); got.Text() != c.want {
			t.Errorf("%s = %s, want %s", raw, got.Text(), c.want)
		}
	}
	if got := one(t, nil, w.Exec(nil), `{"command":["env"]}`); strings.Contains(got.Text(), "4711") || len(got.Evidence) != 2 {
		t.Errorf("env = %s with evidence %+v", got.Text(), got.Evidence)
	}
}

// The command starts another one, which holds a named pipe open as long as it
// lives: the end of the pipe is the end of both.
func TestACommandIsKilledWithWhatItStarted(t *testing.T) {
	dir, w := workspace(t)
	pipe := filepath.Join(dir, "pipe")
	if res := one(t, nil, w.Exec(nil), `{"command":["mkfifo","pipe"]}`); res.Status != tool.StatusOK {
		t.Fatalf("there is no named pipe: %s", res.Text())
	}
	run := w.Exec(nil)
	for run.Timeout = 500 * time.Millisecond; ; run.Timeout *= 2 { // until it is enough for the command to begin
		said := writers(t, pipe)
		res := one(t, nil, run, `{"command":["sh","-c","(exec >pipe; echo here; sleep 1000) & wait"]}`)
		if res.Status != tool.StatusError || !strings.Contains(res.Text(), fmt.Sprintf("stopped after %s: the command was killed", run.Timeout)) {
			t.Errorf("result = %s %s", res.Status, res.Text())
		}
		if text := said(); text == "here\n" {
			return
		} else if run.Timeout > time.Minute {
			t.Fatalf("within %s the command says %q", run.Timeout, text)
		}
	}
}

// writers opens a named pipe, so that those who write to it wait for nobody, and returns what reads it until all of them are gone.
func writers(t *testing.T, pipe string) (read func() string) {
	t.Helper()
	own, err := os.OpenFile(pipe, os.O_RDWR, 0) // opening it for reading alone would wait for the first of them
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		cerr := own.Close()
		text, err := io.ReadAll(in)
		if err := errors.Join(cerr, err, in.Close()); err != nil {
			t.Error(err)
		}
		return string(text)
	}
}

// A pipe without a writer never gives anything, and opening it does not end.
func TestAPipeIsNoFile(t *testing.T) {
	_, w := workspace(t)
	if res := one(t, nil, w.Exec(nil), `{"command":["mkfifo","pipe"]}`); res.Status != tool.StatusOK {
		t.Fatalf("there is no named pipe: %s", res.Text())
	}
	for name, args := range map[string]object{"read_file": {"path": "pipe"}, "edit_file": {"path": "pipe", "old": "a", "new": "b"}, "write_file": {"path": "pipe", "content": "a"}} {
		if got := file(t, w, name, args); got.Text() != "The tool failed: pipe is not a file" {
			t.Errorf("%s = %s", name, got.Text())
		}
	}
}

// The end of the pipe is the end of what the command has left behind.
func TestWhatACommandLeavesBehindIsKilled(t *testing.T) {
	dir, w := workspace(t)
	pipe := filepath.Join(dir, "pipe")
	if res := one(t, nil, w.Exec(nil), `{"command":["mkfifo","pipe"]}`); res.Status != tool.StatusOK {
		t.Fatalf("there is no named pipe: %s", res.Text())
	}
	said := writers(t, pipe)
	res := one(t, nil, w.Exec(nil), `{"command":["sh","-c","exec 3>pipe; sleep 1000 & echo here >&3; echo hi"]}`)
	if res.Status != tool.StatusOK || !strings.Contains(res.Text(), `"exit_code":0,"stdout":"hi\n"`) {
		t.Errorf("result = %s %s", res.Status, res.Text())
	}
	if text := said(); text != "here\n" {
		t.Errorf("the command says %q", text)
	}
}
