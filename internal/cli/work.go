package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/flow"
)

func newWork(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "work",
		Short: "Drive runs in the foreground, until Ctrl-C",
		Long: `Drive the runs of the store: those that are started, answered or due, whatever process
did that, and send its webhooks. The flows are those that runs were started with, and they come from the store; they may
use the providers of models, tools, programs and secrets that the configuration names, and no others. Those with effects of
remote workers (remote.types) are left to servers. Several workers may share
a store, on several machines with postgres://.

Ctrl-C lets effects at work end and hands the runs back. With --once, it ends when there is
nothing to do at the moment.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.onStore(cmd); err != nil {
				return err
			}
			a.cfg.uploaded = true
			b, err := a.drive(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			hooks, err := b.hooks() // what workflows use is there before they are
			if err != nil {
				return err
			}
			lib := flow.NewLibrary(b.rt, &flow.LibraryOptions{Changed: b.engine.Worker().Wake, Leave: a.cfg.remote, Logger: b.log})
			if _, err := lib.Sync(ctx); err != nil {
				return err
			}
			b.engine.Worker().Wake()
			a.say("Worker %s is at work on %s. Ctrl-C ends it.", b.engine.Worker().Stats().ID, shownStore(a.cfg.get("store")))
			if once {
				if err := idle(ctx, b); err != nil {
					return err
				}
				if err := hooks.CatchUp(ctx); err != nil {
					return err
				}
				return idle(ctx, b)
			}
			if err := together(ctx, lib.Run, hooks.Run); err != nil {
				return err
			}
			a.say("\nShutting down: effects at work end, and the runs are handed back.")
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "end when there is nothing to do at the moment")
	f.Int("runs", 0, "how many runs are driven at once (default: 256)")
	f.Duration("lease", 0, "how long claims last without a sign of life (default: 30s)")
	f.Duration("poll", 0, "how often to look for what other processes made runnable (default: 1s)")
	return cmd
}

// together runs until ctx ends or one fails, which ends the others.
func together(ctx context.Context, runs ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make(chan error)
	for _, run := range runs {
		go func() {
			defer stop()
			errs <- run(ctx)
		}()
	}
	var err error
	for range runs {
		err = errors.Join(err, <-errs)
	}
	return err
}

// idle returns when no run can proceed now.
func idle(ctx context.Context, b *local) error {
	for {
		page, err := b.Runs(ctx, runsQuery{Search: "status:running", Internal: true, Limit: 1000})
		if err != nil {
			return err
		}
		busy := false
		for _, r := range page.Runs {
			busy = busy || r.SetAside == ""
		}
		stats := b.engine.Worker().Stats()
		due := !stats.NextWake.IsZero() && !stats.NextWake.After(time.Now())
		if !busy && !due && stats.Driving == 0 {
			return nil
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}
