package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/ledger/trace"
)

// The commands about evidence and retention, through a server. It signs with its own key.

// served returns the server of the configuration, where data goes, and the id of the run that is meant; nil without a server.
func (a *app) served(cmd *cobra.Command, ref string) (r *remote, out *output, id string, err error) {
	if r, err = a.remote(cmd); r == nil || err != nil {
		return nil, nil, "", err
	}
	if out, err = a.output(cmd); err == nil && ref != "" {
		id, err = resolve(cmd.Context(), r, ref)
	}
	return r, out, id, err
}

// mark marks a record of a run; the server knows who does.
func (r *remote) mark(ctx context.Context, b trace.Bookmark) (*trace.Bookmark, error) {
	made, err := r.c.CreateBookmark(ctx, api.NewBookmark{Name: b.Name, RunID: b.RunID, Seq: b.Seq, Tags: b.Tags, Note: b.Note}, "")
	if err != nil {
		return nil, err
	}
	out := trace.Bookmark(*made)
	return &out, nil
}

// bookmarks finds marked points.
func (r *remote) bookmarks(ctx context.Context, tag, text string) ([]trace.Bookmark, error) {
	list, err := r.c.Bookmarks(ctx, tag, text)
	if err != nil {
		return nil, err
	}
	out := make([]trace.Bookmark, len(list.Bookmarks))
	for i, b := range list.Bookmarks {
		out[i] = trace.Bookmark(b)
	}
	return out, nil
}

// proof writes what proves a run, or one record.
func (r *remote) proof(ctx context.Context, w io.Writer, id, record string) error {
	seq := int64(0)
	if record != "" {
		var err error
		if seq, err = strconv.ParseInt(record, 10, 64); err != nil || seq < 1 {
			return usage("bide proof --help", "%q is not the number of a record", record)
		}
	}
	p, err := r.c.Proof(ctx, id, seq)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(p.Proof))
	return err
}

// export writes a run and all below it into a new file, or to standard output for "-".
func (r *remote) export(cmd *cobra.Command, a *app, id, file string) (err error) {
	body, err := r.c.Export(cmd.Context(), id)
	if err != nil {
		return err
	}
	defer body.Close()
	if file == "-" {
		_, err = io.Copy(a.stdout, body)
		return err
	}
	f, err := createFile(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	a.say("Run %s is in %s; bide inspect says whether it is whole.", id, file)
	return nil
}

// retain removes old runs, archived as artifacts of the server if wanted.
func (r *remote) retain(ctx context.Context, rule retention.Rule, o *retention.Options, archive bool) (*retention.Result, error) {
	done, err := r.c.Retention(ctx, api.Retention{Rules: []api.RetentionRule{{Workflow: rule.Workflow, Status: string(rule.Status), After: rule.After}},
		DryRun: o.DryRun, Archive: archive, Limit: o.Limit}, "")
	if err != nil {
		return nil, err
	}
	out := &retention.Result{Held: done.Held, Active: done.Active, More: done.More}
	for _, t := range done.Removed {
		removed := retention.Removed{Root: bide.RunInfo{ID: t.RunID, Workflow: t.Workflow, Status: t.Status, EndedAt: t.EndedAt}, Runs: t.Runs}
		if t.Archive != "" {
			if err := removed.Archive.UnmarshalText([]byte(t.Archive)); err != nil {
				return nil, err
			}
		}
		out.Removed = append(out.Removed, removed)
	}
	return out, nil
}
