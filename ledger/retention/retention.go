// Package retention removes old runs on purpose: whole trees, archived first if wanted, with a tombstone in the log of
// checkpoints that keeps the proof of what they were.
//
// It knows runs and the log. Where archives go is the caller's.
package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
)

// Rule says which trees of runs may go: those whose first run it selects and whose last run ended long enough ago.
type Rule struct {
	Workflow string      `json:"workflow,omitempty"` // of the first run; empty for any
	Status   bide.Status `json:"status,omitempty"`   // of the first run; empty for any final one
	// After is how long ago the last run of the tree must have ended; more than zero.
	After bide.Duration `json:"after"`
}

// Archive takes a tree before it is deleted: write is called with where the export goes, and what Archive returns
// must be durable. It is called for one tree at a time.
type Archive func(ctx context.Context, root *bide.RunInfo, write func(io.Writer) error) error

// Options refines Apply.
type Options struct {
	// Rules are tried in order; a tree goes when one of them selects it. At least one.
	Rules []Rule
	// Archive is where trees go before. Nil deletes without.
	Archive Archive
	// Export is how archives are written; its Runs are set. Nil means the defaults.
	Export *transfer.ExportOptions
	// Log takes the tombstones. Nil leaves none; a store that has signed checkpoints then no longer verifies.
	Log *ledger.Log
	// Limit is how many trees go at most. Defaults to 1,000.
	Limit int
	// DryRun says what would go, and changes nothing.
	DryRun bool
	// Now is the clock. Defaults to the system's.
	Now func() time.Time
}

// Removed is a tree that went, or would.
type Removed struct {
	Root    bide.RunInfo `json:"root"`
	Runs    int          `json:"runs"`
	Archive bide.Hash    `json:"archive,omitzero"` // SHA-256 of its export
}

// Result is what Apply did.
type Result struct {
	Removed []Removed `json:"removed,omitempty"`
	Held    int       `json:"held"`   // trees that a hold kept
	Active  int       `json:"active"` // trees in which a run has not ended
	// More says that the limit was reached.
	More bool `json:"more,omitempty"`
}

// HoldKind is the kind of document that forbids the deletion of a tree; its id is the id of the tree's first run.
const HoldKind = "hold"

// Hold forbids the deletion of a tree of runs until Unhold, for a reason. It fails with ErrConflict when it is held already.
func Hold(ctx context.Context, docs bide.Documents, rootID, reason, actor string, now time.Time) error {
	body, err := json.Marshal(map[string]string{"reason": reason, "actor": actor})
	if err != nil {
		return err
	}
	_, err = docs.PutDocument(ctx, bide.Document{Kind: HoldKind, ID: rootID, Body: body, UpdatedAt: now.UTC().Truncate(time.Microsecond)})
	return err
}

// Held is a hold on a tree of runs.
type Held struct {
	RunID  string    `json:"run_id"` // the first of the tree
	Reason string    `json:"reason"`
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
}

