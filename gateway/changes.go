package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/ledger/trace"
)

func (s *Server) registerChanges() {
	type verb func(ctx context.Context, runID string, cmd ...bide.Command) (*bide.Run, error)
	for _, c := range []struct {
		name, summary, about string
		do                   verb
	}{
		{"pause", "Freeze a run until it is unpaused", "Nothing executes and no timer fires; answers and events are accepted and kept.", s.rt.Pause},
		{"unpause", "Let a paused run go on", "", s.rt.Unpause},
		{"cancel", "End a run", "Its waits are closed, and the runs below it that it waits for are cancelled too.", s.rt.Cancel},
		{"retry", "Open a failed run again", "What failed is made again; what completed stays.", s.rt.Retry},
		{"shred", "Destroy the content of an ended run and of all runs below it",
			"The data key is destroyed: inputs, vars, results, answers and outputs can be read by nobody any more. The ledger's chain stays whole, and a record says who did it. Artifacts that nothing else names and that were put more than an hour ago go as well, if they are encrypted; later ones with the next sweep. The store must be encrypted.", s.shred},
	} {
		register(s, operation{id: c.name + "-run", method: http.MethodPost, path: "/v1/runs/{run}/" + c.name, tag: tagRuns, right: auth.Operate,
			summary: c.summary, about: c.about}, func(ctx context.Context, in *changeRun) (*answer[bide.Run], error) {
			if _, err := s.sight(ctx, auth.Operate).run(ctx, in.Run); err != nil {
				return nil, err
			}
			return changed(c.do(ctx, in.Run, in.command(ctx, in.reason())))
		})
	}
	register(s, operation{id: "delete-run", method: http.MethodDelete, path: "/v1/runs/{run}", tag: tagRuns, right: auth.Operate, status: http.StatusNoContent,
		summary: "Remove an ended run with all runs below it"}, s.deleteRun)
	register(s, operation{id: "preview-fork", method: http.MethodGet, path: "/v1/runs/{run}/fork", tag: tagRuns, right: auth.View,
		summary: "What a fork from a record would make happen again"}, s.previewFork)
	register(s, operation{id: "fork-run", method: http.MethodPost, path: "/v1/runs/{run}/fork", tag: tagRuns, right: auth.Operate, status: http.StatusCreated,
		summary: "Start a new run from a record of this one"}, s.forkRun)
	register(s, operation{id: "migrate-run", method: http.MethodPost, path: "/v1/runs/{run}/migrate", tag: tagRuns, right: auth.Author,
		summary: "Move a run to another version of its workflow", about: "Every step of its ledger is decided again with that version first. When one is decided otherwise, nothing is changed, and the problem is of type diverged."}, s.migrateRun)
	register(s, operation{id: "release-run", method: http.MethodPost, path: "/v1/runs/{run}/release", tag: tagRuns, right: auth.Operate, status: http.StatusNoContent,
		summary: "Let workers take a run that was set aside", about: "Runs that were set aside are found with the search is:set-aside. One that is not is left as it is."}, s.releaseRun)
	register(s, operation{id: "revoke-grant", method: http.MethodDelete, path: "/v1/runs/{run}/grants/{grant}", tag: tagRuns, right: auth.Decide,
		summary: "End a grant of a run", about: "Calls of tools that it would have let pass ask again, also those of other runs when it is for a session or a workflow."}, s.revokeGrant)
}

// shred destroys the content of a run, and the artifacts that only it named.
func (s *Server) shred(ctx context.Context, runID string, cmd ...bide.Command) (*bide.Run, error) {
	o := retention.ShredOptions{Documents: NamingKinds, Before: time.Now().Add(-artifact.MinAge - time.Second)}
	o.Blobs, _ = s.opts.Artifacts.(retention.Blobs)
	run, _, err := retention.Shred(ctx, s.rt, s.store, runID, o, cmd...)
	return run, err
}

// NamingKinds are the kinds of documents that may name artifacts.
var NamingKinds = []string{flow.KindFlow, ledger.CheckpointKind, trace.BookmarkKind, "agent-memory", "grant", "command"}

type changeRun struct {
	Keyed
	OneRun
	Body *api.Change
}

func (c *changeRun) reason() string {
	if c.Body == nil {
		return ""
	}
	return c.Body.Reason
}

func changed(run *bide.Run, err error) (*answer[bide.Run], error) {
	if err != nil {
		return nil, err
	}
	return &answer[bide.Run]{Status: http.StatusOK, ETag: tag(&run.RunInfo), Body: run}, nil
}

type deleteRun struct {
	Keyed
	OneRun
}

