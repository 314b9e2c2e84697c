package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/bide-dev/bide"
)

// References knows which blobs the records and documents of a store name: what a sweep of artifacts must keep.
type References struct {
	store Store
	kinds []string

	mu    sync.Mutex
	after int64 // position of the feed up to which it was read
	named map[string]bool
}

// NewReferences returns the references of a store. kinds are those of the documents that may name blobs.
//
// Whatever looks like a SHA-256 in a record's data counts as the name of a blob; what was shredded names none. Messages
// that no run has taken yet are not looked at: what only such a message names is kept by its age alone.
func NewReferences(store Store, kinds []string) *References {
	return &References{store: store, kinds: kinds, named: map[string]bool{}}
}

// sums finds what may be the name of a blob.
var sums = regexp.MustCompile(`[0-9a-f]{64}`)

// Named reports whether a blob is named by any record or document that there is now. The first call reads the whole
// store, later ones what has come since; documents are read anew. It fails with bide.ErrSealed when something is encrypted
// and its key is not at hand: what it names cannot be known.
func (r *References) Named(ctx context.Context, sum string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.read(ctx); err != nil {
		return false, err
	}
	return r.named[sum], nil
}

func (r *References) read(ctx context.Context) error {
	for more := true; more; {
		page, err := r.store.Feed(ctx, bide.FeedQuery{After: r.after, Limit: 1000})
		if err != nil {
			return err
		}
		for _, f := range page.Records {
			rec, err := bide.ParseRecord(f.Body)
			if err != nil {
				return err
			}
			if err := r.open(ctx, f.RunID, &rec); err != nil {
				return err
			}
			r.note(rec.Data)
		}
		r.after, more = page.Next, page.More
	}
	for _, kind := range r.kinds {
		for q := (bide.DocumentQuery{Kind: kind, Limit: 1000}); ; {
			page, err := r.store.Documents(ctx, q)
			if err != nil {
				return err
			}
			for _, d := range page.Documents {
				if bytes.HasPrefix(d.Body, []byte(`{"$sealed":`)) {
					return unread("document " + d.ID + " of kind " + kind)
				}
				r.note(d.Body)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
	}
	return nil
}

// open fails when a record is encrypted, was not opened and was not shredded either.
func (r *References) open(ctx context.Context, runID string, rec *bide.Record) error {
	if !rec.IsSealed() {
		return nil
	}
	if keys, ok := r.store.(interface {
		OpenRecord(ctx context.Context, runID string, rec *bide.Record) error
	}); ok {
		if err := keys.OpenRecord(ctx, runID, rec); !errors.Is(err, bide.ErrShredded) {
			return err
		}
		return nil
	}
	return unread(fmt.Sprintf("record %d of run %s", rec.Seq, runID))
}

func unread(what string) error {
	return bide.Errorf(bide.CodeSealed, "%s is encrypted, so it is not known which artifacts it names; give the keyring (encryption.keys)", what)
}

func (r *References) note(text []byte) {
	for _, sum := range sums.FindAll(text, -1) {
		r.named[string(sum)] = true
	}
}
