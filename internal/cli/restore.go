package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/ledger/transfer"
)

func newRestore(a *app) *cobra.Command {
	var to, at, key string
	var o transfer.RewindOptions
	cmd := &cobra.Command{
		Use:   "restore BACKUP --at TIME --to FILE",
		Short: "Make a SQLite store of a backup, put back to an earlier time",
		Long: `Make a new store of a backup that was made after TIME, in which every run is as it was at TIME: at its last
commit then, with its waits, timers, commands and mail. Runs that began later are left out. The backup is not touched; the
new store is whole when it is there, and never takes the place of a file.

What happened after TIME may happen again when the store is driven: --dry-run lists those effects, and marks the ones that are
not to be made twice. What was deleted or shredded since does not come back and is named. Documents, such as flows and
tokens, stay as they are in the backup. The log of checkpoints ends at TIME: whoever kept a later one sees with
bide verify --seen that the store was put back; a document of kind restore says so too. If the log says that runs
were deleted since, --key must name the keys that sign that again.`,
		Example: "  bide restore /backup/bide.db --at 2026-11-23T09:00:00Z --dry-run\n  bide restore /backup/bide.db --at 2026-11-23T09:00:00Z --to restored.db",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			when, err := time.Parse(time.RFC3339Nano, at)
			switch {
			case err != nil:
				return usage("bide restore --help", "--at %q is not a time such as 2026-11-23T09:00:00Z", at)
			case to == "" && !o.DryRun:
				return usage("bide restore --help", "--to names the new file; --dry-run lists what would be done")
			}
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			cfg, err := a.config(cmd)
			if err != nil {
				return err
			}
			if o.Signers, err = privateKeys(key); err != nil {
				return err
			}
			path := strings.TrimPrefix(args[0], "sqlite:")
			o.Actor, o.From = cfg.get("actor"), filepath.Base(path)
			done, err := restore(cmd.Context(), cfg, path, strings.TrimPrefix(to, "sqlite:"), when, o)
			if err != nil {
				return err
			}
			return a.restored(out, done, to, o.DryRun)
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "the time to go back to, such as 2026-11-23T09:00:00Z")
	f.StringVar(&to, "to", "", "the new file")
	f.StringVar(&key, "key", "", "file with the private keys that sign again what was deleted since (default: none)")
	f.BoolVar(&o.DryRun, "dry-run", false, "list what would be done and what may happen again, and make nothing")
	return cmd
}

// restore makes the store in a folder beside its place and puts it there when it is whole.
func restore(ctx context.Context, cfg *config, backup, to string, at time.Time, o transfer.RewindOptions) (done *transfer.Rewound, err error) {
	if _, err := os.Lstat(to); err == nil && !o.DryRun {
		return nil, &problem{code: exitConflict, what: "there is a file at " + to + " already", why: "a restored store never takes the place of a file", next: "name another one with --to"}
	}
	if info, err := os.Stat(backup + "-wal"); err == nil && info.Size() > 0 {
		return nil, &problem{code: exitError, what: backup + " is a store in use, not a backup", why: "its newest commits are in the log beside it", next: "bide backup FILE --store sqlite:" + backup}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	beside := filepath.Dir(to)
	if o.DryRun {
		beside = ""
	}
	o.Dir, err = os.MkdirTemp(beside, ".restore-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	copied := filepath.Join(o.Dir, "store.db")
	if err := copyFile(backup, copied); err != nil {
		return nil, err
	}
	plain, err := engine.OpenStore(ctx, "sqlite:"+copied)
	if err != nil {
		p := explain(err)
		return nil, &problem{code: p.code, what: backup + " cannot be restored", why: strings.ReplaceAll(p.Error(), copied, "its copy"), err: err}
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	store, err := sealed(ctx, plain, cfg)
	if err != nil {
		return nil, err
	}
	if done, err = transfer.Rewind(ctx, store, at, &o); err != nil || o.DryRun {
		return done, err
	}
	return done, plain.(interface {
		Backup(ctx context.Context, path string) error
	}).Backup(ctx, to)
}

// copyFile copies a file to a new one that only the user can read.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := createFile(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// restored tells what was done, or would be.
func (a *app) restored(out *output, done *transfer.Rewound, to string, dry bool) error {
	if done.Runs+done.LeftOut == 0 {
		a.say("The backup has nothing later than %s: either nothing happened, or it was made before.", done.At.Format(time.RFC3339))
	}
	if len(done.Removed) > 0 {
		a.say("Deleted since, and not brought back: %s.", strings.Join(done.Removed, ", "))
	}
	if len(done.Shredded) > 0 {
		a.say("Shredded since, and left as they are: %s.", strings.Join(done.Shredded, ", "))
	}
	var rows []againRow
	for _, r := range append(done.Back, done.Later...) {
		for _, e := range r.Effects {
			rows = append(rows, againRow{RunID: r.RunID, LeftOut: r.Seq == 0, ForkEffect: e})
		}
	}
	a.say("%s put back, %d left out, %d as they were.", plural(done.Runs, "run"), done.LeftOut, done.Kept)
	if dry {
		a.say("Nothing was made: this is what would be done.")
	} else {
		a.say("The store is in %s; bide verify --all says whether it is whole.", to)
	}
	if len(rows) > 0 {
		a.say("These effects may happen again:")
	}
	return list(out, rows, []string{"RUN", "SEQ", "NODE", "EFFECT", "LEFT OUT", "ONCE"}, func(r againRow) []string {
		return []string{r.RunID, itoa(r.Seq), r.Node, r.Type, yesNo(r.LeftOut), yesNo(r.Unsafe)}
	})
}

// againRow is an effect that may happen again.
type againRow struct {
	RunID   string `json:"run_id"`
	LeftOut bool   `json:"left_out,omitempty"` // its run is; it happens again only if that is started again
	bide.ForkEffect
}
