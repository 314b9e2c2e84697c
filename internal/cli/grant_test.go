package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var grantID = regexp.MustCompile(`"grant_id":"([^"]+)"`)

// An approval may count for later calls, until it is taken back.
func TestAnApprovalIsRememberedUntilItIsTakenBack(t *testing.T) {
	for _, through := range []string{"the store", "a server"} {
		t.Run(through, func(t *testing.T) {
			dir := project(t)
			for name, text := range map[string]string{
				"bide.yaml":  "tools: {workspace: work}\n",
				"write.yaml": "bide: 1\nflow: write\ninput: {type: object, properties: {n: {type: integer}}}\nsteps:\n  - {tool: {name: write_file, args: {path: a.txt, content: \"is {{ input.n }}\"}}}\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, "work"), 0o700); err != nil {
				t.Fatal(err)
			}
			if through == "a server" {
				url, _ := serving(t, dir, "dev")
				t.Setenv("BIDE_SERVER", url)
			}
			run := func(code int, n string) {
				t.Helper()
				wants(t, dir, code, []string{"run", "write.yaml", "--input", "n=" + n})
			}
			run(6, "1")
			wants(t, dir, 2, []string{"approve", "@last", "--any-args"}, "--any-args goes with --remember")
			wants(t, dir, 2, []string{"approve", "@last", "--remember", "always"}, `"always" is not one of "run", "session" and "workflow"`)
			wants(t, dir, 2, []string{"approve", "@last", "--remember", "session"}, "the run belongs to no session")
			wants(t, dir, 0, []string{"approve", "@last", "--remember", "workflow"})
			wants(t, dir, 0, []string{"run", "--resume", "@last"})
			run(0, "1")
			run(6, "2") // other arguments
			wants(t, dir, 0, []string{"approve", "@last", "--remember", "workflow", "--any-args"})
			wants(t, dir, 0, []string{"run", "--resume", "@last"})
			run(0, "3")
			wants(t, dir, 0, []string{"grant", "ls"}, "write_file", "any", "workflow write", "ann")
			run(0, "4")
			wants(t, dir, 3, []string{"grant", "revoke", "nothing.1"}, `there is no grant "nothing.1"`)
			ids := wants(t, dir, 0, []string{"grant", "ls", "-o", "jsonl"})
			for _, id := range grantID.FindAllStringSubmatch(ids, -1) {
				wants(t, dir, 0, []string{"grant", "revoke", id[1]}, "is ended")
			}
			if left := wants(t, dir, 0, []string{"grant", "ls", "-o", "jsonl"}); left != "" {
				t.Errorf("after they were revoked, there are %s", left)
			}
			run(6, "1")
		})
	}
}
