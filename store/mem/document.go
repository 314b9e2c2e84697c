package mem

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

type docKey struct{ kind, id string }

// PutDocument implements bide.Documents.
func (s *Store) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	err = s.document(ctx, d.Kind, d.ID, func(key docKey, was bide.Document) error {
		if was.Rev != d.Rev {
			return bide.DocumentConflict(d.Kind, d.ID, was.Rev, d.Rev)
		}
		d.Rev++
		rev, s.docs[key] = d.Rev, d
		return nil
	})
	return rev, err
}

// Document implements bide.Documents.
func (s *Store) Document(ctx context.Context, kind, id string) (out *bide.Document, err error) {
	err = s.document(ctx, kind, id, func(_ docKey, d bide.Document) error {
		if d.Rev == 0 {
			return bide.Errorf(bide.CodeNotFound, "there is no document %q of kind %s", id, kind)
		}
		out = &d
		return nil
	})
	return out, err
}

// DeleteDocument implements bide.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, id string, rev int64) error {
	return s.document(ctx, kind, id, func(key docKey, was bide.Document) error {
		if was.Rev != 0 && was.Rev != rev {
			return bide.DocumentConflict(kind, id, was.Rev, rev)
		}
		delete(s.docs, key)
		return nil
	})
}

// document gives f a document, one with revision 0 when there is none, under the lock.
func (s *Store) document(ctx context.Context, kind, id string, f func(docKey, bide.Document) error) error {
	if err := cmp.Or(ctx.Err(), bide.CheckDocument(kind, id)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	key := docKey{kind, id}
	return f(key, s.docs[key])
}

// Documents implements bide.Documents.
func (s *Store) Documents(ctx context.Context, q bide.DocumentQuery) (*bide.DocumentPage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, bide.ErrStoreClosed
	}
	out := &bide.DocumentPage{}
	for _, d := range s.docs {
		if d.Kind == q.Kind && strings.HasPrefix(d.ID, q.Prefix) && d.ID > q.After {
			out.Documents = append(out.Documents, d)
		}
	}
	slices.SortFunc(out.Documents, func(a, b bide.Document) int { return strings.Compare(a.ID, b.ID) })
	if n := bide.PageLimit(q.Limit); len(out.Documents) > n {
		out.Documents = out.Documents[:n]
		out.Next = out.Documents[n-1].ID
	}
	return out, nil
}
