package cli

import "github.com/spf13/cobra"

func newFlow(a *app) *cobra.Command { return &cobra.Command{Use: "flow"} }
func newInit(a *app) *cobra.Command { return &cobra.Command{Use: "init"} }
