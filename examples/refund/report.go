package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/bide-dev/bide"
)

// report prints how the run ended and its ledger, and verifies the chain.
func report(ctx context.Context, rt *bide.Runtime, r *bide.Run, out io.Writer) error {
	fmt.Fprintf(out, "\nRun %s %s", r.ID, r.Status)
	if r.Error != nil {
		fmt.Fprintf(out, ": %s", r.Error.Message)
	} else {
		fmt.Fprintf(out, ": %s", r.Output)
	}
	fmt.Fprint(out, "\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "#\tTIME (UTC)\tWHAT\tSTEP\tWHO\tHASH\tDETAILS")
	for rec, err := range rt.Ledger(ctx, r.ID, 1) {
		if err != nil {
			return err
		}
		details, err := detail(&rec)
		if err != nil {
			return err
		}
		step := "-"
		if rec.Step > 0 {
			step = fmt.Sprintf("%d %s", rec.Step, rec.Node)
		}
		who := rec.Actor
		if who == "" {
			who = "-"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%.8s\t%s\n", rec.Seq, rec.At.Format("15:04:05.000"), rec.Kind, step, who, rec.Hash, details)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	end, err := rt.Verify(ctx, r.ID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nChain verified: %d records, head %s.\n", end.Seq, end.Head)
	return err
}

// detail says in a few words what a record holds.
func detail(rec *bide.Record) (string, error) {
	data, err := rec.Decode()
	if err != nil {
		return "", err
	}
	switch d := data.(type) {
	case *bide.RunStarted:
		return fmt.Sprintf("input %s", d.Input), nil
	case *bide.StepPlanned:
		if len(d.Plan.Effects) > 0 {
			return fmt.Sprintf("do %s %s", d.Plan.Effects[0].Type, d.Plan.Effects[0].Payload), nil
		}
		return "go on", nil
	case *bide.Wait:
		return d.Message, nil
	case *bide.WaitResolved:
		return fmt.Sprintf("%s %s", d.By, d.Answer), nil
	case *bide.EffectStarted:
		return fmt.Sprintf("attempt %d", d.Attempt), nil
	case *bide.EffectCompleted:
		return fmt.Sprintf("result %s", d.Result), nil
	case *bide.EffectFailed:
		return d.Error.Message, nil
	case *bide.RunCompleted:
		return fmt.Sprintf("output %s", d.Output), nil
	case *bide.RunFailed:
		return d.Error.Message, nil
	}
	return "", nil
}
