package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/seal"
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
			done, out, err := a.compact(cmd)
			if err != nil {
				return err
			}
			return out.value(done, func(io.Writer) error {
				a.say("The store has %d bytes; it had %d.", done.After, done.Before)
				return nil
			})
		},
	}
}

// compact compacts the store of the server, or of the configuration.
func (a *app) compact(cmd *cobra.Command) (done compacted, out *output, err error) {
	r, out, _, err := a.served(cmd, "")
	if err != nil {
		return done, nil, err
	}
	if r != nil {
		did, err := r.c.Compact(cmd.Context(), "")
		if err != nil {
			return done, nil, err
		}
		return compacted(*did), out, nil
	}
	out, l, err := a.evidence(cmd)
	if err != nil {
		return done, nil, err
	}
	compact := compacting(l.plain)
	if compact == nil {
		if !strings.HasPrefix(a.cfg.get("store"), "file:") {
			return done, nil, usage("bide compact --help", "this store needs no compacting, or does it by itself")
		}
		compact = func(context.Context) error { return l.plain.Close() } // which brings the journal to the files
	}
	done, err = measured(cmd.Context(), a.cfg.get("store"), compact)
	return done, out, err
}

// compacting returns what compacts a store while it is open, or nil.
func compacting(store bide.Store) func(ctx context.Context) error {
	if s, ok := store.(*seal.Store); ok {
		store = s.Stored()
	}
	if s, ok := store.(interface{ Compact(context.Context) error }); ok {
		return s.Compact
	}
	return nil
}

// measured compacts the store at an address.
func measured(ctx context.Context, address string, compact func(ctx context.Context) error) (done compacted, err error) {
	scheme, path, _ := strings.Cut(address, ":")
	if done.Before, err = bytesUnder(path, scheme); err != nil {
		return done, err
	}
	if err := compact(ctx); err != nil {
		return done, err
	}
	done.After, err = bytesUnder(path, scheme)
	return done, err
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
