package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

func newWorkers(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workers",
		Short: "List the workers of the store, and say whether somebody does what there is to do",
		Long: `List the workers of the store: those that live, in whatever process, and those that are dead and whose
runs nobody has taken over yet. Where something could go on for more than 10 seconds and nobody drives it, it says so: then no worker is at work
that has the flow.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			workers, err := b.Workers(cmd.Context())
			if err != nil {
				return err
			}
			now := time.Now()
			alone, err := loadsOf(cmd.Context(), b, func(runs []bide.RunInfo) []bide.RunInfo { return leftAlone(runs, workers, now) })
			if err != nil {
				return err
			}
			for _, l := range alone {
				a.say("Nobody seems to work on %s version %.12s: something could go on for %s. bide work does it.", l.Workflow, l.Version, span(now.Sub(l.Oldest)))
			}
			if len(workers) == 0 {
				a.say("No worker is at work.")
			}
			return list(out, workers, []string{"WORKER", "STARTED", "RUNS", "STATE"}, func(w api.Worker) []string {
				return []string{w.ID, ago(w.Since, now), fmt.Sprint(w.Runs), workerState(&w)}
			})
		},
	}
	cmd.AddCommand(newWorkersLoad(a), newWorkersDrain(a, true), newWorkersDrain(a, false))
	return cmd
}

func workerState(w *api.Worker) string {
	switch {
	case !w.Alive:
		return "dead"
	case w.Drained && w.Runs > 0:
		return "draining"
	case w.Drained:
		return "drained"
	}
	return "at work"
}

func newWorkersDrain(a *app, drained bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Let a worker take on no more runs",
		Long:  "Let a worker take on no more runs; those that it drives go on. Others take the rest.",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.open(cmd)
			if err != nil {
				return err
			}
			w, err := b.Drain(cmd.Context(), args[0], drained)
			if err == nil {
				a.say("%s: %s.", w.ID, workerState(w))
			}
			return elsewhere(err, "bide workers")
		},
	}
	if !drained {
		cmd.Use, cmd.Short, cmd.Long = "undrain WORKER", "Let a worker take on runs again", "Let a worker take on runs again."
	}
	return cmd
}

func newWorkersLoad(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "load",
		Short: "Show what there is to do, by flow and version",
		Long: `Show by flow and version how many runs can go on now, have a timer due, or were set
aside, and for how long nothing has happened to the oldest.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			loads, err := loadsOf(cmd.Context(), b, func(runs []bide.RunInfo) []bide.RunInfo { return runs })
			if err != nil {
				return err
			}
			if len(loads) == 0 {
				a.say("Nothing to do at the moment.")
			}
			now := time.Now()
			return list(out, loads, []string{"FLOW", "VERSION", "RUNNING", "DUE", "SET ASIDE", "OLDEST"}, func(l load) []string {
				return []string{l.Workflow, fmt.Sprintf("%.12s", l.Version), fmt.Sprint(l.Running), fmt.Sprint(l.Due), fmt.Sprint(l.SetAside), ago(l.Oldest, now)}
			})
		},
	}
}

// loadsOf adds up what there is to do, by flow and version, for those of the runs that count.
func loadsOf(ctx context.Context, b backend, count func([]bide.RunInfo) []bide.RunInfo) (loads []load, err error) {
	for _, s := range []string{"status:running", "status:waiting is:due", "is:set-aside"} {
		var runs []bide.RunInfo
		for q := (runsQuery{Search: s, Internal: true, Limit: 1000}); ; {
			page, err := b.Runs(ctx, q)
			if err != nil {
				return nil, err
			}
			runs = append(runs, page.Runs...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		runs = count(runs)
		for i := range runs {
			loads = addLoad(loads, &runs[i], s == "is:set-aside")
		}
	}
	slices.SortFunc(loads, func(x, y load) int {
		return cmp.Or(cmp.Compare(x.Workflow, y.Workflow), cmp.Compare(x.Version, y.Version))
	})
	return loads, nil
}

// late is how long something can be due before that says that nobody sees to it.
const late = 10 * time.Second

// leftAlone are those of the runs that could go on for longer than late and that nobody seems to drive. A call may take its
// time: as many runs as the living workers drive are taken to be at one, those that changed last. Runs that have not begun are driven by nobody.
func leftAlone(runs []bide.RunInfo, workers []api.Worker, now time.Time) (alone []bide.RunInfo) {
	var begun []bide.RunInfo
	for _, r := range runs {
		switch {
		case r.SetAside != "" || now.Sub(since(&r)) <= late:
		case r.Status == bide.StatusRunning && r.Node != "":
			begun = append(begun, r)
		default:
			alone = append(alone, r)
		}
	}
	driven := 0
	for i := range workers {
		if workers[i].Alive {
			driven += int(workers[i].Runs)
		}
	}
	slices.SortFunc(begun, func(x, y bide.RunInfo) int { return x.UpdatedAt.Compare(y.UpdatedAt) })
	return append(alone, begun[:max(0, len(begun)-driven)]...)
}

// since is from when on a run that is running or has a timer due could go on.
func since(r *bide.RunInfo) time.Time {
	if r.Status == bide.StatusRunning {
		return r.UpdatedAt
	}
	return r.WakeAt
}

// load is what there is to do for the runs of one version of a flow.
type load struct {
	Workflow string `json:"workflow"`
	Version  string `json:"version"`
	Running  int    `json:"running"`   // can go on, or are at work
	Due      int    `json:"due"`       // wait, with a timer due
	SetAside int    `json:"set_aside"` // no worker takes them
	// Oldest is since when the one that was left alone longest could go on.
	Oldest time.Time `json:"oldest,omitzero"`
}

func addLoad(loads []load, r *bide.RunInfo, aside bool) []load {
	if !aside && r.SetAside != "" {
		return loads
	}
	i := slices.IndexFunc(loads, func(l load) bool { return l.Workflow == r.Workflow && l.Version == r.Version })
	if i < 0 {
		loads, i = append(loads, load{Workflow: r.Workflow, Version: r.Version}), len(loads)
	}
	l := &loads[i]
	switch {
	case aside:
		l.SetAside++
		return loads
	case r.Status == bide.StatusRunning:
		l.Running++
	default:
		l.Due++
	}
	if at := since(r); l.Oldest.IsZero() || at.Before(l.Oldest) {
		l.Oldest = at
	}
	return loads
}
