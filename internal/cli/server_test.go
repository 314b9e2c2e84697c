package cli_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// serving starts a command that serves, and returns its address and what ends it.
func serving(t *testing.T, dir string, args ...string) (url string, end func()) {
	t.Helper()
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	cmd := exec.Command("bide", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BIDE_ACTOR=ann", "TZ=UTC")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
			return
		} else if err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q ended with %v", args, err)
		}
	}
	t.Cleanup(end)
	address := regexp.MustCompile(`https?://127\.0\.0\.1:\d+`)
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if url = address.FindString(lines.Text()); url != "" {
			return url, end
		}
	}
	t.Fatalf("%q does not say where it listens", args)
	return "", nil
}

// project makes a folder with some flows of the tests.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "flows"), os.DirFS("testdata/flows")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "flows", "broken.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bide.yaml"), []byte("output: table\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wants runs a command and wants its exit code, and texts in what it writes.
func wants(t *testing.T, dir string, code int, args []string, texts ...string) string {
	t.Helper()
	r := bide(t, dir, args...)
	all := r.stdout.String() + r.stderr.String()
	if r.code != code {
		t.Fatalf("bide %q = %d, want %d:\n%s", args, r.code, code, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("bide %q does not say %q:\n%s", args, text, all)
		}
	}
	return strings.TrimSpace(r.stdout.String())
}

// Every command that acts on runs does so through a server, too.
func TestEveryCommandActsThroughAServer(t *testing.T) {
	dir := project(t)
	url, _ := serving(t, dir, "dev")
	elsewhere := project(t) // where no store is
	t.Setenv("BIDE_SERVER", url)
	do := func(code int, line string, texts ...string) string {
		t.Helper()
		return wants(t, elsewhere, code, strings.Fields(line), texts...)
	}
	do(6, "run ask --key k1", "is waiting")
	id := do(0, "start ask --key k1")
	do(0, "ls status:waiting -o jsonl", id)
	do(0, "inbox", id+".1", "question")
	do(0, "show "+id, "wait.opened")
	do(0, "why "+id, id+".1")
	do(0, "state "+id+" --at 1", "input")
	do(0, "pause "+id+" --reason lunch")
	do(4, "pause "+id)
	do(0, "unpause "+id)
	do(0, "send greeting --run "+id)
	do(2, "answer "+id+" nonsense")
	do(0, "approve "+id)
	do(0, "run --resume "+id, "Ledger verified")
	do(0, "tail "+id+" --follow", "run.completed")
	do(0, "verify "+id, "yes")
	do(0, "replay "+id)
	do(0, "schedule add nightly ask --cron @daily", "nightly")
	do(0, "schedule ls", "nightly")
	do(0, "schedule pause nightly")
	do(0, "schedule rm nightly")
	id, _, _ = strings.Cut(do(0, "workers -o jsonl", `"alive":true`)[len(`{"id":"`):], `"`)
	do(0, "workers drain "+id, "drained")
	do(0, "workers", "drained")
	do(0, "workers undrain "+id, "at work")
	do(0, "workers load")
	do(0, "doctor", url)
	failed := do(0, "start fail")
	do(5, "run --resume "+failed)
	do(0, "retry "+failed)
	other := do(0, "start ask")
	do(0, "cancel "+other)
	do(0, "delete "+other+" --yes")
	do(3, "show "+other)
	do(2, "work", "--server")
	if _, err := os.Stat(filepath.Join(elsewhere, ".bide", "bide.db")); err == nil {
		t.Error("a command through a server made a store")
	}
}

// A server for others lets nobody in without a token, and each token no further than its role.
func TestServeLetsInWhoHasAToken(t *testing.T) {
	dir := project(t)
	operator := wants(t, dir, 0, []string{"token", "create", "ops", "--role", "author"}, "not shown again")
	approver := wants(t, dir, 0, []string{"token", "create", "boss", "--role", "approver", "--actor", "zoe"})
	wants(t, dir, 2, []string{"token", "create", "x", "--role", "king"}, "king")
	url, end := serving(t, dir, "serve")
	do := func(token string, code int, line string, texts ...string) string {
		t.Helper()
		t.Setenv("BIDE_SERVER", url)
		t.Setenv("BIDE_TOKEN", token)
		defer t.Setenv("BIDE_SERVER", "")
		return wants(t, dir, code, strings.Fields(line), texts...)
	}
	do("", 1, "ls", "credentials")
	do(operator+"x", 1, "ls", "token")
	do(operator, 6, "run ask --key k1")
	id := do(operator, 0, "start ask --key k1")
	do(operator, 1, "approve "+id, "decide")
	do(approver, 1, "cancel "+id+" --yes", "operate")
	do(approver, 0, "approve "+id+" --actor somebody")
	do(approver, 0, "tail "+id+" --follow -o jsonl", `"actor":"zoe"`)
	list := wants(t, dir, 0, []string{"token", "list", "-o", "jsonl"}, "boss")
	boss := regexp.MustCompile(`"token_id":"([^"]+)","name":"boss"`).FindStringSubmatch(list)
	if boss == nil || strings.Contains(list, approver) {
		t.Fatalf("the tokens are %s", list)
	}
	wants(t, dir, 0, []string{"token", "revoke", boss[1]})
	do(approver, 1, "ls", "token")
	end()
}
