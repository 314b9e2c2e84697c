package cli

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/search"
)

func newLs(a *app) *cobra.Command {
	var limit int
	var internal bool
	var cursor, order string
	cmd := &cobra.Command{
		Use:     "ls [SEARCH]",
		Aliases: []string{"list"},
		Short:   "List runs, newest first",
		Long: `List runs, newest first, or as --order says. A search is words and fields; see bide help search.
Runs of bide itself, such as schedules, are left out unless --internal is given.`,
		Example: `  bide ls status:waiting flow:refund since:1h
  bide ls label:team=ops order-42
  bide ls --order updated
  bide ls status:failed -o jsonl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			if limit < 1 || limit > 1000 {
				return usage("", "--limit %d is not a number from 1 to 1000; for more, go on with --cursor", limit)
			}
			page, err := b.Runs(cmd.Context(), runsQuery{Search: strings.Join(args, " "), Internal: internal, Order: order, Limit: limit, Cursor: cursor})
			if err != nil {
				return err
			}
			now := time.Now()
			err = list(out, page.Runs, []string{"RUN", "FLOW", "STATUS", "AT", "STARTED", "CHANGED", "KEY", "LABELS"}, func(r bide.RunInfo) []string {
				status := string(r.Status)
				if r.SetAside != "" {
					status += " (set aside)"
				}
				return []string{r.ID, r.Workflow, status, r.Node, ago(r.CreatedAt, now), ago(r.UpdatedAt, now), r.Key, labelText(r.Labels)}
			})
			switch {
			case err != nil:
				return err
			case page.Next != "":
				a.say("There are more: --cursor %s", page.Next)
			case len(page.Runs) == 0:
				a.say("No runs.")
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "how many at most, up to 1000")
	cmd.Flags().BoolVar(&internal, "internal", false, "with runs of bide itself")
	cmd.Flags().StringVar(&order, "order", search.Orders()[0], "by creation, by the last change, or by status: "+strings.Join(search.Orders(), ", "))
	cmd.Flags().StringVar(&cursor, "cursor", "", "where the page before ended")
	return cmd
}

func labelText(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, " ")
}
