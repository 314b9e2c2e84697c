package cli

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newWorkers(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "Show what workers have to do, and whether somebody does it",
		Long: `Show by flow and version how many runs can go on now, have a timer due, or were set
aside, and for how long nothing has happened to the oldest. Runs that could go on and do not for more than 10 seconds mean that no
worker is at work that has their flow.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			var loads []load
			for _, s := range []string{"status:running", "status:waiting is:due", "is:set-aside"} {
				for q := (runsQuery{Search: s, Internal: true, Limit: 1000}); ; {
					page, err := b.Runs(cmd.Context(), q)
					if err != nil {
						return err
					}
					for i := range page.Runs {
						loads = addLoad(loads, &page.Runs[i], s == "is:set-aside")
					}
					if q.Cursor = page.Next; q.Cursor == "" {
						break
					}
				}
			}
			slices.SortFunc(loads, func(x, y load) int {
				return cmp.Or(cmp.Compare(x.Workflow, y.Workflow), cmp.Compare(x.Version, y.Version))
			})
			now := time.Now()
			for _, l := range loads {
				if !l.Oldest.IsZero() && now.Sub(l.Oldest) > late {
					a.say("Nobody seems to work on %s version %.12s: something could go on for %s. bide work does it.", l.Workflow, l.Version, span(now.Sub(l.Oldest)))
				}
			}
			if len(loads) == 0 {
				a.say("Nothing to do at the moment.")
			}
			return list(out, loads, []string{"FLOW", "VERSION", "RUNNING", "DUE", "SET ASIDE", "OLDEST"}, func(l load) []string {
				return []string{l.Workflow, fmt.Sprintf("%.12s", l.Version), fmt.Sprint(l.Running), fmt.Sprint(l.Due), fmt.Sprint(l.SetAside), ago(l.Oldest, now)}
			})
		},
	}
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
	since := r.UpdatedAt
	switch {
	case aside:
		l.SetAside++
		return loads
	case r.Status == bide.StatusRunning:
		l.Running++
	default:
		l.Due++
		since = r.WakeAt
	}
	if l.Oldest.IsZero() || since.Before(l.Oldest) {
		l.Oldest = since
	}
	return loads
}
