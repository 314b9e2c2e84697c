package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func newBackup(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a SQLite store as it is now into another file",
		Long: `Write the store as it is at one moment into a new file, while runs go on. The file is a
store: to restore, put it in place of the other, or name it with --store.`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			s, ok := l.plain.(interface {
				Backup(ctx context.Context, path string) error
			})
			if !ok {
				return usage("bide copy --help", "this store is not of SQLite; copy it, or use the means of its database")
			}
			if err := s.Backup(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.say("The store is in %s.", args[0])
			return nil
		},
	}
}
