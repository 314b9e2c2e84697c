package seal

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/bide-dev/bide"
)

// exported is a data key outside of a store.
type exported struct {
	Block   string `json:"block"`
	Slot    byte   `json:"slot"`
	Key     string `json:"key"` // id of the wrapping key
	Wrapped []byte `json:"wrapped"`
	DataKey []byte `json:"data_key"`
}

// ExportKey returns a run's data key, wrapped as it is, for ImportKey of another store; nil when
// the run is not encrypted or was shredded.
func (s *Store) ExportKey(ctx context.Context, runID string) (bide.JSON, error) {
	at, sealed, err := s.placeOf(ctx, runID)
	if err != nil || !sealed {
		return nil, err
	}
	return s.exportAt(ctx, at)
}

// exportAt returns the data key at a place, wrapped as it is; nil when it was destroyed.
func (s *Store) exportAt(ctx context.Context, at place) (bide.JSON, error) {
	b, _, err := s.readBlock(ctx, at.blockID())
	if err != nil {
		return nil, err
	}
	if int(at.slot) >= len(b.Slots) || b.Slots[at.slot].DataKey == nil {
		return nil, nil
	}
	return json.Marshal(exported{at.blockID(), at.slot, b.Key, b.Wrapped, b.Slots[at.slot].DataKey})
}

// parseExported reads what ExportKey gave.
func (s *Store) parseExported(ctx context.Context, key bide.JSON) (e exported, own *dataKey, err error) {
	if err := json.Unmarshal(key, &e); err != nil {
		return e, nil, bide.Errorf(bide.CodeCorrupt, "the data key of a run: %w", err)
	}
	at, err := placeIn(e.Block, e.Slot)
	if err != nil {
		return e, nil, err
	}
	own, err = s.dataKeyOf(ctx, e.block(), at)
	return e, own, err
}

// block is a block with the key alone.
func (e *exported) block() *block {
	b := &block{Key: e.Key, Wrapped: e.Wrapped, Slots: make([]slot, int(e.Slot)+1)}
	b.Slots[e.Slot].DataKey = e.DataKey
	return b
}

// ImportKey takes in what ExportKey gave. It fails with bide.ErrSealed, changing nothing, when the
// wrapping key is not at hand, and with bide.ErrShredded when the key was destroyed here.
func (s *Store) ImportKey(ctx context.Context, key bide.JSON) error {
	e, own, err := s.parseExported(ctx, key)
	if err != nil {
		return err
	}
	at := own.at
	defer s.cache.forget(at)
	for range maxTries {
		b, rev, err := s.readBlock(ctx, e.Block)
		switch {
		case errors.Is(err, bide.ErrSealed):
			b = e.block()
		case err != nil:
			return err
		}
		for len(b.Slots) <= int(e.Slot) {
			b.Slots = append(b.Slots, slot{})
		}
		k := &b.Slots[e.Slot]
		switch {
		case k.Shred != nil && k.DataKey == nil:
			return bide.Errorf(bide.CodeShredded, "the content of run %s was destroyed here; it is not brought back", k.Shred.RunID)
		case k.DataKey != nil && rev > 0:
			return nil
		}
		if k.DataKey, err = s.rebox(ctx, e.Block, b, own); err != nil {
			return err
		}
		if _, err = s.putBlock(ctx, e.Block, b, rev); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
	return bide.Errorf(bide.CodeConflict, "data keys %s changed %d times while one was taken in", e.Block, maxTries)
}

// rebox encrypts a data key with the key of a block: rewrapping, here or where it comes from, may have made that another one.
func (s *Store) rebox(ctx context.Context, id string, b *block, own *dataKey) ([]byte, error) {
	wraps, err := s.unwrap(ctx, id, b)
	if err != nil {
		return nil, err
	}
	return box(wraps, &s.nonces, nil, own.raw, slotBinding(id, int(own.at.slot))), nil
}

// SealWaits returns the waits of a run as they are stored, under its key from ExportKey.
func (s *Store) SealWaits(ctx context.Context, key bide.JSON, waits []bide.Wait) ([]bide.Wait, error) {
	_, own, err := s.parseExported(ctx, key)
	if err != nil {
		return nil, err
	}
	return sealWaits(own, waits)
}

// SealMail returns messages to a run as they are stored, under its key from ExportKey.
func (s *Store) SealMail(ctx context.Context, key bide.JSON, mail []bide.Message) ([]bide.Message, error) {
	_, own, err := s.parseExported(ctx, key)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(mail)
	for i := range out {
		if m := &out[i]; m.Payload != nil {
			m.Payload = envelopeJSON(own.seal(m.Payload, belonging("mail", m.To, m.ID)))
		}
	}
	return out, nil
}
