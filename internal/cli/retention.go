package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/ledger/transfer"
)

func newRetention(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "retention", Short: "Remove old runs on purpose, and keep what must stay", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newRetentionApply(a), newRetentionHold(a), newRetentionUnhold(a), newRetentionGC(a))
	return cmd
}

func newRetentionApply(a *app) *cobra.Command {
	var rule retention.Rule
	var after time.Duration
	var status, archive, key string
	var yes bool
	o := retention.Options{Export: &transfer.ExportOptions{Documents: []string{flow.KindFlow}}}
	cmd := &cobra.Command{
		Use:   "apply --after AGE",
		Short: "Archive and delete trees of runs that ended long ago",
		Long: `Delete trees of runs whose last one ended at least so long ago. Each is exported into the folder
of --archive before, named by its id and the beginning of its last hash, and noted in the log of
checkpoints when --key is given. Those under a hold stay.`,
		Example: "  bide retention apply --after 2160h --archive old --key ops.key --dry-run",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if after <= 0 {
				return usage("bide retention apply --help", "--after says how long ago the last run of a tree must have ended, such as 720h")
			}
			if status != "" && !bide.Status(status).Final() {
				return usage("bide retention apply --help", "--status %q is none of completed, failed, cancelled", status)
			}
			rule.After, rule.Status = bide.Duration(after), bide.Status(status)
			if r, out, _, err := a.served(cmd, ""); err != nil {
				return err
			} else if r != nil {
				if key != "" || archive != "" && archive != servedArtifacts {
					return usage("bide retention apply --help", "a server signs with its own key, and archives into its own artifacts: leave out --key, and say --archive artifacts or nothing")
				}
				if err := a.confirm(ctx, yes || o.DryRun, "Runs will be deleted for good. Go on?"); err != nil {
					return err
				}
				done, err := r.retain(ctx, rule, &o, archive != "")
				if err != nil {
					return err
				}
				return a.removed(out, done)
			}
			out, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			o.Rules = []retention.Rule{rule}
			signers, err := privateKeys(key)
			if err != nil {
				return err
			}
			if o.Log, err = ledger.OpenLog(ctx, l.store, &ledger.LogOptions{Signers: signers}); err != nil {
				return err
			}
			if key == "" {
				if o.Log.After() > 0 && !o.DryRun {
					return usage("bide retention apply --help", "the store has checkpoints: --key must name the keys that sign what is deleted")
				}
				o.Log = nil
			}
			if archive != "" {
				o.Archive = func(ctx context.Context, root *bide.RunInfo, write func(io.Writer) error) error {
					return archiveInto(archive, fmt.Sprintf("%s-%.12s.bide", root.ID, root.Head), write)
				}
			}
			if !o.DryRun {
				if err := a.confirm(ctx, yes, "Runs will be deleted for good. Go on?"); err != nil {
					return err
				}
			}
			done, err := retention.Apply(ctx, l.rt, l.store, o)
			if err != nil {
				return err
			}
			return a.removed(out, done)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&after, "after", 0, "how long ago the last run of a tree must have ended, such as 720h")
	f.StringVar(&rule.Workflow, "flow", "", "only runs of this flow (default: all)")
	f.StringVar(&status, "status", "", "only those that are completed, failed or cancelled (default: all that have ended)")
	f.StringVar(&archive, "archive", "", "folder to export to before; through a server: artifacts (default: no archive)")
	f.StringVar(&key, "key", "", "file with the private keys that sign what is deleted (default: none)")
	f.IntVar(&o.Limit, "limit", 1000, "how many trees at most")
	f.BoolVar(&o.DryRun, "dry-run", false, "list them, and change nothing")
	f.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// removed tells which trees went, or would.
func (a *app) removed(out *output, done *retention.Result) error {
	a.say("%s; %d under a hold, %d with runs that have not ended.", plural(len(done.Removed), "tree"), done.Held, done.Active)
	return list(out, done.Removed, []string{"RUN", "FLOW", "STATUS", "RUNS", "ENDED", "ARCHIVE"}, func(r retention.Removed) []string {
		ended, archive := "", ""
		if !r.Root.EndedAt.IsZero() {
			ended = r.Root.EndedAt.Format(time.RFC3339)
		}
		if r.Archive != (bide.Hash{}) {
			archive = r.Archive.String()[:12]
		}
		return []string{r.Root.ID, r.Root.Workflow, string(r.Root.Status), itoa(int64(r.Runs)), ended, archive}
	})
}

// archiveInto writes an archive, whole and durable, or not at all. One that is there from a try that was cut off is replaced.
func archiveInto(dir, name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".archive-")
	if err != nil {
		return err
	}
	err = errors.Join(write(tmp), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newRetentionHold(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "hold RUN", Short: "Forbid the deletion of a run and all of its tree", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r, _, id, err := a.served(cmd, args[0]); err != nil {
				return err
			} else if r != nil {
				_, err := r.c.Hold(cmd.Context(), id, reason, "")
				return a.held(id, err)
			}
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			root, err := a.rootOf(cmd.Context(), l, args[0])
			if err != nil {
				return err
			}
			return a.held(root, retention.Hold(cmd.Context(), l.store, root, reason, a.cfg.get("actor"), l.now()))
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

// held says that a tree stays, unless err is why not.
func (a *app) held(run string, err error) error {
	if err == nil {
		a.say("Run %s and its tree stay until bide retention unhold %s.", run, run)
	}
	return err
}

func newRetentionUnhold(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "unhold RUN", Short: "End a hold", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r, _, id, err := a.served(cmd, args[0]); err != nil {
				return err
			} else if r != nil {
				return r.c.Unhold(cmd.Context(), id, "")
			}
			_, l, err := a.evidence(cmd)
			if err != nil {
				return err
			}
			root, err := a.rootOf(cmd.Context(), l, args[0])
			if err != nil {
				return err
			}
			return retention.Unhold(cmd.Context(), l.store, root)
		},
	}
}

// rootOf is the first run of the tree of a run.
func (a *app) rootOf(ctx context.Context, l *local, ref string) (string, error) {
	id, err := resolve(ctx, l, ref)
	if err != nil {
		return "", err
	}
	run, err := l.rt.Get(ctx, id)
	if err != nil {
		return "", err
	}
	return run.Root, nil
}

func newRetentionGC(a *app) *cobra.Command {
	var older time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove artifacts that no run and no document names any more",
		Long: `Remove the artifacts that were put at least so long ago and that no record and no document of
the store names. It may run while others are at work: one that is put again meanwhile stays. All stores that
share the artifacts must be this one.`,
		Example: "  bide retention gc --older 720h --dry-run",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			swept, out, err := a.sweep(cmd, older, dry)
			if err != nil {
				return err
			}
			return out.value(swept, func(io.Writer) error {
				a.say("%s removed, %d kept.", plural(swept.Removed, "artifact"), swept.Kept)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.DurationVar(&older, "older", 7*24*time.Hour, "how long ago an artifact must have been put, at least 1h")
	f.BoolVar(&dry, "dry-run", false, "count, and remove nothing")
	return cmd
}

// sweep removes artifacts, those of the server or those of the configuration.
func (a *app) sweep(cmd *cobra.Command, older time.Duration, dry bool) (swept artifact.Swept, out *output, err error) {
	r, out, _, err := a.served(cmd, "")
	if err != nil {
		return swept, nil, err
	}
	if r != nil {
		done, err := r.c.SweepArtifacts(cmd.Context(), api.Sweep{Older: bide.Duration(older), DryRun: dry}, "")
		if err != nil {
			return swept, nil, err
		}
		return artifact.Swept(*done), out, nil
	}
	out, l, err := a.evidence(cmd)
	if err != nil {
		return swept, nil, err
	}
	blobs, err := artifactsOf(cmd.Context(), l.store, a.cfg.get("artifacts"))
	if err != nil {
		return swept, nil, err
	}
	swept, err = gateway.Sweep(cmd.Context(), l.store, blobs, older, dry)
	return swept, out, errors.Join(err, blobs.Close())
}
