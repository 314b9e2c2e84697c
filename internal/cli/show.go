package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

func newShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show a run: its state, what it waits for, and its ledger",
		Long: `Show a run: its state, what it waits for, its output or error, and its ledger.
In the formats json, jsonl and yaml it is the state alone; bide tail -o jsonl has the ledger.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, id, err := a.lookAt(cmd, args[0])
			if err != nil {
				return err
			}
			run, err := b.Run(cmd.Context(), id, 0)
			if err != nil {
				return err
			}
			if run.SetAside, err = setAside(cmd.Context(), b, id); err != nil {
				return err
			}
			return out.value(run, func(w io.Writer) error {
				if err := drawRun(w, run); err != nil {
					return err
				}
				spent, err := llm.Spent(b.Records(cmd.Context(), id, 1, false))
				if err != nil {
					return err
				}
				if err := drawSpent(w, &spent); err != nil {
					return err
				}
				if _, err := fmt.Fprintln(w, "\nledger"); err != nil {
					return err
				}
				for rec, err := range b.Records(cmd.Context(), id, 1, false) {
					if err != nil {
						return err
					}
					if _, err := fmt.Fprintln(w, recordLine(&rec, out.styled)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		ValidArgsFunction: a.completeRun,
	}
	return cmd
}

// drawRun writes the state of a run for a person.
func drawRun(w io.Writer, r *bide.Run) error {
	status := string(r.Status)
	if r.Paused != nil {
		status += " by " + r.Paused.Actor + " at " + clock(r.Paused.At)
		if r.Paused.Reason != "" {
			status += " (" + r.Paused.Reason + ")"
		}
	}
	step := ""
	if r.Step > 0 {
		step = strconv.FormatInt(r.Step, 10) + " " + r.Node
	}
	failure := ""
	if r.Error != nil {
		failure = failureText(r.Error)
	}
	took := ""
	if !r.EndedAt.IsZero() {
		took = " (" + r.EndedAt.Sub(r.CreatedAt).Round(time.Millisecond).String() + ")"
	}
	input := ""
	if raw, ok, err := r.Vars.Raw("input"); err == nil && ok {
		input = string(raw)
	}
	err := fields(w, [2]string{"run", r.ID}, [2]string{"flow", r.Workflow + " version " + r.Version}, [2]string{"status", status},
		[2]string{"set aside", r.SetAside}, [2]string{"step", step}, [2]string{"key", r.Key}, [2]string{"labels", labelText(r.Labels)},
		[2]string{"session", r.Session}, [2]string{"parent", r.Parent}, [2]string{"forked from", forkedFrom(r)},
		[2]string{"continues", r.Continues}, [2]string{"continued as", r.ContinuedAs}, [2]string{"started", clock(r.CreatedAt) + by(r.Actor)},
		[2]string{"changed", clock(r.UpdatedAt)}, [2]string{"ended", clock(r.EndedAt) + took}, [2]string{"wakes", clock(r.WakeAt)},
		[2]string{"deadline", clock(r.Deadline)}, [2]string{"shredded", shredded(r)}, [2]string{"input", input}, [2]string{"output", string(r.Output)},
		[2]string{"error", failure}, [2]string{"records", strconv.FormatInt(r.Seq, 10) + ", head " + r.Head.String()})
	if err != nil || len(r.Waits) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nwaits"); err != nil {
		return err
	}
	rows := make([][]string, len(r.Waits))
	for i := range r.Waits {
		wt := &r.Waits[i]
		rows[i] = []string{wt.ID, string(wt.Kind), clock(wt.CreatedAt), waitText(wt)}
	}
	return table(w, []string{"WAIT", "KIND", "SINCE", "FOR"}, rows)
}

// shredded says who destroyed the content of a run, when and why.
func shredded(r *bide.Run) string {
	if r.Shredded == nil {
		return ""
	}
	text := clock(r.Shredded.At) + by(r.Shredded.Actor)
	if r.Shredded.Reason != "" {
		text += " (" + r.Shredded.Reason + ")"
	}
	return text
}

// forkedFrom is the run that a run was forked from.
func forkedFrom(r *bide.Run) string {
	if r.Continues != "" {
		return ""
	}
	return r.Origin
}

// drawSpent writes what a run asked of models, if it did.
func drawSpent(w io.Writer, s *llm.Spending) error {
	if s.Calls+s.Failed == 0 {
		return nil
	}
	text := fmt.Sprintf("%s, %s, %d tokens in, %d out, %s USD", plural(s.Calls, "answer"), plural(s.Failed, "failed attempt"), s.Input, s.Output, s.USD)
	if s.Unpriced > 0 {
		text += fmt.Sprintf(" without %d of unknown cost", s.Unpriced)
	}
	return fields(w, [2]string{"models", text})
}

func by(actor string) string {
	if actor == "" {
		return ""
	}
	return " by " + actor
}
