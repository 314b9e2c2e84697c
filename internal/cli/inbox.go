package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newInbox(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "List what waits for people, oldest first",
		Long: `List the open waits that an answer resolves: questions, forms, tool calls to decide about,
budgets, jobs, and effects whose outcome is unknown. With --all, also those for events, timers and other runs.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			var open []bide.Wait
			q := bide.WaitQuery{Kinds: answered(), Limit: 1000}
			if all {
				q.Kinds = nil
			}
			for {
				page, err := b.Waits(cmd.Context(), q)
				if err != nil {
					return err
				}
				open = append(open, page.Waits...)
				if q.Cursor = page.Next; q.Cursor == "" || len(open) >= maxLooked {
					break
				}
			}
			if len(open) == 0 {
				a.say("Nothing waits for people.")
			}
			now := time.Now()
			return list(out, open, []string{"WAIT", "KIND", "ASKED", "WHAT"}, func(w bide.Wait) []string {
				return []string{w.ID, string(w.Kind), ago(w.CreatedAt, now), waitText(&w)}
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also waits for events, timers and other runs")
	return cmd
}
