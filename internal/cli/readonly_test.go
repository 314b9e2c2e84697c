//go:build unix

package cli_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// outsider runs the program as somebody whom permissions hold back, which they do not root.
func outsider(t *testing.T, dir string, args ...string) *result {
	t.Helper()
	r := &result{}
	program, err := exec.LookPath("bide")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	if os.Getuid() == 0 {
		cmd.Path = publicCopy(t, dir, program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &r.stdout, &r.stderr
	cmd.Env = append(os.Environ(), "BIDE_ACTOR=ann", "TZ=UTC", "HOME="+dir)
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.code = cmd.ProcessState.ExitCode()
	return r
}

// publicCopy is the program where everybody may start it.
func publicCopy(t *testing.T, dir, program string) string {
	t.Helper()
	to := filepath.Join(dir, "bide")
	if _, err := os.Stat(to); err == nil {
		return to
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// openTo sets the modes of all that is below a folder.
func openTo(t *testing.T, dir string, folders, files os.FileMode) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, folders)
		}
		return os.Chmod(path, files)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStoreThatCannotBeWrittenCanBeLookedAt(t *testing.T) {
	flows, err := filepath.Abs("testdata/flows")
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"sqlite:kept/bide.db", "file:kept/runs"} {
		t.Run(strings.SplitN(scheme, ":", 2)[0], func(t *testing.T) {
			dir, err := os.MkdirTemp("", "outsider") // t.TempDir is closed to others
			if err != nil {
				t.Fatal(err)
			}
			kept := filepath.Join(dir, "kept")
			t.Cleanup(func() {
				openTo(t, kept, 0o755, 0o644)
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			for _, args := range [][]string{{"run", "hello", "-i", "name=Bo", "--run-id", "h1"}, {"start", "ask", "--run-id", "a1"}, {"run", "ask", "--run-id", "a2"}} {
				args[1] = filepath.Join(flows, args[1]+".yaml")
				if r := bide(t, dir, append(args, "--store", scheme)...); r.code != 0 && r.code != 6 {
					t.Fatalf("bide %q ends with %d: %s", args, r.code, &r.stderr)
				}
			}
			openTo(t, kept, 0o555, 0o444)
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			for _, test := range []struct {
				args string
				code int
				says string // on standard output or error
			}{
				{"ls", 0, "h1 "},
				{"show h1", 0, "Bo"},
				{"tail h1", 0, "run.completed"},
				{"state h1", 0, "Bo"},
				{"why a2", 0, "is waiting"},
				{"inbox", 0, "a2."},
				{"verify --all", 0, "ledgers checked"},
				{"replay h1", 0, "is decided as it was"},
				{"export h1 --to out.jsonl", 0, "1 run written"},
				{"inspect out.jsonl", 0, "h1"},
				{"report h1", 0, "h1"},
				{"schedule ls", 0, "No schedules"},
				{"workers", 0, ""},
				{"doctor", 1, "cannot be written"},
				{"answer a2.1 approve", 1, "kept"},
				{"start " + filepath.Join(flows, "hello.yaml") + " -i name=x", 1, "cannot be written"},
			} {
				r := outsider(t, dir, append(strings.Fields(test.args), "--store", scheme)...)
				if said := r.stdout.String() + r.stderr.String(); r.code != test.code || !strings.Contains(said, test.says) {
					t.Errorf("bide %s ends with %d, want %d and %q: %s", test.args, r.code, test.code, test.says, said)
				}
			}
			openTo(t, kept, 0o755, 0o644)
			if r := bide(t, dir, "answer", "a2.1", "approve", "--store", scheme); r.code != 0 {
				t.Errorf("bide answer, when the store can be written, ends with %d: %s", r.code, &r.stderr)
			}
		})
	}
}
