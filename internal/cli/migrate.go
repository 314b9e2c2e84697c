package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

func newMigrate(a *app) *cobra.Command {
	var to, reason string
	cmd := &cobra.Command{
		Use:   "migrate RUN --to VERSION",
		Short: "Move a run to another version of its flow",
		Long: `Move a run to another version of its flow that is kept in the store, after deciding every
step of its ledger again with that version. When one is decided otherwise, nothing is changed, and the exit code is 8.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usage("bide migrate --help", "--to names the version: the content hash of the flow")
			}
			out, b, err := a.look(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			id, err := resolve(ctx, b, args[0])
			if err != nil {
				return err
			}
			run, err := b.Migrate(ctx, id, to, bide.Command{Actor: a.cfg.get("actor"), Reason: reason})
			if errors.Is(err, bide.ErrUnknownWorkflow) {
				return noVersion(ctx, b, id, to, err)
			}
			if err != nil {
				return err
			}
			a.say("Run %s goes on with version %s.", id, run.Version)
			if out.format == formatTable {
				return nil
			}
			return out.encode(run.RunInfo)
		},
		ValidArgsFunction: a.completeRun,
	}
	cmd.Flags().StringVar(&to, "to", "", "version to move to")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the ledger")
	return cmd
}

// noVersion says that a flow has no such version, and which ones its runs have.
func noVersion(ctx context.Context, b reader, id, version string, err error) error {
	run, rerr := b.Run(ctx, id, 0)
	if rerr != nil {
		return rerr
	}
	page, rerr := b.Runs(ctx, runsQuery{Search: "flow:" + run.Workflow, Limit: 1000})
	if rerr != nil {
		return rerr
	}
	p := &problem{code: exitNotFound, what: fmt.Sprintf("no version %q of flow %s is kept here", version, run.Workflow), next: "bide start FLOW", err: err,
		why: "a version is the whole content hash of a flow; starting a run of the flow as it is now keeps that one"}
	var others []string
	for _, r := range page.Runs {
		if r.Version != run.Version && !slices.Contains(others, r.Version) && len(others) < 5 {
			others = append(others, r.Version)
		}
	}
	if len(others) > 0 {
		p.why = "other runs of it have " + strings.Join(others, ", ")
		p.next = fmt.Sprintf("bide migrate %s --to %s", id, others[0])
	}
	return p
}
