package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

// The words by which choices of questions say yes and no.
var (
	yesWords = []string{"approve", "approved", "yes", "ok"}
	noWords  = []string{"reject", "rejected", "no", "deny"}
)

func newApprove(a *app) *cobra.Command {
	var command commandFlags
	var args []string
	var remember string
	var anyArgs bool
	cmd := &cobra.Command{
		Use:   "approve WAIT",
		Short: "Say yes: to a question, or to a tool call",
		Long: fmt.Sprintf(`Say yes to a question that has one of the choices %s; or let a tool call be made, with
--args, with other arguments. WAIT is the id of a wait, or a RUN that waits for one answer.

With --remember, later calls of the tool with the same arguments, or with --any-args with any, are made without
asking: in the run, in its session, or in all runs of the workflow. bide grant lists and ends such grants.`, strings.Join(yesWords, ", ")),
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			return a.answer(cmd, refs[0], command, func(w *bide.Wait) (bide.JSON, error) {
				if anyArgs && remember == "" {
					return nil, usage("bide approve --help", "--any-args goes with --remember")
				}
				if remember != "" {
					return remembered(w, args, remember, anyArgs)
				}
				if len(args) == 0 {
					return decision(w, bide.VerbApprove, yesWords, nil, "")
				}
				if w.Kind != bide.WaitToolApproval {
					return nil, usage(howTo(w), "--args is for the call of a tool, and this is %s", article(w.Kind))
				}
				edited, err := readInput("the new arguments", args, w.Items[0].ArgsSchema, a.stdin)
				if err != nil {
					return nil, err
				}
				return decision(w, bide.VerbEdit, nil, edited, "")
			})
		},
		ValidArgsFunction: a.completeWait,
	}
	cmd.Flags().StringVar(&remember, "remember", "", "make later calls like it without asking: in the run, session or workflow")
	cmd.Flags().BoolVar(&anyArgs, "any-args", false, "with --remember, whatever the arguments")
	cmd.Flags().StringArrayVar(&args, "args", nil, "other arguments for a tool call, all of them: NAME=VALUE (again for more), a JSON object, @FILE, or -")
	command.add(cmd)
	return cmd
}

func newReject(a *app) *cobra.Command {
	var command commandFlags
	var message string
	cmd := &cobra.Command{
		Use:   "reject WAIT",
		Short: "Say no: to a question, or to a tool call",
		Long: fmt.Sprintf(`Say no to a question that has one of the choices %s; or keep a tool call from being
made, with --message to tell the model why. WAIT is the id of a wait, or a RUN that waits for one answer.`, strings.Join(noWords, ", ")),
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			return a.answer(cmd, refs[0], command, func(w *bide.Wait) (bide.JSON, error) {
				if message != "" && w.Kind != bide.WaitToolApproval {
					return nil, usage(howTo(w), "--message is for the call of a tool, and this is %s", article(w.Kind))
				}
				return decision(w, bide.VerbReject, noWords, nil, message)
			})
		},
		ValidArgsFunction: a.completeWait,
	}
	cmd.Flags().StringVar(&message, "message", "", "why a tool call is not made, for the model")
	command.add(cmd)
	return cmd
}

func newRespond(a *app) *cobra.Command {
	var command commandFlags
	cmd := &cobra.Command{
		Use:   "respond WAIT TEXT",
		Short: "Answer with words of your own: a question, or in place of a tool call",
		Long: `Answer a question that takes free text, or give the result of a tool call that is not made. What is
written counts as it is: it is not completed to one of the choices. WAIT is the id of a wait, or a RUN that waits for one
answer.`,
		Args: args(2, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.Join(args[1:], " ")
			return a.answer(cmd, args[0], command, func(w *bide.Wait) (bide.JSON, error) {
				if w.Kind == bide.WaitToolApproval {
					return decision(w, bide.VerbRespond, nil, nil, text)
				}
				return plainJSON(text)
			})
		},
		ValidArgsFunction: a.completeWait,
	}
	command.add(cmd)
	return cmd
}

func exactly(n int) cobra.PositionalArgs { return args(n, n) }

