package seal

import (
	"context"
	"errors"
	"iter"

	"github.com/bide-dev/bide"
)

// Wrapped is what the data keys of a store are wrapped with.
type Wrapped struct {
	Current string `json:"current"` // id of the key that wraps what is new
	// Blocks counts blocks of data keys by the id of their wrapping key: before and after.
	Before map[string]int `json:"before"`
	After  map[string]int `json:"after"`
	// Shredding are runs whose shredding was cut off; bide.Runtime.Shred finishes it.
	Shredding []string `json:"shredding,omitempty"`
}

// RewrapOptions refines Rewrap. Nil means that it is done.
type RewrapOptions struct {
	// DryRun looks and changes nothing.
	DryRun bool
}

// Rewrap wraps all data keys with the current wrapping key; the runs are not touched. When
// After names no other key, and backups made before are not needed any more, the old wrapping keys can be
// destroyed. It may run beside everything else; cut off, it goes on where it was by being called again.
// It fails with bide.ErrSealed, naming the key, when one that is still in use is missing.
func (s *Store) Rewrap(ctx context.Context, opts *RewrapOptions) (*Wrapped, error) {
	current, err := s.keys.Current(ctx)
	if err != nil {
		return nil, err
	}
	out := &Wrapped{Current: current, Before: map[string]int{}, After: map[string]int{}}
	for d, err := range s.blocks(ctx) {
		if err != nil {
			return out, err
		}
		b, err := parseBlock(d)
		if err != nil {
			return out, err
		}
		for _, k := range b.Slots {
			if k.Shred != nil && k.DataKey != nil {
				out.Shredding = append(out.Shredding, k.Shred.RunID)
			}
		}
		out.Before[b.Key]++
		if opts == nil || !opts.DryRun {
			if err := s.rewrap(ctx, d.ID, current); err != nil {
				return out, err
			}
			b.Key = current
		}
		out.After[b.Key]++
	}
	return out, nil
}

// rewrap wraps the key of one block with another wrapping key.
func (s *Store) rewrap(ctx context.Context, id, current string) error {
	for range maxTries {
		b, rev, err := s.readBlock(ctx, id)
		if err != nil || b.Key == current {
			return err
		}
		if err := s.renew(ctx, id, b, current); err != nil {
			return err
		}
		if _, err = s.putBlock(ctx, id, b, rev); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
	return bide.Errorf(bide.CodeConflict, "data keys %s changed %d times while they were wrapped anew", id, maxTries)
}

// renew gives a block another key of its own, wrapped with the current one. Were the block's key to stay the same, a data key
// that was destroyed since could be had again from an old copy of the block, without the wrapping key of its time.
func (s *Store) renew(ctx context.Context, id string, b *block, current string) error {
	old, err := s.unwrap(ctx, id, b)
	if err != nil {
		return err
	}
	key := random(keyBytes)
	fresh := aead(key)
	for i := range b.Slots {
		k := &b.Slots[i]
		if k.DataKey == nil {
			continue
		}
		raw, err := unbox(old, k.DataKey, slotBinding(id, i))
		if err != nil {
			return bide.Errorf(bide.CodeCorrupt, "data keys %s: key %d was changed", id, i)
		}
		k.DataKey = box(fresh, &s.nonces, nil, raw, slotBinding(id, i))
	}
	if b.Wrapped, err = s.keys.Wrap(ctx, current, key, blockBinding(id)); err != nil {
		return err
	}
	b.Key = current
	return nil
}

// blocks yields the documents of all blocks.
func (s *Store) blocks(ctx context.Context) iter.Seq2[*bide.Document, error] {
	return func(yield func(*bide.Document, error) bool) {
		for q := (bide.DocumentQuery{Kind: KeyKind, Limit: 1000}); ; {
			page, err := s.inner.Documents(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Documents {
				if d := &page.Documents[i]; d.ID != sharedID && !yield(d, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	}
}

// HasKey fails with bide.ErrSealed, naming the key, when a block is wrapped with the key of an id and
// that key is missing or another one.
func (s *Store) HasKey(ctx context.Context, id string) error {
	for d, err := range s.blocks(ctx) {
		if err != nil {
			return err
		}
		b, err := parseBlock(d)
		if err != nil {
			return err
		}
		if b.Key == id {
			_, err = s.unwrap(ctx, d.ID, b)
			return err
		}
	}
	return nil
}
