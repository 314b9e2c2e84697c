package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/bide-dev/bide"
)

// The documents in which a log is kept.
const (
	// CheckpointKind is the kind of a document per checkpoint; its id is the size of the tree that
	// it follows, its body a Batch.
	CheckpointKind = "checkpoint"
	tipKind        = "checkpoint-tip" // where to look for the newest
	tipID          = "tip"
)

// BatchLeaves is how many leaves one checkpoint adds at most.
const BatchLeaves = 1000

// Batch is what a checkpoint adds to the log.
type Batch struct {
	First  int64       `json:"first"`  // index of the first leaf, from 0
	Leaves []string    `json:"leaves"` // as Leaf.String writes them
	Edge   []tlog.Hash `json:"edge"`   // of the tree after them: its complete subtrees, the largest first
	After  int64       `json:"after"`  // position of the store's feed up to which the leaves account for
	Note   string      `json:"note"`   // the signed checkpoint
}

// Log is the append-only log of a store's runs. Several processes may append to
// one log: a batch that does not follow the newest is refused by the store and made again.
type Log struct {
	docs    bide.Documents
	signers []note.Signer
	now     func() time.Time

	mu     sync.Mutex
	origin string
	tree   tree
	after  int64
	last   string // id of the newest batch
}

// LogOptions refines a log. Nil means the defaults.
type LogOptions struct {
	// Signers sign every checkpoint, all of them. Without any the log can only be read.
	Signers []note.Signer
	// Origin names a log that is begun; one that is there keeps its name. Defaults to "bide/" and a random id.
	Origin string
	// Now is the clock. Defaults to the system's.
	Now func() time.Time
}

// OpenLog returns the log that is kept in a store's documents. There may be none yet.
func OpenLog(ctx context.Context, docs bide.Documents, opts *LogOptions) (*Log, error) {
	l := &Log{docs: docs, now: time.Now}
	if opts != nil {
		l.signers, l.origin = opts.Signers, opts.Origin
		if opts.Now != nil {
			l.now = opts.Now
		}
	}
	if l.origin == "" {
		l.origin = "bide/" + uuid.NewString()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l, l.refresh(ctx)
}

// After is the position of the store's feed up to which the log accounts for all records.
func (l *Log) After() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.after
}

// Verifiers are those of the keys that sign, which must be Ed25519 as those of Signers are.
func (l *Log) Verifiers() []note.Verifier {
	out := make([]note.Verifier, len(l.signers))
	for i, s := range l.signers {
		out[i] = own{s}
	}
	return out
}

// refresh reads what was appended since.
func (l *Log) refresh(ctx context.Context) error {
	from := l.last
	if from == "" {
		tip, err := l.docs.Document(ctx, tipKind, tipID)
		if err != nil && !errors.Is(err, bide.ErrNotFound) {
			return err
		}
		var first int64
		if err == nil {
			if err := json.Unmarshal(tip.Body, &first); err != nil {
				return bide.Errorf(bide.CodeCorrupt, "where the log ends: %w", err)
			}
		}
		if first > 0 {
			from = batchID(first - 1)
		}
	}
	for d, err := range documents(ctx, l.docs, CheckpointKind, from) {
		if err != nil {
			return err
		}
		if err := l.take(d); err != nil {
			return err
		}
	}
	return nil
}

