package retention

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// Blobs are encrypted artifacts, as those of package seal.
type Blobs interface {
	// Has reports whether a blob is there and encrypted.
	Has(ctx context.Context, sum string) (bool, error)
	// Destroy destroys the key of a blob that was last put before a time, and reports whether it did.
	Destroy(ctx context.Context, sum string, before time.Time) (bool, error)
}

// ShredOptions says what goes along with the content of runs.
type ShredOptions struct {
	// Blobs are those whose keys are destroyed when nothing else names them.
	Blobs Blobs
	// Documents are the kinds of the documents that may name blobs, as for NewReferences.
	Documents []string
	// Before is when a blob must have been put for the last time: at least artifact.MinAge ago, for who has put one needs
	// time to say where it is used. A later one is for a sweep.
	Before time.Time
}

// Shred destroys the content of an encrypted run that has ended and of all below it, as Runtime.Shred does, and then the keys
// of the artifacts that only they named: those can be read by nobody any more. It returns how many. What another record or a document
// names too stays, until the last that names it is shredded or deleted; what stays for another reason, or because the shredding was cut
// off here, a later sweep of the artifacts removes, with its key.
func Shred(ctx context.Context, rt *bide.Runtime, store Store, runID string, o ShredOptions, cmd ...bide.Command) (*bide.Run, int, error) {
	run, err := rt.Get(ctx, runID)
	if err != nil && !errors.Is(err, bide.ErrShredded) {
		return nil, 0, err
	}
	var sums []string
	if err == nil && o.Blobs != nil {
		if sums, err = namedBelow(ctx, rt, store, o.Blobs, run.RunInfo); err != nil {
			return nil, 0, err
		}
	}
	if run, err = rt.Shred(ctx, runID, cmd...); err != nil {
		return nil, 0, err
	}
	destroyed := 0
	refs := NewReferences(store, o.Documents)
	for _, sum := range sums {
		named, err := refs.Named(ctx, sum)
		if err != nil {
			return run, destroyed, err
		}
		if named {
			continue
		}
		done, err := o.Blobs.Destroy(ctx, sum, o.Before)
		if err != nil {
			return run, destroyed, err
		}
		if done {
			destroyed++
		}
	}
	return run, destroyed, nil
}

// namedBelow lists the blobs that the records of a run and of all below it name.
func namedBelow(ctx context.Context, rt *bide.Runtime, store Store, blobs Blobs, run bide.RunInfo) (out []string, err error) {
	tree, err := below(ctx, store, run)
	if err != nil {
		return nil, err
	}
	for _, r := range tree {
		for rec, err := range rt.Ledger(ctx, r.ID, 1) {
			if err != nil {
				return nil, err
			}
			for _, sum := range sums.FindAll(rec.Data, -1) {
				out = append(out, string(sum))
			}
		}
	}
	slices.Sort(out)
	kept := out[:0]
	for _, sum := range slices.Compact(out) {
		there, err := blobs.Has(ctx, sum)
		if err != nil {
			return nil, err
		}
		if there {
			kept = append(kept, sum)
		}
	}
	return kept, nil
}
