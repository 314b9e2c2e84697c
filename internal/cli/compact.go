package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newCompact(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Give back the space that deleted runs have left",
		Long: `Give back the space that deleted runs have left. A SQLite file is written anew: while that lasts
nobody commits, so stop the workers of a large one; the disk needs room for two more of it. A folder of
files belongs to one process, and is tidied when that ends: end it, and this does the same. PostgreSQL does
it by itself (autovacuum); VACUUM FULL of its tables gives space back to the disk.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			scheme, path, _ := strings.Cut(a.cfg.get("store"), ":")
			var done compacted
			if done.Before, err = bytesUnder(path, scheme); err != nil {
				return err
			}
			switch s := l.store.(type) {
			case interface{ Compact(context.Context) error }:
				err = s.Compact(cmd.Context())
			default:
				if scheme != "file" {
					return usage("bide compact --help", "this store needs no compacting, or does it by itself")
				}
				err = s.Close() // which brings the journal to the files
			}
			if err != nil {
				return err
			}
			if done.After, err = bytesUnder(path, scheme); err != nil {
				return err
			}
			return out.value(done, func(io.Writer) error {
				a.say("The store has %d bytes; it had %d.", done.After, done.Before)
				return nil
			})
		},
	}
}

// compacted is how many bytes a store had and has.
type compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// bytesUnder is the size of the files of a store, or 0 when it is not one of files.
func bytesUnder(path, scheme string) (n int64, err error) {
	var files []string
	switch scheme {
	case "sqlite":
		files = []string{path, path + "-wal"}
	case "file":
		files = []string{path}
	}
	for _, name := range files {
		err := filepath.WalkDir(name, func(_ string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				n += info.Size()
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}
