package seal

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// Inner is a store that can be sealed.
type Inner interface {
	bide.Store
	bide.Claims
	bide.Documents
	bide.Counter
}

// Options refines New. Nil means the defaults.
type Options struct {
	// Now is the time, for the times of documents and for how long what another
	// process may have destroyed is held at hand. Defaults to the system's.
	Now func() time.Time
}

// Store is a store whose content is encrypted.
type Store struct {
	bide.Claims
	bide.Counter
	inner Inner
	keys  Keys
	now   func() time.Time
	cache cache

	nonces supply

	mu     sync.Mutex
	spare  []*dataKey // stored and not yet used
	size   int        // of the next block
	shared *dataKey   // for what belongs to no run
}

var (
	_ Inner        = (*Store)(nil)
	_ bide.Sealing = (*Store)(nil)
	_ bide.Hinter  = (*Store)(nil)
	_ bide.Relay   = (*Store)(nil)
)

// New seals a store with keys. What is in it already stays as it is and can be read; runs that
// begin from now on are encrypted. The store stays open until the one returned is closed.
// It fails with the error of keys.
func New(ctx context.Context, inner Inner, keys Keys, opts *Options) (*Store, error) {
	if inner == nil || keys == nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "seal.New needs a store and keys")
	}
	s := &Store{Claims: inner, Counter: inner, inner: inner, keys: keys, now: time.Now, size: 1}
	if opts != nil && opts.Now != nil {
		s.now = opts.Now
	}
	_, err := keys.Current(ctx)
	return s, err
}

// CheckPlain fails with bide.ErrSealed when a store has encrypted content. Without keys, whoever drives its runs would meet what
// cannot be read, and keep in plain text what begins from now on.
func CheckPlain(ctx context.Context, store bide.Documents) error {
	page, err := store.Documents(ctx, bide.DocumentQuery{Kind: KeyKind, Limit: 1})
	if err == nil && len(page.Documents) > 0 {
		err = bide.Errorf(bide.CodeSealed, "the store is encrypted, and no keys are named; without them, what it is given would be kept plain")
	}
	return err
}

// Stored implements bide.Sealing.
func (s *Store) Stored() bide.Store { return s.inner }

// Close implements bide.Store.
func (s *Store) Close() error { return s.inner.Close() }

// Hints implements bide.Hinter; a store that hears of nothing calls nothing.
func (s *Store) Hints(ctx context.Context, f func(claimable bool)) error {
	if h, ok := s.inner.(bide.Hinter); ok {
		return h.Hints(ctx, f)
	}
	return nil
}

// sealer is the data key of one run.
type sealer struct {
	runID string
	key   *dataKey
}

// Seal implements bide.Sealer.
func (s *sealer) Seal(heading, data []byte) ([]byte, error) {
	return s.key.seal(data, ofRecord(s.runID, heading)), nil
}

func ofRecord(runID string, heading []byte) string {
	return belonging("record", runID, string(heading))
}

// maxBlock is how many data keys a block has at most. The first blocks of a process have fewer.
const maxBlock = 64

// NewSealer implements bide.Sealing.
func (s *Store) NewSealer(ctx context.Context, runID string) (bide.Sealer, error) {
	key, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	return &sealer{runID, key}, nil
}

// take returns a data key that nothing was encrypted with yet.
func (s *Store) take(ctx context.Context) (*dataKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spare) == 0 {
		keys, err := s.newBlock(ctx, s.size)
		if err != nil {
			return nil, err
		}
		s.spare, s.size = keys, min(2*s.size, maxBlock)
	}
	key := s.spare[0]
	s.spare = s.spare[1:]
	keep(&s.cache, &s.cache.keys, key.at, key)
	return key, nil
}

// giveBack returns a data key of which nothing is kept.
func (s *Store) giveBack(key *dataKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = append(s.spare, key)
}

