package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
)

// ArtifactKind is the kind of the documents that say where encrypted blobs are.
const ArtifactKind = "artifact"

// Artifacts keeps blobs encrypted in another store of blobs. They are known by the SHA-256 of their content, as
// anywhere; what is kept is named by the SHA-256 of the ciphertext, and only a document of the encrypted store, itself
// encrypted and under a keyed hash, says which is which: who sees the folder or bucket cannot even tell whether a
// file that they know is among the blobs.
//
// Each blob has a data key of its own, in the blocks in which those of runs are, so that [Store.Rewrap] is all that a
// rotation needs and [Artifacts.Destroy] makes a blob unreadable. Equal contents are one blob. Blobs that were kept before there was encryption are
// read as they are; [Artifacts.Encrypt] encrypts them.
type Artifacts struct {
	store *Store
	inner artifact.Store
}

var _ artifact.Store = (*Artifacts)(nil)

// Artifacts returns blobs that are encrypted with keys of the store and kept in inner, which Close closes.
func (s *Store) Artifacts(inner artifact.Store) *Artifacts { return &Artifacts{s, inner} }

// Close implements artifact.Store.
func (a *Artifacts) Close() error { return a.inner.Close() }

// kept is the document of a blob.
type kept struct {
	SHA256 string `json:"sha256"` // of the content
	Blob   string `json:"blob"`   // SHA-256 of the ciphertext: its name in the inner store
	Block  string `json:"block"`  // where its data key is
	Slot   byte   `json:"slot"`
	// Going says that the data key is being destroyed: the blob is not there any more.
	Going bool `json:"going,omitempty"`

	doc bide.Document
}

func (k *kept) at() (at place, err error) { return placeIn(k.Block, k.Slot) }

// errKept says that the content is there already.
var errKept = errors.New("it is kept already")

// Put implements artifact.Store. Nothing of the content is ever written plain.
func (a *Artifacts) Put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	if ctx.Err() != nil {
		return "", 0, context.Cause(ctx)
	}
	key, err := a.store.take(ctx)
	if err != nil {
		return "", 0, err
	}
	in := &content{r: r, hash: newHash(), last: func(sum string) error {
		known, err := a.renew(ctx, sum)
		if err == nil && known {
			err = errKept
		}
		return err
	}}
	cipher, err := age.EncryptReader(in, lock{key})
	if err != nil {
		return "", 0, fmt.Errorf("keep artifact: %w", err)
	}
	blob, _, err := a.inner.Put(ctx, cipher)
	if errors.Is(err, errKept) {
		a.store.giveBack(key)
		return in.sum(), in.size, nil
	}
	if err != nil {
		return "", 0, err
	}
	return in.sum(), in.size, a.note(ctx, &kept{SHA256: in.sum(), Blob: blob, Block: key.at.blockID(), Slot: key.at.slot})
}