// Holds lists all holds, by run.
func Holds(ctx context.Context, docs bide.Documents) (out []Held, err error) {
	for q := (bide.DocumentQuery{Kind: HoldKind, Limit: 1000}); ; {
		page, err := docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Documents {
			h, err := readHold(&page.Documents[i])
			if err != nil {
				return nil, err
			}
			out = append(out, *h)
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

// HoldOf returns the hold on a tree of runs, or ErrNotFound.
func HoldOf(ctx context.Context, docs bide.Documents, rootID string) (*Held, error) {
	d, err := docs.Document(ctx, HoldKind, rootID)
	if err != nil {
		return nil, err
	}
	return readHold(d)
}

func readHold(d *bide.Document) (*Held, error) {
	h := &Held{RunID: d.ID, At: d.UpdatedAt}
	if err := json.Unmarshal(d.Body, h); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "hold %s: %w", d.ID, err)
	}
	return h, nil
}

// Unhold ends a hold. It does nothing when there is none.
func Unhold(ctx context.Context, docs bide.Documents, rootID string) error {
	d, err := docs.Document(ctx, HoldKind, rootID)
	if errors.Is(err, bide.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return docs.DeleteDocument(ctx, HoldKind, rootID, d.Rev)
}

// Store is what runs are removed from.
type Store interface {
	bide.Store
	bide.Documents
}

// Apply removes the trees that the rules select. Each is archived, its tombstones are written, and then it is deleted:
// cut off anywhere, doing it again finishes it, and no run goes before its archive and its tombstone are durable.
func Apply(ctx context.Context, rt *bide.Runtime, store Store, o Options) (*Result, error) {
	if len(o.Rules) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "there is no rule that says what may go")
	}
	for _, r := range o.Rules {
		if r.After <= 0 || r.Status != "" && !r.Status.Final() {
			return nil, bide.Errorf(bide.CodeInvalidInput, "the rule %+v is not one: it needs an age, and a status that is final", r)
		}
	}
	if o.Limit <= 0 {
		o.Limit = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &applying{rt: rt, store: store, opts: o, now: o.Now(), out: &Result{}}
	return a.out, a.all(ctx)
}

type applying struct {
	rt    *bide.Runtime
	store Store
	opts  Options
	now   time.Time
	out   *Result
}

// all goes through the runs that have no parent, and those whose parent is gone.
func (a *applying) all(ctx context.Context) error {
	var picked []bide.RunInfo
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := a.store.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page.Runs {
			if r.Parent == "" && r.Status.Final() && a.selects(&r, r.EndedAt) {
				picked = append(picked, r)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for _, root := range picked {
		if len(a.out.Removed) == a.opts.Limit {
			a.out.More = true
			return nil
		}
		if err := a.tree(ctx, root); err != nil {
			return fmt.Errorf("remove run %s: %w", root.ID, err)
		}
	}
	return nil
}

// selects reports whether a rule lets a tree go whose last run ended at a time.
func (a *applying) selects(root *bide.RunInfo, ended time.Time) bool {
	for _, r := range a.opts.Rules {
		if (r.Workflow == "" || r.Workflow == root.Workflow) && (r.Status == "" || r.Status == root.Status) && !a.now.Before(ended.Add(time.Duration(r.After))) {
			return true
		}
	}
	return false
}

// tree removes one tree, unless something speaks against it.
func (a *applying) tree(ctx context.Context, root bide.RunInfo) error {
	runs, err := a.runs(ctx, root.ID)
	if err != nil {
		return err
	}
	last := root.EndedAt
	for _, r := range runs {
		if !r.Status.Final() {
			a.out.Active++
			return nil
		}
		if r.EndedAt.After(last) {
			last = r.EndedAt
		}
	}
	if !a.selects(&root, last) {
		return nil
	}
	switch _, err := a.store.Document(ctx, HoldKind, root.ID); {
	case err == nil:
		a.out.Held++
		return nil
	case !errors.Is(err, bide.ErrNotFound):
		return err
	}
	removed := Removed{Root: root, Runs: len(runs)}
	if !a.opts.DryRun {
		if err := a.remove(ctx, &removed, runs); err != nil {
			return err
		}
	}
	a.out.Removed = append(a.out.Removed, removed)
	return nil
}

func (a *applying) runs(ctx context.Context, root string) (out []bide.RunInfo, err error) {
	for q := (bide.RunQuery{Root: root, Limit: 1000}); ; {
		page, err := a.store.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Runs...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return out, nil
		}
	}
}

// removalKind is the kind of document that says that a tree is archived and on its way out: what is left of it must not
// be archived again, in place of the whole. Its id is that of the tree's first run, its body the archive's hash.
const removalKind = "removal"

func (a *applying) remove(ctx context.Context, r *Removed, runs []bide.RunInfo) error {
	d, err := a.store.Document(ctx, removalKind, r.Root.ID)
	switch {
	case errors.Is(err, bide.ErrNotFound):
		if d, err = a.archive(ctx, r); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(d.Body, &r.Archive); err != nil {
			return bide.Errorf(bide.CodeCorrupt, "document %s of kind %s: %w", d.ID, d.Kind, err)
		}
	}
	if err := tombstones(ctx, a.opts.Log, runs, r.Archive); err != nil {
		return err
	}
	if err := a.rt.Delete(ctx, r.Root.ID); err != nil {
		return err
	}
	return a.store.DeleteDocument(ctx, removalKind, r.Root.ID, d.Rev)
}

// archive hands a tree over, and notes that.
func (a *applying) archive(ctx context.Context, r *Removed) (*bide.Document, error) {
	if a.opts.Archive != nil {
		var o transfer.ExportOptions
		if a.opts.Export != nil {
			o = *a.opts.Export
		}
		o.Runs = []string{r.Root.ID}
		err := a.opts.Archive(ctx, &r.Root, func(w io.Writer) error {
			out, err := transfer.Export(ctx, a.store, w, &o)
			if err == nil {
				r.Archive = out.SHA256
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if r.Archive == (bide.Hash{}) {
			return nil, bide.Errorf(bide.CodeInvalidInput, "the archive did not write the export")
		}
	}
	body, err := json.Marshal(r.Archive)
	if err != nil {
		return nil, err
	}
	d := &bide.Document{Kind: removalKind, ID: r.Root.ID, Body: body, UpdatedAt: a.now.UTC().Truncate(time.Microsecond)}
	d.Rev, err = a.store.PutDocument(ctx, *d)
	return d, err
}

// tombstones note the runs' last records and that they go. Without a log there are none.
func tombstones(ctx context.Context, log *ledger.Log, runs []bide.RunInfo, archive bide.Hash) error {
	if log == nil {
		return nil
	}
	for some := range slices.Chunk(runs, ledger.BatchLeaves) {
		leaves := make([]ledger.Leaf, len(some))
		for i, run := range some {
			leaves[i] = ledger.Leaf{RunID: run.ID, Seq: run.Seq, Head: run.Head, Deleted: true, Archive: archive}
		}
		if _, err := log.Append(ctx, leaves...); err != nil {
			return err
		}
	}
	return nil
}
