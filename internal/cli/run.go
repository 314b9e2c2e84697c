package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newRun(a *app) *cobra.Command {
	var start startFlags
	var resume bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "run FLOW | run --resume [RUN]",
		Short: "Start a run and follow it here, or go on with one",
		Long: `Start a run of a flow and follow it: what happens is drawn as it happens, and
what the run waits for is asked here. FLOW is a file, or the name of a flow of the
project.

Ctrl-C, a closed terminal or a kill do not end the run. bide run --resume goes on
with it, without RUN with the newest that has not ended. While it is followed here,
it can also be answered from elsewhere.

Without a terminal nobody is asked: when the run waits for somebody, bide says how to
answer and ends with code 6. The output of the run is written to standard output.`,
		Example: `  bide run examples/refund.yaml
  bide run refund --input order=42 --input amount=120 --key order-42
  bide run --resume`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !resume && len(args) == 0 {
				return usage("bide run --help", "name a flow to start, or give --resume to go on with a run")
			}
			if resume {
				if name := start.used(cmd); name != "" {
					return usage("bide run --help", "--%s is for starting a run, and --resume goes on with one", name)
				}
			}
			return a.run(cmd, args, &start, resume, wait)
		},
		ValidArgsFunction: a.completeFlow,
	}
	start.add(cmd)
	cmd.Flags().BoolVar(&resume, "resume", false, "go on with a run, by default the newest that has not ended")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to follow; then end with code 7, and the run goes on later (default: without end)")
	return cmd
}

// run starts or finds the run, follows it, and says how it ended or how to go on.
func (a *app) run(cmd *cobra.Command, args []string, start *startFlags, resume bool, wait time.Duration) error {
	out, err := a.output(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	var b backend
	var run *bide.Run
	if resume {
		b, run, err = a.takeUp(cmd, args)
	} else {
		b, run, err = a.begin(cmd, args[0], start)
	}
	if err != nil {
		return err
	}
	if resume && !run.Status.Final() {
		a.say("Going on with run %s, at record %d.", run.ID, run.Seq)
	}
	following := ctx
	if wait > 0 {
		var stop context.CancelFunc
		following, stop = context.WithTimeoutCause(ctx, wait, errTimedOut)
		defer stop()
	}
	f := &follower{b: b, t: a.terminal(), person: a.person(), cmd: bide.Command{Actor: a.cfg.get("actor")}}
	ended, err := f.follow(following, run, resume)
	if err != nil {
		return a.goOnLater(b, run.ID, err)
	}
	return a.result(ctx, b, out, ended)
}

// begin starts a run, with a server or a worker of this process at work.
func (a *app) begin(cmd *cobra.Command, flowName string, start *startFlags) (backend, *bide.Run, error) {
	req, err := start.request(cmd.Context(), a, flowName)
	if err != nil {
		return nil, nil, err
	}
	if a.cfg.get("server") == "" {
		if err := a.cfg.carriesOut(req.Docs...); err != nil {
			return nil, nil, err
		}
	}
	b, err := a.carry(cmd)
	if err != nil {
		return nil, nil, err
	}
	run, err := b.Start(cmd.Context(), req)
	return b, run, err
}

// takeUp finds the run to go on with and its code, with a server or a worker of this process at work.
func (a *app) takeUp(cmd *cobra.Command, args []string) (backend, *bide.Run, error) {
	if err := a.storeExists(cmd); err != nil {
		return nil, nil, err
	}
	b, err := a.carry(cmd)
	if err != nil {
		return nil, nil, err
	}
	id, err := resumed(cmd.Context(), b, args)
	if err != nil {
		return nil, nil, err
	}
	run, err := b.Run(cmd.Context(), id, 0)
	if err != nil || run.Status.Final() {
		return b, run, err
	}
	if l, here := b.(*local); here {
		err = l.load(cmd.Context(), &run.RunInfo)
	}
	return b, run, err
}

// resumed is the id of the run to go on with.
func resumed(ctx context.Context, b reader, args []string) (string, error) {
	if len(args) == 1 {
		return resolve(ctx, b, args[0])
	}
	id, err := newest(ctx, b, "status:running,waiting,paused")
	if err == nil && id == "" {
		err = &problem{code: exitNotFound, what: "there is no run that has not ended", next: "bide ls"}
	}
	return id, err
}

// goOnLater says why a run is not followed any more, and how to go on with it.
func (a *app) goOnLater(b reader, id string, err error) error {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	code := exitError
	switch {
	case errors.Is(err, errStuck):
		code = exitWaiting
	case errors.Is(err, errTimedOut):
		code = exitTimedOut
		a.say("The time of --wait is over.")
	case errors.Is(err, context.Canceled):
		code = exitInterrupted
	default:
		return err
	}
	run, err := b.Run(ctx, id, 0)
	if err != nil {
		return err
	}
	reasons, err := why(ctx, b, run, time.Now())
	if err != nil {
		return err
	}
	a.say("\nRun %s is %s. Nothing is lost.", id, run.Status)
	for _, r := range reasons.Because {
		a.say("  %s", oneLine(r.Text))
		if r.Next != "" {
			a.say("    %s", visible(r.Next))
		}
	}
	a.say("Go on here:\n    bide run --resume %s", id)
	if run.Status == bide.StatusRunning && a.local != nil {
		a.say("Effects at work get 10s to end; Ctrl-C again leaves at once.")
	}
	return &ended{code}
}

// result says how a run ended, checks its ledger, and writes its output.
func (a *app) result(ctx context.Context, b backend, out *output, run *bide.Run) error {
	checked, err := b.Verify(ctx, run.ID)
	if err != nil {
		return err
	}
	styled := a.styled(a.stderr)
	a.say("\nRun %s %s after %s. Ledger verified: %s, head %s.", run.ID,
		painted(styled, statusColour(run.Status), string(run.Status)), run.EndedAt.Sub(run.CreatedAt).Round(time.Millisecond), plural(checked.Records, "record"), checked.Head)
	err = out.value(run, func(w io.Writer) error {
		if run.Output == nil {
			return nil
		}
		_, err := fmt.Fprintln(w, pretty(run.Output))
		return err
	})
	if err != nil || run.Status == bide.StatusCompleted {
		return err
	}
	p := &problem{code: exitRunFailed, what: fmt.Sprintf("run %s was cancelled", run.ID), next: "bide show " + run.ID}
	if run.Error != nil {
		p.what, p.why, p.next = fmt.Sprintf("run %s failed", run.ID), failureText(run.Error), "bide retry "+run.ID
	}
	return p
}

// failureText says what failed, and where.
func failureText(f *bide.Failure) string {
	text := f.Error()
	if f.Node != "" {
		text += fmt.Sprintf(", at %s (step %d)", f.Node, f.Step)
	}
	if f.Effect != "" {
		text += ", in effect " + f.Effect
	}
	if f.Attempts > 1 {
		text += fmt.Sprintf(", after %s", plural(f.Attempts, "attempt"))
	}
	return text
}