// note says where a blob is that was just kept, unless another Put of the same content was first.
func (a *Artifacts) note(ctx context.Context, k *kept) error {
	for range maxTries {
		known, err := a.renew(ctx, k.SHA256)
		if err != nil {
			return err
		}
		if known { // what this one kept is removed by the next sweep
			return a.forgetKey(ctx, k)
		}
		if err = a.place(ctx, k); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
	return tooOften(k.SHA256)
}

// place writes the document of a blob, in place of one of a blob that is gone.
func (a *Artifacts) place(ctx context.Context, k *kept) error {
	id, err := a.id(ctx, k.SHA256)
	if err != nil {
		return err
	}
	k.doc = bide.Document{Kind: ArtifactKind, ID: id}
	was, err := a.look(ctx, k.SHA256)
	if err != nil {
		return err
	}
	if was != nil {
		if err := a.bury(ctx, was); err != nil {
			return err
		}
		k.doc.Rev = was.doc.Rev
	}
	return a.put(ctx, k)
}

// renew says that a blob is used again, and reports whether it is there.
func (a *Artifacts) renew(ctx context.Context, sum string) (bool, error) {
	for range maxTries {
		k, err := a.look(ctx, sum)
		if err != nil || k == nil {
			return false, err
		}
		if whole, err := a.whole(ctx, k); !whole || err != nil {
			return false, err
		}
		if err = a.put(ctx, k); !errors.Is(err, bide.ErrConflict) {
			return err == nil, err
		}
	}
	return false, tooOften(sum)
}

func tooOften(sum string) error {
	return bide.Errorf(bide.CodeConflict, "artifact %s changed %d times while it was put", sum, maxTries)
}

// whole reports whether a blob can be had.
func (a *Artifacts) whole(ctx context.Context, k *kept) (bool, error) {
	if k.Going {
		return false, nil
	}
	at, err := k.at()
	if err != nil {
		return false, err
	}
	if _, err := a.store.keyAt(ctx, at); err != nil {
		return false, unless(locked(err), err)
	}
	f, err := a.inner.Open(ctx, k.Blob)
	if errors.Is(err, bide.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// unless returns an error, or nil when it is expected.
func unless(expected bool, err error) error {
	if expected {
		return nil
	}
	return err
}

// id is the id of a blob's document: a hash of its name that nobody without the key can make.
func (a *Artifacts) id(ctx context.Context, sum string) (string, error) {
	shared, err := a.store.sharedKey(ctx)
	if err != nil {
		return "", err
	}
	key, err := hkdf.Key(sha256.New, shared.raw, nil, "bide artifacts", keyBytes)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(sum))
	return hex.EncodeToString(h.Sum(nil)), nil
}

// look returns the document of a blob, or nil.
func (a *Artifacts) look(ctx context.Context, sum string) (*kept, error) {
	id, err := a.id(ctx, sum)
	if err != nil {
		return nil, err
	}
	d, err := a.store.Document(ctx, ArtifactKind, id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseKept(d)
}

func parseKept(d *bide.Document) (*kept, error) {
	k := &kept{doc: *d}
	if err := json.Unmarshal(d.Body, k); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "document %s of kind %s: %w", d.ID, d.Kind, err)
	}
	return k, nil
}

// put writes the document of a blob as of now.
func (a *Artifacts) put(ctx context.Context, k *kept) (err error) {
	if k.doc.Body, err = json.Marshal(k); err != nil {
		return err
	}
	k.doc.UpdatedAt = a.store.now().UTC().Truncate(time.Microsecond)
	k.doc.Rev, err = a.store.PutDocument(ctx, k.doc)
	return err
}

// bury destroys the data key of a blob. It fails with bide.ErrConflict, changing nothing, when the blob was put again since k
// was read. Cut off, the next one that looks finishes it. The document stays until a later sweep, so that nobody who has
// read it before can take another one for it; the ciphertext is left to a sweep as well.
func (a *Artifacts) bury(ctx context.Context, k *kept) error {
	if !k.Going {
		k.Going = true
		if err := a.put(ctx, k); err != nil {
			return err
		}
	}
	return a.forgetKey(ctx, k)
}

// forgetKey destroys the data key of a blob.
func (a *Artifacts) forgetKey(ctx context.Context, k *kept) error {
	at, err := k.at()
	if err != nil {
		return err
	}
	defer a.store.cache.forget(at)
	err = a.store.changeSlot(ctx, at, func(s *slot) bool {
		had := s.DataKey != nil
		s.DataKey = nil
		return had
	})
	return unless(errors.Is(err, bide.ErrSealed), err) // the keys were left behind elsewhere
}

// Open implements artifact.Store. It fails with bide.ErrSealed when the wrapping key is not at hand.
func (a *Artifacts) Open(ctx context.Context, sum string) (io.ReadCloser, error) {
	if err := artifact.CheckSum(sum); err != nil {
		return nil, err
	}
	f, k, err := a.open(ctx, sum)
	if err != nil || k == nil {
		return f, err
	}
	r, err := decrypt(f, identity(func(envelope []byte) ([]byte, error) {
		key, _, err := a.store.openEnvelope(ctx, envelope, ofBlob)
		return key, err
	}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open artifact %s: %w", sum, err), f.Close())
	}
	return artifact.Checked(struct {
		io.Reader
		io.Closer
	}{r, f}, sum), nil
}

// open opens what is kept of a blob; k is nil when it is plain.
func (a *Artifacts) open(ctx context.Context, sum string) (f io.ReadCloser, k *kept, err error) {
	for range 2 {
		if k, err = a.look(ctx, sum); err != nil {
			return nil, nil, err
		}
		if k != nil && !k.Going {
			f, err = a.inner.Open(ctx, k.Blob)
		} else {
			k = nil
			f, err = a.inner.Open(ctx, sum)
		}
		if !errors.Is(err, bide.ErrNotFound) {
			return f, k, err
		}
		// It may just have been encrypted, or put again.
	}
	return nil, nil, bide.Errorf(bide.CodeNotFound, "there is no artifact %s", sum)
}

// Has reports whether a blob is there and encrypted.
func (a *Artifacts) Has(ctx context.Context, sum string) (bool, error) {
	k, err := a.look(ctx, sum)
	return k != nil && !k.Going, err
}

// Destroy destroys the data key of a blob that was last put before a time, at least artifact.MinAge ago: nobody can
// read it any more, here or in a copy of the folder or bucket. It reports whether it did; what is not there, was
// put later, or is not encrypted, is left. The ciphertext goes with the next sweep.
func (a *Artifacts) Destroy(ctx context.Context, sum string, before time.Time) (bool, error) {
	if err := artifact.CheckAge(before); err != nil {
		return false, err
	}
	k, err := a.look(ctx, sum)
	if err != nil || k == nil || !k.Going && !k.doc.UpdatedAt.Before(before) {
		return false, err
	}
	err = a.bury(ctx, k)
	return err == nil, unless(errors.Is(err, bide.ErrConflict), err)
}

// all lists the blobs that are encrypted, by their names in the inner store and by those of their contents. What was cut
// off while it was destroyed is finished; what was destroyed before a time is forgotten.
func (a *Artifacts) all(ctx context.Context, before time.Time) (byBlob, bySum map[string]*kept, err error) {
	byBlob, bySum = map[string]*kept{}, map[string]*kept{}
	for q := (bide.DocumentQuery{Kind: ArtifactKind, Limit: 1000}); ; {
		page, err := a.store.Documents(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		for i := range page.Documents {
			k, err := parseKept(&page.Documents[i])
			if err != nil {
				return nil, nil, err
			}
			if k.Going {
				if err := a.forget(ctx, k, before); err != nil {
					return nil, nil, err
				}
				continue
			}
			byBlob[k.Blob], bySum[k.SHA256] = k, k
		}
		if q.After = page.Next; q.After == "" {
			return byBlob, bySum, nil
		}
	}
}

// forget finishes the destruction of a blob, and removes its document when that was before a time.
func (a *Artifacts) forget(ctx context.Context, k *kept, before time.Time) error {
	if err := a.forgetKey(ctx, k); err != nil || !k.doc.UpdatedAt.Before(before) {
		return err
	}
	err := a.store.DeleteDocument(ctx, ArtifactKind, k.doc.ID, k.doc.Rev)
	return unless(errors.Is(err, bide.ErrConflict), err)
}

// Sweep implements artifact.Store: the data key of what goes is destroyed first.
func (a *Artifacts) Sweep(ctx context.Context, before time.Time, keep artifact.Keep) (out artifact.Swept, err error) {
	if err := artifact.CheckAge(before); err != nil {
		return out, err
	}
	byBlob, bySum, err := a.all(ctx, before)
	if err != nil {
		return out, err
	}
	return a.inner.Sweep(ctx, before, func(ctx context.Context, name string) (bool, error) {
		k, sealed := byBlob[name]
		if !sealed { // it is plain, or nothing says what it is
			if twin := bySum[name]; twin != nil {
				if whole, err := a.whole(ctx, twin); whole || err != nil {
					return err != nil, err
				}
			}
			return keep(ctx, name)
		}
		if !k.doc.UpdatedAt.Before(before) {
			return true, nil
		}
		if stays, err := keep(ctx, k.SHA256); stays || err != nil {
			return true, err
		}
		err := a.bury(ctx, k)
		return err != nil, unless(errors.Is(err, bide.ErrConflict), err)
	})
}

// Encrypt encrypts the blobs that were kept plain, at least artifact.MinAge ago, and removes the plain ones. It returns
// how many; cut off, it is done by calling it again. It may run beside everything else.
func (a *Artifacts) Encrypt(ctx context.Context) (n int64, err error) {
	before := time.Now().Add(-artifact.MinAge)
	byBlob, _, err := a.all(ctx, before)
	if err != nil {
		return 0, err
	}
	_, err = a.inner.Sweep(ctx, before, func(ctx context.Context, name string) (bool, error) {
		if byBlob[name] != nil {
			return true, nil
		}
		f, err := a.inner.Open(ctx, name)
		if err != nil {
			return true, err
		}
		defer f.Close()
		in, ours, err := sniff(f)
		if err != nil || ours { // of a Put that was cut off
			return true, err
		}
		if _, _, err := a.Put(ctx, in); err != nil {
			return true, err
		}
		n++
		return false, nil
	})
	return n, err
}

// OpenStored returns a blob as it is kept, the name that it has so, and its data key, wrapped, for
// Unseal of another store; the key is nil when the blob is plain.
func (a *Artifacts) OpenStored(ctx context.Context, sum string) (r io.ReadCloser, name string, key bide.JSON, err error) {
	if err := artifact.CheckSum(sum); err != nil {
		return nil, "", nil, err
	}
	f, k, err := a.open(ctx, sum)
	if err != nil || k == nil {
		return f, sum, nil, err
	}
	at, err := k.at()
	if err == nil {
		key, err = a.store.exportAt(ctx, at)
	}
	if err == nil && key == nil {
		err = bide.Errorf(bide.CodeNotFound, "there is no artifact %s: its key was destroyed", sum)
	}
	if err != nil {
		return nil, "", nil, errors.Join(err, f.Close())
	}
	return f, k.Blob, key, nil
}

// Unseal returns the content of a blob that OpenStored gave. It fails with bide.ErrSealed when the wrapping
// key is not at hand.
func (a *Artifacts) Unseal(ctx context.Context, key bide.JSON, r io.Reader) (io.Reader, error) {
	_, own, err := a.store.parseExported(ctx, key)
	if err != nil {
		return nil, err
	}
	return decrypt(r, identity(func(envelope []byte) ([]byte, error) {
		at, box, err := parseEnvelope(envelope)
		if err != nil || at != own.at {
			return nil, unknown(errNoEnvelope)
		}
		return own.open(box, ofBlob)
	}))
}
