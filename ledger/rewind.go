package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// LogRewind is what putting a log back to a time takes out of it.
type LogRewind struct {
	// Newest is the last checkpoint that goes, signed; empty when none does.
	Newest string
	// Deleted are the runs of which the part that goes says that they were deleted.
	Deleted []Leaf

	docs  []bide.Document // that go, the oldest first
	first int64           // index of the first leaf of the newest batch that stays
	stays bool            // one does
}

// PlanLogRewind says what of a log speaks of times after at, or of records that holds denies: from the first such
// checkpoint on all go, since each follows from those before. It changes nothing.
func PlanLogRewind(ctx context.Context, docs bide.Documents, at time.Time, holds func(Leaf) bool) (*LogRewind, error) {
	out := &LogRewind{}
	for d, err := range documents(ctx, docs, CheckpointKind, "") {
		if err != nil {
			return nil, err
		}
		b, c, err := readBatch(d)
		if err != nil {
			return nil, err
		}
		leaves, err := parseLeaves(b)
		if err != nil {
			return nil, err
		}
		denied := func(l Leaf) bool { return !l.Deleted && !holds(l) }
		if len(out.docs) == 0 && !c.At.After(at) && !slices.ContainsFunc(leaves, denied) {
			out.first, out.stays = b.First, true
			continue
		}
		out.docs, out.Newest = append(out.docs, d), b.Note
		for _, l := range leaves {
			if l.Deleted {
				out.Deleted = append(out.Deleted, l)
			}
		}
	}
	return out, nil
}

func parseLeaves(b Batch) (out []Leaf, err error) {
	for _, text := range b.Leaves {
		l, err := ParseLeaf(text)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// Do takes it out. The store must be one that nobody else has open.
func (r *LogRewind) Do(ctx context.Context, docs bide.Documents, now time.Time) error {
	if len(r.docs) == 0 {
		return nil
	}
	l := &Log{docs: docs}
	if r.stays {
		if err := l.point(ctx, r.first, now); err != nil {
			return err
		}
	} else if tip, err := docs.Document(ctx, tipKind, tipID); err == nil {
		if err := docs.DeleteDocument(ctx, tipKind, tipID, tip.Rev); err != nil {
			return err
		}
	}
	for _, d := range slices.Backward(r.docs) {
		if err := docs.DeleteDocument(ctx, d.Kind, d.ID, d.Rev); err != nil {
			return err
		}
	}
	return nil
}
