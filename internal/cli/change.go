package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newPause(a *app) *cobra.Command {
	return newChange(a, verbPause, "Freeze runs: nothing executes and no timer fires until unpause",
		"Answers and events that come meanwhile are kept.")
}

func newUnpause(a *app) *cobra.Command {
	return newChange(a, verbUnpause, "Let paused runs go on", "Timers that came due meanwhile fire then.")
}

func newCancel(a *app) *cobra.Command {
	return newChange(a, verbCancel, "End runs, and the runs that they started", "Handlers at work are told to stop.")
}

func newRetry(a *app) *cobra.Command {
	return newChange(a, verbRetry, "Open failed runs again, at what failed",
		"What completed stays. A run that workers set aside is given back to them.")
}

func newDelete(a *app) *cobra.Command {
	return newChange(a, verbDelete, "Remove ended runs for good, with all that they started",
		"Their ledgers are gone. It always asks, unless --yes is given.")
}

func newShred(a *app) *cobra.Command {
	return newChange(a, verbShred, "Destroy the content of ended, encrypted runs and of all that they started",
		"Their data keys are destroyed: nobody can read what they held any more. The ledgers stay, verify, and say who did it, when and why. It always asks, unless --yes is given.")
}

// change is what became of one run.
type change struct {
	RunID string `json:"run_id"`
	Done  bool   `json:"done"`
	Error string `json:"error,omitempty"`
}

// newChange makes a command that does the same to one run or to many.
func newChange(a *app, v verb, short, more string) *cobra.Command {
	var command commandFlags
	var where string
	var yes bool
	cmd := &cobra.Command{
		Use:   string(v) + " RUN… | --where SEARCH",
		Short: short,
		Long: fmt.Sprintf(`%s. %s

With --where, or more than one RUN, their number is shown and you are asked, unless --yes is given.
A search is words and fields; see bide help search.`, short, more),
		Example: fmt.Sprintf("  bide %s @last\n  bide %s --where 'flow:refund since:1d'", v, v),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (where == "") == (len(args) == 0) {
				return usage(fmt.Sprintf("bide %s --help", v), "name the runs to %s, or give --where with a search", v)
			}
			return a.change(cmd, v, args, where, yes, &command)
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().StringVar(&where, "where", "", "the runs that this search finds and that the change fits")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	if v != verbDelete { // it leaves no ledger to put a reason into
		command.add(cmd)
	}
	return cmd
}

// fits reports whether a run of this status can be changed so.
func (v verb) fits(s bide.Status) bool {
	switch v {
	case verbUnpause:
		return s == bide.StatusPaused
	case verbRetry:
		return s == bide.StatusFailed
	case verbDelete, verbShred:
		return s.Final()
	case verbPause:
		return !s.Final() && s != bide.StatusPaused
	}
	return !s.Final()
}

func (a *app) change(cmd *cobra.Command, v verb, refs []string, where string, yes bool, command *commandFlags) error {
	out, b, err := a.look(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	var ids []string
	for _, ref := range refs {
		id, err := resolve(ctx, b, ref)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if where != "" {
		var open int
		if ids, open, err = found(ctx, b, where, v); err != nil {
			return err
		}
		if v == verbShred && open > 0 { // who asks for it must know what stays
			a.say("Left as it is: %s that %q finds and that must end first; bide cancel ends what is to be shredded.", plural(open, "run"), where)
		}
		if len(ids) == 0 {
			a.say("No run that %q finds can be changed so.", where)
			return list[change](out, nil, nil, nil)
		}
	}
	if where != "" || len(ids) > 1 || v == verbDelete || v == verbShred {
		which := plural(len(ids), "run")
		if len(ids) == 1 {
			which = "run " + ids[0]
		}
		if err := a.confirm(ctx, yes, fmt.Sprintf("%s %s?", strings.ToUpper(string(v[:1]))+string(v[1:]), which)); err != nil {
			return err
		}
	}
	return a.changeAll(ctx, b, out, v, ids, command.command(a))
}

// found lists the ids of all runs that a search finds and a change fits, and counts those that have not ended.
func found(ctx context.Context, b reader, where string, v verb) (ids []string, open int, err error) {
	for q := (runsQuery{Search: where, Limit: 1000}); ; {
		page, err := b.Runs(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range page.Runs {
			if v.fits(r.Status) || v == verbRetry && r.SetAside != "" {
				ids = append(ids, r.ID)
			}
			open += btoi(!r.Status.Final())
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return ids, open, nil
		}
		if len(ids) >= maxLooked {
			return nil, 0, usage("", "more than %d runs are found; narrow the search", maxLooked)
		}
	}
}

// changeAll changes one run after the other. The first that cannot be changed is the error; the others are changed all the same.
func (a *app) changeAll(ctx context.Context, b commander, out *output, v verb, ids []string, cmd bide.Command) error {
	var changes []change
	var first error
	done := 0
	for _, id := range ids {
		err := b.Change(ctx, id, v, cmd)
		c := change{RunID: id, Done: err == nil}
		switch {
		case err == nil:
			done++
		case errors.Is(err, bide.ErrNotFound) && v == verbDelete:
			c.Done, done = true, done+1 // it went with the run that started it
		default:
			c.Error = err.Error()
			if first == nil {
				first = err
			}
		}
		changes = append(changes, c)
		if ctx.Err() != nil {
			break
		}
	}
	if len(ids) == 1 && first != nil {
		return first
	}
	if len(ids) == 1 {
		a.say("Done: %s %s.", v, ids[0])
	} else {
		a.say("Done: %s %d of %s.", v, done, plural(len(ids), "run"))
	}
	err := list(out, changes, []string{"RUN", "DONE", "ERROR"}, func(c change) []string {
		return []string{c.RunID, fmt.Sprint(c.Done), c.Error}
	})
	return errors.Join(err, first)
}