// deletedKind is the kind of the documents that say which command deleted a run: its ledger cannot.
const deletedKind = "deleted_run"

func (s *Server) deleteRun(ctx context.Context, in *deleteRun) (*struct{}, error) {
	cmd := in.command(ctx, "")
	sum := sha256.Sum256([]byte(cmd.ID + "\x00" + in.Run))
	id := hex.EncodeToString(sum[:])
	if _, err := s.sight(ctx, auth.Operate).run(ctx, in.Run); err != nil {
		if cmd.ID == "" || !errors.Is(err, bide.ErrNotFound) {
			return nil, err
		}
		if _, derr := s.store.Document(ctx, deletedKind, id); derr == nil {
			return nil, nil // by this command
		} else if !errors.Is(derr, bide.ErrNotFound) {
			return nil, derr
		}
		return nil, err
	}
	if cmd.ID != "" {
		body, err := json.Marshal(map[string]string{"run_id": in.Run, "actor": cmd.Actor})
		if err != nil {
			return nil, err
		}
		_, err = s.store.PutDocument(ctx, bide.Document{Kind: deletedKind, ID: id, Body: body, UpdatedAt: s.opts.Clock().UTC()})
		if err != nil && !errors.Is(err, bide.ErrConflict) { // it is there: the command is made again
			return nil, err
		}
	}
	return nil, retention.Delete(ctx, s.rt, s.store, s.opts.Log, in.Run)
}

type previewFork struct {
	OneRun
	Seq int64 `query:"seq" minimum:"1" required:"true" doc:"number of the record to go on from"`
}

func (s *Server) previewFork(ctx context.Context, in *previewFork) (*result[api.ForkPreview], error) {
	if _, err := s.sight(ctx, auth.View).run(ctx, in.Run); err != nil {
		return nil, err
	}
	effects, err := s.rt.ForkPreview(ctx, in.Run, in.Seq)
	if err != nil {
		return nil, err
	}
	if effects == nil {
		effects = []bide.ForkEffect{}
	}
	return ok(&api.ForkPreview{Effects: effects}), nil
}

type forkRun struct {
	Keyed
	OneRun
	Body api.Fork
}

func (s *Server) forkRun(ctx context.Context, in *forkRun) (*started, error) {
	v, b := s.sight(ctx, auth.Operate), &in.Body
	from, err := v.run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	labels := b.Labels
	if labels == nil {
		labels = unreserved(from.Labels)
	}
	if labels, err = v.p.Starts(from.Workflow, labels); err != nil {
		return nil, err
	}
	run, err := s.rt.Fork(ctx, in.Run, b.Seq, &bide.ForkOptions{Command: in.command(ctx, b.Reason), RunID: v.p.Scoped(b.RunID), Writes: b.Writes, Labels: labels})
	if err != nil {
		return nil, err
	}
	return newStarted(run), nil
}

// unreserved leaves out the labels that the gateway sets.
func unreserved(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	maps.DeleteFunc(out, func(name, _ string) bool { return strings.HasPrefix(name, auth.ReservedLabels) })
	return out
}

type migrateRun struct {
	Keyed
	OneRun
	Body api.Migrate
}

func (s *Server) migrateRun(ctx context.Context, in *migrateRun) (*answer[bide.Run], error) {
	run, err := s.sight(ctx, auth.Author).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	for _, version := range []string{run.Version, in.Body.Version} {
		if err := s.library.load(ctx, &bide.RunInfo{ID: run.ID, Workflow: run.Workflow, Version: version}); err != nil {
			return nil, err
		}
	}
	return changed(s.rt.Migrate(ctx, in.Run, in.Body.Version, in.command(ctx, in.Body.Reason)))
}

func (s *Server) releaseRun(ctx context.Context, in *changeRun) (*struct{}, error) {
	if _, err := s.sight(ctx, auth.Operate).run(ctx, in.Run); err != nil {
		return nil, err
	}
	if err := s.store.SetAside(ctx, in.Run, ""); err != nil {
		return nil, err
	}
	s.rt.Hint(true)
	return nil, nil
}

type revokeGrant struct {
	Keyed
	OneRun
	Grant string `path:"grant" maxLength:"200" doc:"id of the grant"`
}

func (s *Server) revokeGrant(ctx context.Context, in *revokeGrant) (*answer[bide.Run], error) {
	run, err := s.sight(ctx, auth.Decide).run(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	if err := s.revokeBeyond(ctx, run, in.Grant); err != nil {
		return nil, err
	}
	return changed(s.rt.RevokeGrant(ctx, in.Run, in.Grant, in.command(ctx, "")))
}
