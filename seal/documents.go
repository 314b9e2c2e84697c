package seal

import (
	"context"
	"strings"

	"github.com/bide-dev/bide"
)

// plain reports whether documents of a kind are kept as they are: wrapped keys, and
// signed checkpoints, which are verified without a key.
func plain(kind string) bool { return kind == KeyKind || strings.HasPrefix(kind, "checkpoint") }

// PutDocument implements bide.Documents.
func (s *Store) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	if !plain(d.Kind) {
		key, err := s.sharedKey(ctx)
		if err != nil {
			return 0, err
		}
		d.Body = envelopeJSON(key.seal(d.Body, belonging("document", d.Kind, d.ID)))
	}
	return s.inner.PutDocument(ctx, d)
}

// Document implements bide.Documents.
func (s *Store) Document(ctx context.Context, kind, id string) (*bide.Document, error) {
	d, err := s.inner.Document(ctx, kind, id)
	if err != nil {
		return nil, err
	}
	out := *d
	return &out, s.openDocument(ctx, &out)
}

// Documents implements bide.Documents.
func (s *Store) Documents(ctx context.Context, q bide.DocumentQuery) (*bide.DocumentPage, error) {
	page, err := s.inner.Documents(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range page.Documents {
		if err := s.openDocument(ctx, &page.Documents[i]); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// DeleteDocument implements bide.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, id string, rev int64) error {
	return s.inner.DeleteDocument(ctx, kind, id, rev)
}

func (s *Store) openDocument(ctx context.Context, d *bide.Document) error {
	envelope, ok := fromJSON(d.Body)
	if !ok || plain(d.Kind) {
		return nil
	}
	body, _, err := s.openEnvelope(ctx, envelope, belonging("document", d.Kind, d.ID))
	if err != nil {
		return bide.Errorf(bide.CodeOf(err), "document %s of kind %s: %w", d.ID, d.Kind, err)
	}
	d.Body = body
	return nil
}
