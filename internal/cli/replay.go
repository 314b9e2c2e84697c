package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newReplay(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "replay RUN",
		Short: "Decide every step of a run again from its ledger, and compare",
		Long: `Decide every step of a run again, from the results in its ledger; nothing is carried
out. The first step that is decided otherwise now is named, and the exit code is 8.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, b, id, err := a.lookAt(cmd, args[0])
			if err != nil {
				return err
			}
			differs, err := b.Replay(cmd.Context(), id)
			if err != nil {
				return err
			}
			err = out.value(replayed{id, differs == nil, differs}, func(io.Writer) error { return nil })
			if err != nil {
				return err
			}
			if differs != nil {
				return &problem{code: exitIntegrity, what: fmt.Sprintf("run %s is decided otherwise now, from %s (step %d) on", id, differs.Node, differs.Step),
					why: fmt.Sprintf("recorded %s\nnow      %s", differs.Recorded, differs.Now), next: fmt.Sprintf("bide state %s --at %d", id, differs.Seq)}
			}
			a.say("Every step of run %s is decided as it was.", id)
			return nil
		},
		ValidArgsFunction: a.completeRun,
	}
}

// replayed is what a replay found.
type replayed struct {
	RunID      string           `json:"run_id"`
	Same       bool             `json:"same"`
	Divergence *bide.Divergence `json:"divergence,omitempty"`
}
