package cli_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	kernel "github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
)

// desk is a project whose store has one run that waits, of a workflow written in Go.
type desk struct {
	t   *testing.T
	dir string
}

// newDesk starts a run whose effect opens a wait, and completes with the answer.
func newDesk(t *testing.T, w kernel.Wait) *desk {
	t.Helper()
	d := &desk{t, t.TempDir()}
	d.with(func(ctx context.Context, rt *kernel.Runtime, wf kernel.Workflow) (*kernel.Run, error) {
		return rt.Run(ctx, wf, nil, &kernel.StartOptions{RunID: "r"})
	}, &w)
	return d
}

// outcome lets the run go on and returns its output.
func (d *desk) outcome() string {
	d.t.Helper()
	run := d.with(func(ctx context.Context, rt *kernel.Runtime, wf kernel.Workflow) (*kernel.Run, error) {
		if err := rt.Register(wf); err != nil {
			return nil, err
		}
		return rt.Tick(ctx, "r")
	}, nil)
	return string(run.Output)
}

func (d *desk) with(do func(context.Context, *kernel.Runtime, kernel.Workflow) (*kernel.Run, error), w *kernel.Wait) *kernel.Run {
	d.t.Helper()
	store, err := sqlite.Open(d.t.Context(), filepath.Join(d.dir, "desk.db"), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			d.t.Error(err)
		}
	}()
	rt, err := kernel.New(store, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	rt.Handle("act", func(_ context.Context, call *kernel.Invocation) (kernel.Outcome, error) {
		if len(call.Answered) == 0 && w != nil {
			return kernel.Waiting(*w), nil
		}
		return kernel.Completed(call.Answered[0].Decision.Answer), nil
	})
	act := func(*kernel.Run) (kernel.StepPlan, error) {
		return kernel.Do(kernel.Call("act", nil).As("done")).ThenCompleteWith("done"), nil
	}
	run, err := do(d.t.Context(), rt, kernel.Workflow{ID: "desk", Version: "1", Entry: "act", Nodes: kernel.Nodes{"act": act}})
	if err != nil {
		d.t.Fatal(err)
	}
	return run
}

// bide runs the program on the desk's store and wants an exit code.
func (d *desk) bide(code int, args ...string) *result {
	d.t.Helper()
	r := bide(d.t, d.dir, append([]string{"--store", "sqlite:desk.db"}, args...)...)
	if r.code != code {
		d.t.Errorf("bide %q ends with code %d, want %d\n%s%s", args, r.code, code, r.stdout.String(), r.stderr.String())
	}
	return r
}

func mail() kernel.Wait {
	return kernel.Wait{Kind: kernel.WaitToolApproval, Message: "A mail wants to be sent", Items: []kernel.ToolItem{{
		ToolCallID: "c1", Name: "send_mail", Args: kernel.JSON(`{"to": "ann@example.com"}`), Reason: "it leaves the house",
		ArgsSchema: kernel.JSON(`{"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}, "additionalProperties": false}`),
	}}}
}

func TestAToolCallIsDecidedFromTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"approve", "r"}, `"type":"approve"`},
		{[]string{"approve", "r", "--args", "to=bob@example.com"}, `"args":{"to":"bob@example.com"}`},
		{[]string{"reject", "r.1", "--message", "not on Fridays"}, "not on Fridays"},
		{[]string{"respond", "r", "it", "was", "sent", "yesterday"}, "it was sent yesterday"},
	} {
		d := newDesk(t, mail())
		if said := d.bide(0, "why", "r").stdout.String(); !strings.Contains(said, `send_mail {"to":"ann@example.com"} (it leaves the house)`) || !strings.Contains(said, "bide approve r.1") {
			t.Errorf("bide why does not say what is to be decided:\n%s", said)
		}
		if open := d.bide(0, "ls", "wait:tool_approval", "-o", "jsonl").stdout.String(); !strings.Contains(open, `"run_id":"r"`) {
			t.Errorf("bide ls wait:tool_approval = %q", open)
		}
		d.bide(2, "approve", "r", "--args", "to=12", "--args", "cc=x") // not what the schema allows
		d.bide(0, c.args...)
		if got := d.outcome(); !strings.Contains(got, c.want) {
			t.Errorf("after bide %q the output is %s, want %s in it", c.args, got, c.want)
		}
		d.bide(0, append([]string{c.args[0], "r.1"}, c.args[2:]...)...) // the same again
		d.bide(4, "respond", "r.1", "something else")
		d.bide(3, "approve", "r.2", "--command-id", "late")
	}
}

func TestAToolCallIsDecidedAtTheTerminal(t *testing.T) {
	for _, c := range []struct {
		turns [][2]string
		want  string
	}{
		{[][2]string{{"[approve/edit/reject/respond] ", "a\n"}}, `"type":"approve"`},
		{[][2]string{{"[approve/edit/reject/respond] ", "edit\n"}, {"to: ", "bob@example.com\n"}}, `"args":{"to":"bob@example.com"}`},
		{[][2]string{{"[approve/edit/reject/respond] ", "rej\n"}, {"Why (optional): ", "not today\n"}}, "not today"},
		{[][2]string{{"[approve/edit/reject/respond] ", "res\n"}, {"The result to give: ", "sent\n"}}, `"sent"`},
	} {
		d := newDesk(t, mail())
		s := atTerminal(t, d.dir, "--store", "sqlite:desk.db", "answer", "@last")
		s.sees("send_mail")
		for _, turn := range c.turns {
			s.sees(turn[0])
			s.types(turn[1])
		}
		s.sees("Answered r.1")
		s.ends(0)
		if got := d.outcome(); !strings.Contains(got, c.want) {
			t.Errorf("after %q the output is %s, want %s in it", c.turns, got, c.want)
		}
	}
}

func TestABudgetIsRaisedAtTheTerminalOrStopped(t *testing.T) {
	budget := kernel.Wait{Kind: kernel.WaitBudget, Message: "The budget of 5 EUR is used up", Again: true,
		Schema: kernel.JSON(`{"type": "object", "required": ["eur"], "properties": {"eur": {"type": "number"}}}`)}
	d := newDesk(t, budget)
	s := atTerminal(t, d.dir, "--store", "sqlite:desk.db", "answer", "@last")
	s.sees("The budget of 5 EUR is used up")
	s.sees("[raise/stop] ")
	s.types("raise\n")
	s.sees("eur: ")
	s.types("10\n")
	s.ends(0)
	if got := d.outcome(); !strings.Contains(got, `"eur":10`) {
		t.Errorf("after raise the output is %s", got)
	}
	d = newDesk(t, budget)
	d.bide(2, "approve", "r")
	d.bide(0, "answer", "r", `{"type": "stop"}`)
	if got := d.outcome(); !strings.Contains(got, `"stop"`) {
		t.Errorf("after stop the output is %s", got)
	}
}
