package cli

import (
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
)

// completeRun offers the newest runs to a shell. It fails silently: a shell has no place for errors.
func (a *app) completeRun(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	b, err := a.open(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	page, err := b.Runs(cmd.Context(), runsQuery{Limit: 50})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	offers := []string{last + "\tthe newest run"}
	for _, r := range page.Runs {
		offers = append(offers, r.ID+"\t"+r.Workflow+", "+string(r.Status))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completeWait offers the open waits that can be answered.
func (a *app) completeWait(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	b, err := a.open(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	page, err := b.Waits(cmd.Context(), bide.WaitQuery{Kinds: answered(), Limit: 1000})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var offers []string
	for _, w := range page.Waits {
		offers = append(offers, w.ID+"\t"+oneLine(waitText(&w)))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completeFlow offers the flows of the project; files are the shell's own to complete.
func (a *app) completeFlow(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cfg, err := a.config(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return newLibrary(cfg).names(), cobra.ShellCompDirectiveDefault
}