// documents yields the documents of a kind after an id, in the order of their ids.
func documents(ctx context.Context, docs bide.Documents, kind, after string) iter.Seq2[bide.Document, error] {
	return func(yield func(bide.Document, error) bool) {
		for {
			page, err := docs.Documents(ctx, bide.DocumentQuery{Kind: kind, After: after, Limit: 100})
			if err != nil {
				yield(bide.Document{}, err)
				return
			}
			for _, d := range page.Documents {
				if !yield(d, nil) {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	}
}

// take makes a stored batch the newest.
func (l *Log) take(d bide.Document) error {
	b, c, err := readBatch(d)
	if err != nil {
		return err
	}
	t := tree{c.Size, b.Edge}
	if !t.whole() || t.root() != c.Root {
		return bide.Errorf(bide.CodeCorrupt, "checkpoint %s: its edge is not that of its root; verify the store", d.ID)
	}
	l.tree, l.after, l.origin, l.last = t, b.After, c.Origin, d.ID
	return nil
}

func readBatch(d bide.Document) (b Batch, c *Checkpoint, err error) {
	if err := json.Unmarshal(d.Body, &b); err != nil {
		return b, nil, bide.Errorf(bide.CodeCorrupt, "checkpoint %s: %w", d.ID, err)
	}
	if c, err = openNote(b.Note, nil); err != nil && !errors.Is(err, errUnknownKeys) {
		return b, nil, bide.Errorf(bide.CodeCorrupt, "checkpoint %s: %w", d.ID, err)
	}
	return b, c, nil
}

// batchID is the id of the batch that follows a tree of a size: they sort like the sizes.
func batchID(size int64) string { return fmt.Sprintf("%016d", size) }

// Append adds leaves, at most BatchLeaves, and writes the checkpoint; it is durable when Append returns.
func (l *Log) Append(ctx context.Context, leaves ...Leaf) (*Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 100 {
		c, err := l.append(ctx, leaves, l.after)
		if !errors.Is(err, bide.ErrConflict) {
			return c, err
		}
		if err := l.refresh(ctx); err != nil {
			return nil, err
		}
	}
	return nil, bide.Errorf(bide.CodeConflict, "others have appended to the log again and again; try later")
}

// extend appends what the feed says between two positions, or reads what others have appended instead.
func (l *Log) extend(ctx context.Context, leaves []Leaf, from, to int64) (*Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.after != from {
		return nil, nil
	}
	c, err := l.append(ctx, leaves, to)
	if errors.Is(err, bide.ErrConflict) {
		return nil, l.refresh(ctx)
	}
	return c, err
}

func (l *Log) append(ctx context.Context, leaves []Leaf, after int64) (*Checkpoint, error) {
	if len(l.signers) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "no checkpoint can be signed without a private key")
	}
	if len(leaves) == 0 || len(leaves) > BatchLeaves {
		return nil, bide.Errorf(bide.CodeInvalidInput, "a checkpoint adds 1 to %d leaves, not %d", BatchLeaves, len(leaves))
	}
	b := Batch{First: l.tree.size, After: after}
	t := tree{l.tree.size, slices.Clone(l.tree.edge)}
	for _, leaf := range leaves {
		text := leaf.String()
		b.Leaves = append(b.Leaves, text)
		t.append(text)
	}
	now := l.now().UTC().Truncate(time.Microsecond)
	c := &Checkpoint{Origin: l.origin, Size: t.size, Root: t.root(), At: now}
	var err error
	if b.Note, err = c.sign(l.signers); err != nil {
		return nil, err
	}
	b.Edge = t.edge
	if err := l.put(ctx, b, now); err != nil {
		return nil, err
	}
	l.tree, l.after, l.last = t, after, batchID(b.First)
	for _, s := range l.signers {
		c.Keys = append(c.Keys, KeyName(s))
	}
	return c, nil
}

// put stores a batch under the size of the tree that it follows: of two that follow the
// same tree the store takes one.
func (l *Log) put(ctx context.Context, b Batch, now time.Time) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	d := bide.Document{Kind: CheckpointKind, ID: batchID(b.First), Body: body, UpdatedAt: now}
	if _, err := l.docs.PutDocument(ctx, d); err != nil {
		return err
	}
	return l.point(ctx, b.First, now)
}

// point notes where the newest batch is. It may lag behind: reading goes on from there.
func (l *Log) point(ctx context.Context, first int64, now time.Time) error {
	var rev int64
	tip, err := l.docs.Document(ctx, tipKind, tipID)
	switch {
	case err == nil:
		rev = tip.Rev
	case !errors.Is(err, bide.ErrNotFound):
		return err
	}
	_, err = l.docs.PutDocument(ctx, bide.Document{Kind: tipKind, ID: tipID, Rev: rev, Body: fmt.Appendf(nil, "%d", first), UpdatedAt: now})
	if errors.Is(err, bide.ErrConflict) { // another process has just pointed there or further
		return nil
	}
	return err
}
