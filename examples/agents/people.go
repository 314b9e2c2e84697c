package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bide-dev/bide"
)

// follow tells what happens in a tree of runs, and has a person answer what it asks, until the root has ended.
func follow(ctx context.Context, rt *bide.Runtime, root string, in *bufio.Scanner, out io.Writer) error {
	for e, err := range rt.WatchAll(ctx, bide.FeedQuery{Root: root}) {
		if err != nil {
			return err
		}
		data, err := e.Record.Decode()
		if err != nil {
			return err
		}
		switch d := data.(type) {
		case *bide.StepPlanned:
			tell(&e, d, out)
		case *bide.Wait:
			if err := answer(ctx, rt, e.RunID, d.ID, in, out); err != nil {
				return err
			}
		case *bide.RunCompleted, *bide.RunFailed:
			if e.RunID == root {
				return nil
			}
		}
	}
	return ctx.Err()
}

func tell(e *bide.FeedEntry, d *bide.StepPlanned, out io.Writer) {
	for _, effect := range d.Plan.Effects {
		var what struct {
			Name    string          `json:"name"`
			Args    json.RawMessage `json:"args"`
			Message string          `json:"message"`
		}
		if json.Unmarshal(effect.Payload, &what) == nil {
			fmt.Fprintf(out, "%s %s: %s %s%s %s\n", e.RunID[len(e.RunID)-4:], e.Record.Node, effect.Type, what.Name, what.Message, what.Args)
		}
	}
}

// answer has a person answer a wait that is still open and is for people.
func answer(ctx context.Context, rt *bide.Runtime, runID, waitID string, in *bufio.Scanner, out io.Writer) error {
	run, err := rt.Get(ctx, runID)
	if err != nil {
		return err
	}
	w := run.Wait(waitID)
	if w == nil {
		return nil
	}
	var said any
	switch w.Kind {
	case bide.WaitToolApproval:
		item := &w.Items[0]
		text, err := ask(in, out, fmt.Sprintf("May %s be called with %s? (%s) [y/N] ", item.Name, item.Args, item.Reason))
		if err != nil {
			return err
		}
		said = bide.Approval{Approved: new(strings.HasPrefix(strings.ToLower(text), "y"))}
	case bide.WaitQuestion:
		if said, err = ask(in, out, strings.TrimSpace(w.Message+" "+strings.Join(w.Choices, " / "))+" "); err != nil {
			return err
		}
	case bide.WaitBudget:
		text, err := ask(in, out, w.Message+` New limits, such as {"iterations": 20}, or nothing to stop: `)
		if err != nil {
			return err
		}
		budget := bide.Budget{Type: bide.BudgetStop}
		if text != "" {
			budget = bide.Budget{Type: bide.BudgetRaise, Limits: bide.JSON(text)}
		}
		said = budget
	default:
		return nil
	}
	_, err = rt.Resume(ctx, runID, waitID, said, bide.Command{Actor: "you"})
	if errors.Is(err, bide.ErrInvalidAnswer) || errors.Is(err, bide.ErrInvalidInput) {
		fmt.Fprintln(out, err)
		return answer(ctx, rt, runID, waitID, in, out)
	}
	return err
}

func ask(in *bufio.Scanner, out io.Writer, prompt string) (string, error) {
	fmt.Fprint(out, prompt)
	if !in.Scan() {
		return "", errors.Join(errors.New("nobody answers; start again with the same -db and -key to go on"), in.Err())
	}
	return strings.TrimSpace(in.Text()), nil
}
