package cli

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newAnswer(a *app) *cobra.Command {
	var command commandFlags
	var result, failed, fail string
	var done, again bool
	cmd := &cobra.Command{
		Use:   "answer WAIT [VALUE | NAME=VALUE…]",
		Short: "Answer a question, fill in a form, report a job or an effect in doubt",
		Long: `Answer what a run waits for. WAIT is the id of a wait, or a RUN that waits for one answer.

  a question       VALUE is a choice or a text
  a form           NAME=VALUE for each field, a JSON value, @FILE, or - to read it
  a job            --result JSON, or --error TEXT
  effect in doubt  --done, with --result when it has one; --again; --fail WHY

Without an answer, you are asked for it. The first answer wins; the same again is accepted.`,
		Example: `  bide answer @last approve
  bide answer 0192f0c1-7c3e-7d5a-9d52-4be3f1f5c0aa.1 amount=80 reason="too late"`,
		Args: args(1, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			g := given{values: args[1:], done: done, again: again, flags: cmd.Flags().Changed, result: result, failed: failed, fail: fail}
			return a.answer(cmd, args[0], command, func(w *bide.Wait) (bide.JSON, error) { return g.answer(cmd.Context(), a, w) })
		},
		ValidArgsFunction: a.completeWait,
	}
	f := cmd.Flags()
	f.StringVar(&result, "result", "", "result of a job, or of an effect in doubt that is --done: JSON, or text")
	f.StringVar(&failed, "error", "", "why a job failed")
	f.BoolVar(&done, "done", false, "the effect in doubt happened")
	f.BoolVar(&again, "again", false, "the effect in doubt is to be done again")
	f.StringVar(&fail, "fail", "", "the effect in doubt failed, and why")
	command.add(cmd)
	return cmd
}

// answer finds a wait, makes an answer of what was given, and sends it.
func (a *app) answer(cmd *cobra.Command, ref string, command commandFlags, make func(*bide.Wait) (bide.JSON, error)) error {
	out, b, err := a.look(cmd)
	if err != nil {
		return err
	}
	w, err := resolveWait(cmd.Context(), b, ref)
	if err != nil {
		return err
	}
	answer, err := make(w)
	if err != nil {
		return err
	}
	run, err := b.Answer(cmd.Context(), w.ID, answer, command.command(a))
	if err != nil {
		return err
	}
	return out.value(run, func(io.Writer) error {
		a.say("Answered %s with %s. Run %s is %s.", w.ID, oneLine(string(answer)), run.ID, run.Status)
		if run.Status == bide.StatusRunning {
			a.say("A worker makes it go on: one that is at work, or bide run --resume %s", run.ID)
		}
		return nil
	})
}

// given is an answer as it stands on the command line.
type given struct {
	values               []string
	done, again          bool
	result, failed, fail string
	flags                func(name string) bool // whether a flag was given
}

// answer makes the answer to a wait.
func (g *given) answer(ctx context.Context, a *app, w *bide.Wait) (bide.JSON, error) {
	used := ""
	for _, name := range []string{"done", "again", "fail", "error", "result"} {
		if g.flags(name) {
			used = name
			break
		}
	}
	switch {
	case used != "" && len(g.values) > 0:
		return nil, usage("bide answer --help", "--%s and the value %q are two answers", used, g.values[0])
	case g.done || g.again || g.flags("fail"):
		return g.attention()
	case g.flags("error") && g.flags("result"):
		return nil, usage("bide answer --help", "a job has a result or an error, not both")
	case g.flags("error"):
		return plainJSON(bide.JobResult{Error: g.failed})
	case g.flags("result"):
		raw, err := parseField(&schema{}, g.result)
		if err != nil {
			return nil, err
		}
		return plainJSON(bide.JobResult{Result: raw})
	case len(g.values) == 0:
		if !a.person() {
			return nil, usage(howTo(w), "there is no answer, and no terminal to ask at; it waits for this: %s", oneLine(waitText(w)))
		}
		raw, err := askWait(ctx, a.terminal(), w)
		if errors.Is(err, io.EOF) {
			return nil, &problem{code: exitWaiting, what: "not answered; it still waits", next: howTo(w)}
		}
		return raw, err
	case w.Kind == bide.WaitQuestion:
		return plainJSON(choice(w, strings.Join(g.values, " ")))
	case w.Kind == bide.WaitForm && readSchema(w.Schema).kind() == "object" || len(g.values) > 1 || g.values[0] == "-" || strings.HasPrefix(g.values[0], "@"):
		return readInput("the answer", g.values, w.Schema, a.stdin)
	}
	return parseField(readSchema(w.Schema), g.values[0])
}

func (g *given) attention() (bide.JSON, error) {
	answer := bide.Attention{Type: bide.AttentionDone}
	switch n := btoi(g.done) + btoi(g.again) + btoi(g.flags("fail")); {
	case n > 1:
		return nil, usage("bide answer --help", "--done, --again and --fail are three answers; give one")
	case g.again:
		answer.Type = bide.AttentionAgain
	case g.flags("fail"):
		answer.Type, answer.Message = bide.AttentionFail, g.fail
	}
	if g.flags("result") {
		raw, err := parseField(&schema{}, g.result)
		if err != nil {
			return nil, err
		}
		answer.Result = raw
	}
	return plainJSON(answer)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
