package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/bide-dev/bide"
)

// Signed is a leaf of the log with its index there.
type Signed struct {
	Leaf
	Index int64
}

// Evidence is a log as it was read and checked.
type Evidence struct {
	// Newest is the last checkpoint; nil when there is none. Its Keys are those that count.
	Newest *Checkpoint
	// Note is its signed text: kept elsewhere, it shows later whether the log was put back (VerifyOptions.Seen).
	Note string
	// Checkpoints and Leaves are how many there are.
	Checkpoints, Leaves int64

	byRun    map[string][]Signed
	hashes   []tlog.Hash
	stored   hashes
	tree     tree
	last     string // id of the newest batch that was read
	unsigned bool   // the newest is signed by no key that counts
}

// Of returns the leaves of a run, oldest first. Those up to its last deletion on record are left out: what has the id
// since is another run, or an archive that came back and is signed anew.
func (e *Evidence) Of(runID string) []Signed {
	all := e.byRun[runID]
	for i, leaf := range slices.Backward(all) {
		if leaf.Deleted {
			return all[i+1:]
		}
	}
	return all
}

// Tombstone returns the newest leaf of a run when it says that the run was deleted.
func (e *Evidence) Tombstone(runID string) (Signed, bool) {
	all := e.byRun[runID]
	if len(all) == 0 || !all[len(all)-1].Deleted {
		return Signed{}, false
	}
	return all[len(all)-1], true
}

// ReadLog reads the log of a store and checks it: every batch follows the one before, every
// checkpoint has the root of the leaves up to it, every signature by one of keys is right, and
// one of keys has signed the newest. Without keys no signature counts, and none is asked for. What
// is wrong is in faults; an error means that the log could not be read.
func ReadLog(ctx context.Context, docs bide.Documents, keys []note.Verifier) (e *Evidence, faults []Fault, err error) {
	e = &Evidence{byRun: map[string][]Signed{}}
	if faults, err = e.ReadOn(ctx, docs, keys); err != nil {
		return nil, nil, err
	}
	return e, faults, nil
}

// ReadOn reads what was added to the log since, as ReadLog does; docs and keys must be the same. What it says holds for evidence
// in which nothing was wrong so far.
func (e *Evidence) ReadOn(ctx context.Context, docs bide.Documents, keys []note.Verifier) (faults []Fault, err error) {
	for d, err := range documents(ctx, docs, CheckpointKind, e.last) {
		if err != nil {
			return nil, err
		}
		c, b, fault := e.add(&e.tree, d, keys)
		e.unsigned = errors.Is(fault, errUnknownKeys)
		if fault != nil && !e.unsigned {
			faults = append(faults, Fault{Checkpoint: d.ID, Message: fault.Error()})
		}
		if c != nil {
			e.Newest, e.Note = c, b.Note
		}
		e.last, e.stored = d.ID, nil
		e.Checkpoints++
	}
	e.Leaves = e.tree.size
	if e.unsigned && len(keys) > 0 {
		faults = append(faults, Fault{Checkpoint: batchID(e.Leaves), Message: fmt.Sprintf("the newest checkpoint is signed by %q: %s", e.Newest.Keys, errUnknownKeys)})
	}
	fault, err := e.cut(ctx, docs, e.Leaves)
	if fault != nil {
		faults = append(faults, *fault)
	}
	return faults, err
}

// cut finds out whether the newest checkpoint that was noted is there.
func (e *Evidence) cut(ctx context.Context, docs bide.Documents, size int64) (*Fault, error) {
	tip, err := docs.Document(ctx, tipKind, tipID)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	last, err := strconv.ParseInt(string(tip.Body), 10, 64)
	if err == nil && size > last {
		return nil, nil
	}
	return &Fault{Checkpoint: batchID(last), Message: "checkpoints were removed from the end of the log"}, nil
}

// add takes one batch in. The checkpoint is nil when the batch cannot be read at all.
func (e *Evidence) add(t *tree, d bide.Document, keys []note.Verifier) (*Checkpoint, Batch, error) {
	b, c, err := readBatch(d)
	if err != nil {
		return nil, b, err
	}
	if b.First != t.size || d.ID != batchID(b.First) {
		err = fmt.Errorf("it follows %d leaves, but there are %d before it: checkpoints were removed, added or put in another order", b.First, t.size)
	}
	for _, text := range b.Leaves {
		leaf, bad := ParseLeaf(text)
		if bad != nil {
			err = errors.Join(err, bad)
		}
		e.byRun[leaf.RunID] = append(e.byRun[leaf.RunID], Signed{leaf, int64(len(e.hashes))})
		e.hashes = append(e.hashes, tlog.RecordHash([]byte(text)))
		t.append(text)
	}
	if err != nil {
		return c, b, err
	}
	if c.Size != t.size || c.Root != t.root() || !slices.Equal(b.Edge, t.edge) {
		return c, b, fmt.Errorf("its leaves, or some before them, are not those that were signed at %s", c.At)
	}
	signed, err := openNote(b.Note, keys)
	if err != nil {
		return c, b, err
	}
	return signed, b, nil
}

// Seen checks that the log still begins with what a checkpoint said that was kept elsewhere.
func (e *Evidence) Seen(msg string, keys []note.Verifier) (faults []Fault, err error) {
	c, err := OpenCheckpoint(msg, keys)
	if err != nil {
		return nil, err
	}
	fault := Fault{Checkpoint: batchID(c.Size)}
	if e.Newest != nil && e.Newest.Origin != c.Origin {
		fault.Message = fmt.Sprintf("the log is %q, not %q of the checkpoint that was kept", e.Newest.Origin, c.Origin)
		return []Fault{fault}, nil
	}
	if c.Size > int64(len(e.hashes)) {
		fault.Message = fmt.Sprintf("the log has %d leaves; it had %d at %s: it was cut or put back to an older state", len(e.hashes), c.Size, c.At)
		return []Fault{fault}, nil
	}
	stored, err := e.all()
	if err != nil {
		return nil, err
	}
	if root, err := tlog.TreeHash(c.Size, stored); err != nil || root != c.Root {
		fault.Message = fmt.Sprintf("the first %d leaves are not those of %s", c.Size, c.At)
		return []Fault{fault}, err
	}
	return nil, nil
}

func (e *Evidence) all() (hashes, error) {
	if e.stored == nil {
		stored, err := storedHashes(e.hashes)
		if err != nil {
			return nil, fmt.Errorf("hash the log: %w", err)
		}
		e.stored = stored
	}
	return e.stored, nil
}
