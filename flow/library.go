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

// KindFlow is the kind of the documents of a store that are published flows. Their ids are the versions.
const KindFlow = "flow"

// Published is a flow as it is kept in a store.
type Published struct {
	Flow    string `json:"flow"`
	Version string `json:"version"` // the content hash
	Label   string `json:"label,omitempty"`
	Source  string `json:"source"`
}

// documents are those of the runtime's store.
func documents(rt *bide.Runtime) (bide.Documents, error) {
	docs := rt.Documents()
	if docs == nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the store keeps no documents, so flows cannot be published in it")
	}
	return docs, nil
}

// Publish keeps a document in the store of rt and registers its workflow. A document that is there already is left as it is.
func Publish(ctx context.Context, rt *bide.Runtime, d *Doc) error {
	docs, err := documents(rt)
	if err != nil {
		return err
	}
	if err := rt.Register(d.Workflow()); err != nil {
		return err
	}
	switch _, err := docs.Document(ctx, KindFlow, d.Version()); {
	case err == nil:
		return nil
	case !errors.Is(err, bide.ErrNotFound):
		return fmt.Errorf("look for flow %s: %w", d.id, err)
	}
	body, err := json.Marshal(Published{Flow: d.id, Version: d.Version(), Label: d.version, Source: string(d.source)})
	if err != nil {
		return fmt.Errorf("publish flow %s: %w", d.id, err)
	}
	_, err = docs.PutDocument(ctx, bide.Document{Kind: KindFlow, ID: d.Version(), Body: body, UpdatedAt: time.Now().UTC().Truncate(time.Microsecond)})
	if err != nil && !errors.Is(err, bide.ErrConflict) { // another process was faster, with other comments
		return fmt.Errorf("publish flow %s: %w", d.id, err)
	}
	return nil
}

// Withdraw removes a published document: runs of it that have not ended can be gone on with only where the document is at hand. It
// does nothing when there is none.
func Withdraw(ctx context.Context, rt *bide.Runtime, version string) error {
	docs, err := documents(rt)
	if err != nil {
		return err
	}
	d, err := docs.Document(ctx, KindFlow, version)
	switch {
	case errors.Is(err, bide.ErrNotFound):
		return nil
	case err == nil:
		err = docs.DeleteDocument(ctx, KindFlow, d.ID, d.Rev)
	}
	if err != nil {
		return fmt.Errorf("withdraw flow version %s: %w", version, err)
	}
	return nil
}

// Load returns the published document of a version. It fails with bide.ErrNotFound when there is none.
func Load(ctx context.Context, rt *bide.Runtime, version string) (*Doc, error) {
	docs, err := documents(rt)
	if err != nil {
		return nil, err
	}
	stored, err := docs.Document(ctx, KindFlow, version)
	if err != nil {
		return nil, err
	}
	return read(stored)
}

// read reads a published document.
func read(stored *bide.Document) (*Doc, error) {
	var p Published
	if err := json.Unmarshal(stored.Body, &p); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "the published document %s cannot be read: %w", stored.ID, err)
	}
	d, err := Parse(p.Flow+".yaml", []byte(p.Source))
	if err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "the published document of flow %s: %w", p.Flow, err)
	}
	if d.Version() != stored.ID {
		return nil, bide.Errorf(bide.CodeCorrupt, "the published document of flow %s has version %s, not %s", d.id, d.Version(), stored.ID)
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
	// Leave says which documents are left alone, for other processes. Defaults to none.
	Leave func(*Doc) bool
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
	if l.opts.Leave == nil {
		l.opts.Leave = func(*Doc) bool { return false }
	}
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

// Sync registers every document that was published since the last call. A document that cannot be used is
// left out, and reported in the error beside what was registered.
func (l *Library) Sync(ctx context.Context) (docs []*Doc, err error) {
	store, err := documents(l.rt)
	if err != nil {
		return nil, err
	}
	var bad []error
	for q := (bide.DocumentQuery{Kind: KindFlow, Limit: 1000}); ; {
		page, err := store.Documents(ctx, q)
		if err != nil {
			return docs, err
		}
		for i := range page.Documents {
			stored := &page.Documents[i]
			if l.known[stored.ID] {
				continue
			}
			l.known[stored.ID] = true
			d, err := read(stored)
			if err == nil && l.opts.Leave(d) {
				continue
			}
			if err == nil {
				err = l.rt.Register(d.Workflow())
			}
			if err != nil {
				bad = append(bad, err)
				continue
			}
			docs = append(docs, d)
		}
		if q.After = page.Next; q.After == "" {
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
