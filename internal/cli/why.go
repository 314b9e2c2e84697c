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

func newWhy(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "why RUN",
		Short: "Say in words what a run waits for, or why it failed, and what would move it",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, id, err := a.lookAt(cmd, args[0])
			if err != nil {
				return err
			}
			run, err := b.Run(cmd.Context(), id, 0)
			if err != nil {
				return err
			}
			reasons, err := why(cmd.Context(), b, run, time.Now())
			if err != nil {
				return err
			}
			return out.value(reasons, func(w io.Writer) error {
				if _, err := fmt.Fprintf(w, "Run %s of %s is %s.\n", run.ID, run.Workflow, run.Status); err != nil {
					return err
				}
				for _, r := range reasons.Because {
					if _, err := fmt.Fprintln(w, "  "+oneLine(r.Text)); err != nil {
						return err
					}
					if r.Next == "" {
						continue
					}
					if _, err := fmt.Fprintln(w, "    "+visible(r.Next)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		ValidArgsFunction: a.completeRun,
	}
}

// reasons is why a run is where it is.
type reasons struct {
	RunID   string      `json:"run_id"`
	Status  bide.Status `json:"status"`
	Because []reason    `json:"because"`
}

// reason is one of them: in words, and the command that would move the run.
type reason struct {
	// Kind is the kind of the wait, or failed, cancelled, completed, paused, set_aside, running, overdue.
	Kind   string `json:"kind"`
	RunID  string `json:"run_id"` // the run itself, or one that it waits for
	WaitID string `json:"wait_id,omitempty"`
	Text   string `json:"text"`
	Next   string `json:"next,omitempty"`
}

// why explains a run, and the runs that it waits for.
func why(ctx context.Context, b reader, run *bide.Run, now time.Time) (*reasons, error) {
	r := &reasons{RunID: run.ID, Status: run.Status}
	err := r.explain(ctx, b, run, now)
	return r, err
}

func (r *reasons) add(run *bide.Run, kind, wait, next, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if run.ID != r.RunID {
		text = fmt.Sprintf("Run %s (%s): %s", run.ID, run.Workflow, text)
	}
	r.Because = append(r.Because, reason{Kind: kind, RunID: run.ID, WaitID: wait, Text: text, Next: next})
}

// maxReasons bounds how much is told of a run with thousands of children.
const maxReasons = 20

func (r *reasons) explain(ctx context.Context, b reader, run *bide.Run, now time.Time) error {
	aside, err := setAside(ctx, b, run.ID)
	if err != nil {
		return err
	}
	if aside != "" {
		r.add(run, "set_aside", "", "bide retry "+run.ID, "Workers leave it alone: %s", aside)
	}
	switch run.Status {
	case bide.StatusCompleted:
		r.add(run, "completed", "", "", "It completed at %s.", clock(run.EndedAt))
		return nil
	case bide.StatusCancelled:
		r.add(run, "cancelled", "", "", "It was cancelled at %s.", clock(run.EndedAt))
		return nil
	case bide.StatusFailed:
		next := "bide retry " + run.ID
		r.add(run, "failed", "", next, "It failed: %s. To try again from there:", failureText(run.Error))
		return nil
	case bide.StatusRunning:
		if call := calling(run); aside == "" && call != "" && now.Sub(run.UpdatedAt) > late {
			r.add(run, "running", "", "bide workers", "A call of %s at %s was begun %s ago and has not ended. Whether a worker is there for it:", call, run.Node, span(now.Sub(run.UpdatedAt)))
		} else if aside == "" && now.Sub(run.UpdatedAt) > late {
			r.add(run, "running", "", "bide run --resume "+run.ID, "It could go on, but nothing has happened for %s. If no worker is at work:", span(now.Sub(run.UpdatedAt)))
		} else if aside == "" && run.Node == "" {
			r.add(run, "running", "", "", "It is about to begin.")
		} else if aside == "" {
			r.add(run, "running", "", "", "It is at work, at %s, for %s.", run.Node, span(now.Sub(run.UpdatedAt)))
		}
	case bide.StatusPaused:
		text := "It is paused"
		if c := run.Paused; c != nil {
			text += fmt.Sprintf("%s, for %s", by(c.Actor), span(now.Sub(c.At)))
			if c.Reason != "" {
				text += " (" + c.Reason + ")"
			}
		}
		r.add(run, "paused", "", "bide unpause "+run.ID, "%s.", text)
	}
	for i := range run.Waits {
		if len(r.Because) >= maxReasons {
			r.add(run, "more", "", "bide show "+run.ID, "And %d more waits.", len(run.Waits)-i)
			return nil
		}
		if err := r.explainWait(ctx, b, run, &run.Waits[i], now); err != nil {
			return err
		}
	}
	return nil
}

// calling is the type of an effect of the run that is announced and has not ended, or empty.
func calling(run *bide.Run) string {
	for i := range run.Effects {
		if run.Effects[i].Status == bide.StateRunning {
			return run.Effects[i].Type
		}
	}
	return ""
}

func (r *reasons) explainWait(ctx context.Context, b reader, run *bide.Run, w *bide.Wait, now time.Time) error {
	waited := "It has waited " + span(now.Sub(w.CreatedAt)) + " for "
	next := howTo(w)
	if child, ok := childOf(w); ok {
		below, err := b.Run(ctx, child, 0)
		if errors.Is(err, bide.ErrNotFound) {
			r.add(run, string(w.Kind), w.ID, "", "It waits for run %s, which is about to start.", child)
			return nil
		}
		if err != nil {
			return err
		}
		r.add(run, string(w.Kind), w.ID, "", "%srun %s of %s, which is %s.", waited, child, below.Workflow, below.Status)
		return r.explain(ctx, b, below, now)
	}
	due := w.Until
	switch w.Kind {
	case bide.WaitQuestion, bide.WaitForm:
		r.add(run, string(w.Kind), w.ID, next, "%san answer: %s", waited, waitText(w))
	case bide.WaitTimer:
		r.add(run, string(w.Kind), w.ID, "", "It sleeps until %s (%s).", clock(w.Until), ago(w.Until, now))
	case bide.WaitRetry:
		failure := ""
		if w.Effect < len(run.Effects) && run.Effects[w.Effect].Error != nil {
			e := &run.Effects[w.Effect]
			failure = fmt.Sprintf("Attempt %d of %s failed: %s. ", e.Attempt, e.Type, e.Error.Error())
		}
		r.add(run, string(w.Kind), w.ID, "", "%sThe next is at %s (%s).", failure, clock(w.Until), ago(w.Until, now))
	case bide.WaitForEvent:
		r.add(run, string(w.Kind), w.ID, next, "%s%s.", waited, waitText(w))
	case bide.WaitJob:
		r.add(run, string(w.Kind), w.ID, next, "%sthe result of a job: %s %s", waited, w.Key, w.Details)
	case bide.WaitAttention:
		r.add(run, string(w.Kind), w.ID, next, "%sa word on what happened: %s", waited, waitText(w))
	default:
		r.add(run, string(w.Kind), w.ID, next, "%san answer: %s", waited, waitText(w))
	}
	if due.IsZero() {
		due = w.ExpiresAt
	}
	if !due.IsZero() && now.Sub(due) > late && run.Status == bide.StatusWaiting {
		r.add(run, "overdue", w.ID, "bide work", "That was due %s, and nobody saw to it. If no worker is at work:", ago(due, now))
	}
	return nil
}
