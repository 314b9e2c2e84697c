package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/ledger/trace"
	"github.com/bide-dev/bide/ledger/transfer"
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

// servedArtifacts names the artifacts of a server, where a folder or bucket would be named otherwise.
const servedArtifacts = "artifacts"

// export writes runs, or all of the server's store, into a file. What comes is checked as it is written, so that the file is whole; it
// is encrypted here.
func (r *remote) export(cmd *cobra.Command, a *app, out *output, refs []string, file string, o *transfer.ExportOptions, artifacts bool) error {
	ctx := cmd.Context()
	q := client.ExportQuery{All: len(refs) == 0, Artifacts: artifacts, Documents: o.Documents}
	for _, ref := range refs {
		id, err := resolve(ctx, r, ref)
		if err != nil {
			return err
		}
		q.Runs = append(q.Runs, id)
	}
	return a.exported(out, file, func(w io.Writer) (*transfer.Written, error) {
		body, err := r.c.Export(ctx, q)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		if len(o.Recipients) == 0 {
			return received(body, w)
		}
		sealed, err := age.Encrypt(w, o.Recipients...)
		if err != nil {
			return nil, err
		}
		written, err := received(body, sealed)
		return written, errors.Join(err, sealed.Close())
	})
}

// received writes an export as it comes, and fails when it is not whole.
func received(from io.Reader, to io.Writer) (*transfer.Written, error) {
	got, err := transfer.Inspect(io.TeeReader(from, to), nil, nil)
	switch {
	case err != nil:
		return nil, err
	case got.Broken != nil:
		return nil, fmt.Errorf("the export did not come whole: %w", got.Broken)
	case len(got.Faults) > 0:
		return nil, bide.Errorf(bide.CodeCorrupt, "the export is at fault: %s (%d faults in all)", got.Faults[0], len(got.Faults))
	}
	return &transfer.Written{Runs: got.Runs, Records: got.Records, Artifacts: got.Artifacts, Documents: got.Documents, Missing: got.Missing, Bytes: got.Bytes, SHA256: got.SHA256}, nil
}

// bring sends a file to be imported, decrypted here if need be.
func (r *remote) bring(ctx context.Context, file io.Reader, o *transfer.ImportOptions, public string, artifacts bool) (*transfer.Imported, error) {
	opts := &client.ImportOptions{Live: o.Live, Artifacts: artifacts, Documents: o.Documents, From: o.From}
	if public != "" {
		text, err := os.ReadFile(public)
		if err != nil {
			return nil, err
		}
		opts.Public = strings.Fields(string(text))
	}
	if len(o.Identities) > 0 {
		var err error
		if file, err = transfer.Plain(file, o.Identities...); err != nil {
			return nil, err
		}
	}
	done, err := r.c.Import(ctx, file, opts)
	if err != nil {
		return nil, err
	}
	out := transfer.Imported(*done)
	return &out, nil
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