// keyAt returns the data key at a place. It fails with ErrSealed when the wrapping key
// is missing or another one, and ErrShredded when the data key was destroyed.
func (s *Store) keyAt(ctx context.Context, at place) (*dataKey, error) {
	id := at.blockID()
	b := s.cache.block(id, s.now())
	if b == nil {
		var err error
		if b, _, err = s.readBlock(ctx, id); err != nil {
			return nil, err
		}
		keep(&s.cache, &s.cache.blocks, id, cachedBlock{b, s.now().Add(fresh)})
	}
	if int(at.slot) < len(b.Slots) && b.Slots[at.slot].DataKey != nil {
		if k := s.cache.key(at); k != nil {
			return k, nil
		}
	}
	k, err := s.dataKeyOf(ctx, b, at)
	if err == nil {
		keep(&s.cache, &s.cache.keys, at, k)
	}
	return k, err
}

// placeOf returns where a run's data key is; false when the run is not encrypted.
func (s *Store) placeOf(ctx context.Context, runID string) (at place, sealed bool, err error) {
	if at, ok := s.cache.run(runID); ok {
		return at, true, nil
	}
	raws, err := s.inner.Records(ctx, runID, 1, 1)
	if err != nil || len(raws) == 0 {
		return at, false, err
	}
	rec, err := bide.ParseRecord(raws[0])
	if err != nil || len(rec.Sealed) == 0 {
		return at, false, err
	}
	at, _, err = parseEnvelope(rec.Sealed)
	if err != nil {
		return at, false, unknown(err)
	}
	keep(&s.cache, &s.cache.runs, runID, at)
	return at, true, nil
}

func unknown(err error) error { return bide.Errorf(bide.CodeCorrupt, "%w", err) }

// keyOf returns a run's data key; nil when the run is not encrypted.
func (s *Store) keyOf(ctx context.Context, runID string) (*dataKey, error) {
	_, known := s.cache.run(runID)
	at, sealed, err := s.placeOf(ctx, runID)
	if err != nil || !sealed {
		return nil, err
	}
	key, err := s.keyAt(ctx, at)
	if known && locked(err) { // another process may have deleted the run and begun it again
		s.cache.forgetRun(runID)
		return s.keyOf(ctx, runID)
	}
	return key, err
}

// openEnvelope opens what was sealed to belong somewhere, and returns the key that opens it.
func (s *Store) openEnvelope(ctx context.Context, envelope []byte, belongs string) (plain []byte, key *dataKey, err error) {
	at, box, err := parseEnvelope(envelope)
	if err != nil {
		return nil, nil, unknown(err)
	}
	if key, err = s.keyAt(ctx, at); err != nil {
		return nil, nil, err
	}
	plain, err = key.open(box, belongs)
	return plain, key, err
}

// locked reports whether an error says that a key is not to be had.
func locked(err error) bool {
	return errors.Is(err, bide.ErrSealed) || errors.Is(err, bide.ErrShredded)
}

// sharedKey returns the key for what belongs to no run, and makes it when there is none.
func (s *Store) sharedKey(ctx context.Context) (*dataKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range maxTries {
		if s.shared != nil {
			return s.shared, nil
		}
		d, err := s.inner.Document(ctx, KeyKind, sharedID)
		if err == nil {
			s.shared, err = s.readShared(ctx, d)
			return s.shared, err
		}
		if !errors.Is(err, bide.ErrNotFound) {
			return nil, err
		}
		keys, err := s.newBlock(ctx, 1)
		if err != nil {
			return nil, err
		}
		body := bide.JSON(strconv.Quote(keys[0].at.blockID()))
		_, err = s.inner.PutDocument(ctx, bide.Document{Kind: KeyKind, ID: sharedID, Body: body, UpdatedAt: s.now()})
		if err != nil && !errors.Is(err, bide.ErrConflict) {
			return nil, err
		}
	}
	return nil, bide.Errorf(bide.CodeConflict, "the key for what belongs to no run could not be made in %d tries", maxTries)
}