// article is a kind of wait in a sentence.
func article(k bide.WaitKind) string {
	if k == "" {
		return "no wait of the run"
	}
	return "a wait of kind " + string(k)
}

// decision is what a verb means for a wait: a decision about its call, or one of the words among its choices.
func decision(w *bide.Wait, v bide.Verb, words []string, edited bide.JSON, message string) (bide.JSON, error) {
	if w.Kind == "" { // there is none: the kernel says so
		return plainJSON(string(v))
	}
	if w.Kind == bide.WaitToolApproval {
		item := &w.Items[0]
		return plainJSON(bide.Approval{Decisions: []bide.ToolDecision{{ToolCallID: item.ToolCallID, ArgsSHA256: item.ArgsSHA256, Type: v, Args: edited, Message: message}}})
	}
	for _, c := range w.Choices {
		if slices.Contains(words, strings.ToLower(c)) {
			return plainJSON(c)
		}
	}
	return nil, usage(howTo(w), "wait %s has none of the choices %s; it is for this: %s", w.ID, strings.Join(words, ", "), oneLine(waitText(w)))
}

// remembered approves a call and later ones like it.
func remembered(w *bide.Wait, edited []string, scope string, anyArgs bool) (bide.JSON, error) {
	if w.Kind != bide.WaitToolApproval {
		return nil, usage(howTo(w), "--remember is for the call of a tool, and this is %s", article(w.Kind))
	}
	if len(edited) > 0 {
		return nil, usage("bide approve --help", "--remember is for a call as it is, and --args changes it")
	}
	match := bide.GrantToolArgs
	if anyArgs {
		match = bide.GrantTool
	}
	item := &w.Items[0]
	return plainJSON(bide.Approval{Decisions: []bide.ToolDecision{{ToolCallID: item.ToolCallID, ArgsSHA256: item.ArgsSHA256, Type: bide.VerbApprove}},
		Remember: &bide.Remember{Scope: bide.GrantScope(scope), Match: match}})
}

// callText says which call a wait is about.
func callText(item *bide.ToolItem) string {
	text := fmt.Sprintf("%s %s", item.Name, item.Args)
	if item.Annotations.Destructive {
		text += ", which may destroy something"
	}
	if item.Reason != "" {
		text += " (" + item.Reason + ")"
	}
	return text
}

// askApproval shows a tool call and asks what is to become of it.
func askApproval(ctx context.Context, t asker, w *bide.Wait) (bide.JSON, error) {
	item := &w.Items[0]
	for _, line := range []string{w.Message, "  " + callText(item), "  " + item.Description} {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := t.say(oneLine(line)); err != nil {
			return nil, err
		}
	}
	var verbs []string
	for _, v := range item.Allowed {
		verbs = append(verbs, string(v))
	}
	reply, err := t.ask(ctx, "["+strings.Join(verbs, "/")+"] ")
	if err != nil {
		return nil, err
	}
	v := bide.Verb(choice(&bide.Wait{Choices: verbs}, reply))
	var edited bide.JSON
	message := ""
	switch v {
	case bide.VerbEdit:
		edited, err = fillForm(ctx, t, item.ArgsSchema, nil)
	case bide.VerbReject:
		message, err = t.ask(ctx, "Why (optional): ")
	case bide.VerbRespond:
		message, err = t.ask(ctx, "The result to give: ")
	}
	if err != nil {
		return nil, err
	}
	return decision(w, v, nil, edited, strings.TrimSpace(message))
}

// askBudget asks whether a run whose budget is used up goes on.
func askBudget(ctx context.Context, t asker, w *bide.Wait) (bide.JSON, error) {
	if err := t.say(oneLine(w.Message)); err != nil {
		return nil, err
	}
	reply, err := t.ask(ctx, "["+bide.BudgetRaise+"/"+bide.BudgetStop+"] ")
	if err != nil {
		return nil, err
	}
	b := bide.Budget{Type: choice(&bide.Wait{Choices: []string{bide.BudgetRaise, bide.BudgetStop}}, reply)}
	if b.Type == bide.BudgetRaise {
		if b.Limits, err = fillForm(ctx, t, w.Schema, nil); err != nil {
			return nil, err
		}
	}
	return plainJSON(b)
}
