package cli_test

import (
	"os/exec"
	"testing"
)

// A client in another language, generated from the description of the API, drives a run from its start to its ledger; its
// types fit what it does.
func TestAGeneratedClientDrivesARun(t *testing.T) {
	const example = "../../examples/typescript"
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = example
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v; scripts/node installs what it needs\n%s", name, args, err, out)
		}
		return string(out)
	}
	run("npm", "run", "--silent", "generate")
	run("npm", "run", "--silent", "build")
	url, _ := serving(t, project(t), "dev")
	const want = `started once
question: Refund 120? (approve, reject)
answered by ann
too late: 409 already_decided
completed: {"said":"approve"}
1 run.started
2 step.planned @start
3 step.planned ok
4 wait.opened ok
5 wait.resolved ok
6 step.planned @end
7 run.completed @end
7 records verified; 1 of 1 runs completed
`
	if got := run("node", "dist/approve.js", url); got != want {
		t.Errorf("it says:\n%swant:\n%s", got, want)
	}
}
