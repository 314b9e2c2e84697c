package seal

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bide-dev/bide"
)

// KeyKind is the kind of the documents that hold wrapped data keys.
const KeyKind = "data-key"

// sharedID is the document that names the block of the key for what belongs to no run.
const sharedID = "shared"

// block is a document of data keys. They are encrypted with the block's key, and
// that with a wrapping key, so that another wrapping key costs one call of Keys for all of them.
type block struct {
	Key     string `json:"key"`     // id of the wrapping key
	Wrapped []byte `json:"wrapped"` // the block's key
	Slots   []slot `json:"slots"`
}

// slot is the place of one data key.
type slot struct {
	DataKey []byte `json:"data_key,omitempty"` // encrypted with the block's key; empty when there is none, or it was destroyed
	// Shred says that the key is to be destroyed, or was.
	Shred *shred `json:"shred,omitempty"`
}

type shred struct {
	RunID string `json:"run_id"`
	bide.Cause
}

// dataKey is a data key at hand.
type dataKey struct {
	at     place
	header []byte
	aead   cipher.AEAD
	raw    []byte
	nonces *supply
}

func (s *Store) newDataKey(at place, raw []byte) *dataKey {
	return &dataKey{at: at, header: at.header(), aead: aead(raw), raw: raw, nonces: &s.nonces}
}

// seal makes the envelope of something.
func (k *dataKey) seal(plain []byte, belongs string) []byte {
	out := make([]byte, 0, headerBytes+gcmBytes+len(plain))
	return box(k.aead, k.nonces, append(out, k.header...), plain, k.bound(belongs))
}

func (k *dataKey) bound(belongs string) []byte {
	return append(append(make([]byte, 0, len(k.header)+len(belongs)), k.header...), belongs...)
}

// open opens the box of an envelope.
func (k *dataKey) open(box []byte, belongs string) ([]byte, error) {
	plain, err := unbox(k.aead, box, k.bound(belongs))
	if err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "what is encrypted was changed, or belongs elsewhere")
	}
	return plain, nil
}

// mask hides the fingerprint of a command: alone, it would let anybody try what was
// answered. Masked twice, it is what it was.
func (k *dataKey) mask(sum bide.Hash, belongs string) bide.Hash {
	key, err := hkdf.Key(sha256.New, k.raw, nil, "bide commands", keyBytes)
	if err != nil {
		panic("seal: " + err.Error()) // the length is ours
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(belongs))
	for i, b := range h.Sum(nil) {
		sum[i] ^= b
	}
	return sum
}

func slotBinding(id string, i int) []byte {
	return []byte("bide data key " + id + " " + strconv.Itoa(i))
}
func blockBinding(id string) []byte { return []byte("bide block " + id) }

// newBlock makes a block of n data keys and stores it.
func (s *Store) newBlock(ctx context.Context, n int) (keys []*dataKey, err error) {
	at := place{}
	copy(at.block[:], random(blockBytes))
	id := at.blockID()
	b := &block{Slots: make([]slot, n)}
	if b.Key, err = s.keys.Current(ctx); err != nil {
		return nil, err
	}
	blockKey := random(keyBytes)
	if b.Wrapped, err = s.keys.Wrap(ctx, b.Key, blockKey, blockBinding(id)); err != nil {
		return nil, err
	}
	wraps := aead(blockKey)
	for i := range b.Slots {
		at.slot = byte(i)
		raw := random(keyBytes)
		b.Slots[i].DataKey = box(wraps, &s.nonces, nil, raw, slotBinding(id, i))
		keys = append(keys, s.newDataKey(at, raw))
	}
	_, err = s.putBlock(ctx, id, b, 0)
	return keys, err
}

func (s *Store) putBlock(ctx context.Context, id string, b *block, rev int64) (int64, error) {
	body, err := json.Marshal(b)
	if err != nil {
		return 0, err
	}
	return s.inner.PutDocument(ctx, bide.Document{Kind: KeyKind, ID: id, Rev: rev, Body: body, UpdatedAt: s.now()})
}

// readBlock reads a block from the store.
func (s *Store) readBlock(ctx context.Context, id string) (b *block, rev int64, err error) {
	d, err := s.inner.Document(ctx, KeyKind, id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, 0, bide.Errorf(bide.CodeSealed, "the store has no data keys %s; were they left behind when it was copied or restored?", id)
	}
	if err != nil {
		return nil, 0, err
	}
	b, err = parseBlock(d)
	return b, d.Rev, err
}

func parseBlock(d *bide.Document) (*block, error) {
	b := &block{}
	if err := json.Unmarshal(d.Body, b); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "data keys %s: %w", d.ID, err)
	}
	return b, nil
}

// dataKeyOf unwraps one data key of a block.
func (s *Store) dataKeyOf(ctx context.Context, b *block, at place) (*dataKey, error) {
	id := at.blockID()
	if int(at.slot) >= len(b.Slots) || b.Slots[at.slot].DataKey == nil {
		if int(at.slot) < len(b.Slots) && b.Slots[at.slot].Shred != nil {
			by := b.Slots[at.slot].Shred
			return nil, bide.Errorf(bide.CodeShredded, "the content of run %s was destroyed at %s", by.RunID, by.At.Format(time.RFC3339))
		}
		return nil, bide.Errorf(bide.CodeSealed, "the store has no data key %d of %s; was it left behind when it was copied or restored?", at.slot, id)
	}
	opens, err := s.cache.box(id+string(b.Wrapped), func() (cipher.AEAD, error) { return s.unwrap(ctx, id, b) })
	if err != nil {
		return nil, err
	}
	raw, err := unbox(opens, b.Slots[at.slot].DataKey, slotBinding(id, int(at.slot)))
	if err != nil || len(raw) != keyBytes {
		return nil, bide.Errorf(bide.CodeCorrupt, "data keys %s: key %d was changed", id, at.slot)
	}
	return s.newDataKey(at, raw), nil
}

// unwrap returns what opens a block's data keys.
func (s *Store) unwrap(ctx context.Context, id string, b *block) (cipher.AEAD, error) {
	key, err := s.keys.Unwrap(ctx, b.Key, b.Wrapped, blockBinding(id))
	if err != nil {
		return nil, err
	}
	if len(key) != keyBytes {
		return nil, bide.Errorf(bide.CodeCorrupt, "data keys %s: the wrapped key has %d bytes", id, len(key))
	}
	return aead(key), nil
}

// changeSlot changes a slot of a stored block; nobody else's change gets lost.
func (s *Store) changeSlot(ctx context.Context, at place, change func(*slot) (changed bool)) error {
	for range maxTries {
		b, rev, err := s.readBlock(ctx, at.blockID())
		if err != nil {
			return err
		}
		if int(at.slot) >= len(b.Slots) {
			return bide.Errorf(bide.CodeSealed, "the store has no data key %d of %s", at.slot, at.blockID())
		}
		if !change(&b.Slots[at.slot]) {
			return nil
		}
		if _, err = s.putBlock(ctx, at.blockID(), b, rev); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("data keys %s changed %d times under a change", at.blockID(), maxTries)
}

// maxTries bounds how often a change of a document is made again because it changed meanwhile.
const maxTries = 100
