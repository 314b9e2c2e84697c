package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bide-dev/bide"
)

// LibraryWorkflow is the workflow whose runs hold the published documents, one each. A flow cannot have its name.
const LibraryWorkflow = "flow.document"

// EventWithdraw is the event that ends the run of a document: nobody can go on with its runs then, unless the
// document is at hand.
const EventWithdraw = "withdraw"

// library is a workflow that does nothing but wait: a run that waits is not deleted.
var library = bide.Workflow{ID: LibraryWorkflow, Version: "1", Entry: "keep", Exits: map[string][]string{"keep": {bide.End}},
	Nodes: bide.Nodes{"keep": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent(EventWithdraw, nil)).ThenComplete(nil), nil
	}}}

// Published is a document as it is kept in a store.
type Published struct {
	Flow    string `json:"flow"`
	Version string `json:"version"` // the content hash
	Label   string `json:"label,omitempty"`
	Source  string `json:"source"`
}

// LibraryRun is the id of the run that holds the document of a version.
func LibraryRun(version string) string { return "flow-" + version }

// Publish keeps a document in the store of rt and registers its workflow. A document that is there already is left as it is.
func Publish(ctx context.Context, rt *bide.Runtime, d *Doc) error {
	if err := rt.Register(d.Workflow()); err != nil {
		return err
	}
	id := LibraryRun(d.Version())
	switch _, err := rt.Get(ctx, id); {
	case err == nil:
		return nil
	case !errors.Is(err, bide.ErrNotFound):
		return fmt.Errorf("look for flow %s: %w", d.id, err)
	}
	p := Published{Flow: d.id, Version: d.Version(), Label: d.version, Source: string(d.source)}
	_, err := rt.Run(ctx, library, p, &bide.StartOptions{RunID: id})
	if errors.Is(err, bide.ErrExists) { // another process was faster, with other comments
		return nil
	}
	if err != nil {
		return fmt.Errorf("publish flow %s: %w", d.id, err)
	}
	return nil
}

// Load returns the published document of a version. It fails with bide.ErrNotFound when there is none.
func Load(ctx context.Context, rt *bide.Runtime, version string) (*Doc, error) {
	run, err := rt.Get(ctx, LibraryRun(version))
	if err != nil {
		return nil, err
	}
	p, err := bide.Input[Published](run)
	if err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "the published document %s cannot be read: %w", version, err)
	}
	d, err := Parse(p.Flow+".yaml", []byte(p.Source))
	if err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "the published document of flow %s: %w", p.Flow, err)
	}
	if d.Version() != version {
		return nil, bide.Errorf(bide.CodeCorrupt, "the published document of flow %s has version %s, not %s", p.Flow, d.Version(), version)
	}
	return d, nil
}

// ForRun returns the document that a run was started from, and registers its workflow with rt, so that Tick can go on with the
// run. It fails with bide.ErrNotFound when the run is not that of a published document.
func ForRun(ctx context.Context, rt *bide.Runtime, run *bide.RunInfo) (*Doc, error) {
	d, err := Load(ctx, rt, run.Version)
	if err != nil {
		return nil, err
	}
	if d.id != run.Workflow {
		return nil, bide.Errorf(bide.CodeNotFound, "run %s is not of a flow document: version %s belongs to flow %s", run.ID, run.Version, d.id)
	}
	return d, rt.Register(d.Workflow())
}

// Library keeps a runtime in step with the documents that are published in its store.
type Library struct {
	rt    *bide.Runtime
	opts  LibraryOptions
	known map[string]bool
}

// LibraryOptions refines a library. Nil means the defaults.
type LibraryOptions struct {
	// Every is how often to look for new documents. Defaults to 1s.
	Every time.Duration
	// Changed is called after new documents were registered, so that a worker looks for runs that it can now claim. Defaults to nothing.
	Changed func()
	// Logger receives what goes wrong. Defaults to none.
	Logger *slog.Logger
}

// NewLibrary returns a library for one goroutine.
func NewLibrary(rt *bide.Runtime, opts *LibraryOptions) *Library {
	l := &Library{rt: rt, known: map[string]bool{}}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Every <= 0 {
		l.opts.Every = time.Second
	}
	if l.opts.Changed == nil {
		l.opts.Changed = func() {}
	}
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

// Sync registers every document that was published since the last call. A document that cannot be used is
// left out, and reported in the error beside what was registered.
func (l *Library) Sync(ctx context.Context) (docs []*Doc, err error) {
	if err := l.rt.Register(library); err != nil {
		return nil, err
	}
	var bad []error
	for q := (bide.RunQuery{Workflow: LibraryWorkflow, Status: bide.StatusWaiting, Limit: 1000}); ; {
		page, err := l.rt.Runs(ctx, q)
		if err != nil {
			return docs, err
		}
		for _, info := range page.Runs {
			if l.known[info.ID] {
				continue
			}
			d, err := Load(ctx, l.rt, info.ID[len(LibraryRun("")):])
			if err == nil {
				err = l.rt.Register(d.Workflow())
			}
			if err != nil {
				if !errors.Is(err, bide.ErrCorrupt) && !errors.Is(err, bide.ErrInvalidWorkflow) {
					return docs, err
				}
				bad = append(bad, err)
			} else {
				docs = append(docs, d)
			}
			l.known[info.ID] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return docs, errors.Join(bad...)
		}
	}
}

// Run syncs until ctx ends, and returns nil then.
func (l *Library) Run(ctx context.Context) error {
	tick := time.NewTicker(l.opts.Every)
	defer tick.Stop()
	for {
		docs, err := l.Sync(ctx)
		if err != nil && ctx.Err() == nil {
			l.opts.Logger.Error("look for published flows", "err", err)
		}
		if len(docs) > 0 {
			l.opts.Changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Definition is the JSON of a document in its canonical form: sorted members, no spaces. Parse reads it.
func (d *Doc) Definition() json.RawMessage { return d.canonical }
