package postgres

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
)

// The statements of documents, all by primary key.
const (
	sqlAddDocument = `INSERT INTO documents (kind, id, rev, body, updated_at) SELECT $1, $2, 1, $4, $5 WHERE $3::bigint = 0
		ON CONFLICT (kind, id) DO NOTHING`
	sqlChangeDocument = `UPDATE documents SET rev = rev + 1, body = $4, updated_at = $5 WHERE kind = $1 AND id = $2 AND rev = $3`
	sqlDeleteDocument = `DELETE FROM documents WHERE kind = $1 AND id = $2 AND rev = $3`
	sqlDocument       = `SELECT kind, id, rev, body, updated_at FROM documents WHERE kind = $1 AND id = $2`
	sqlDocuments      = `SELECT kind, id, rev, body, updated_at FROM documents WHERE kind = $1 AND id >= $2 AND id > $3 ORDER BY id LIMIT $4`
)

// PutDocument implements bide.Documents. When the server's answer is lost, the
// document is stored again, and found as it was to be.
func (s *Store) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	if err := bide.CheckDocument(d.Kind, d.ID); err != nil {
		return 0, err
	}
	sql, tries := sqlChangeDocument, 0
	if d.Rev == 0 {
		sql = sqlAddDocument
	}
	var stored int64
	err = s.retry(ctx, "store a document", func() error {
		tries++
		tag, err := s.pool.Exec(ctx, sql, d.Kind, d.ID, d.Rev, string(d.Body), d.UpdatedAt.UnixMicro())
		stored = tag.RowsAffected()
		return err
	})
	if err != nil || stored > 0 {
		return d.Rev + 1, err
	}
	was, err := s.documentOr(ctx, d.Kind, d.ID)
	switch {
	case err != nil:
		return 0, err
	case tries > 1 && was.Rev == d.Rev+1 && was.UpdatedAt.UnixMicro() == d.UpdatedAt.UnixMicro() && bytes.Equal(was.Body, d.Body):
		return was.Rev, nil
	}
	return 0, bide.DocumentConflict(d.Kind, d.ID, was.Rev, d.Rev)
}

// Document implements bide.Documents.
func (s *Store) Document(ctx context.Context, kind, id string) (*bide.Document, error) {
	d, err := s.documentOr(ctx, kind, id)
	switch {
	case err != nil:
		return nil, err
	case d.Rev == 0:
		return nil, bide.Errorf(bide.CodeNotFound, "there is no document %q of kind %s", id, kind)
	}
	return &d, nil
}

// DeleteDocument implements bide.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, id string, rev int64) error {
	if err := bide.CheckDocument(kind, id); err != nil {
		return err
	}
	n, err := s.exec(ctx, "delete a document", sqlDeleteDocument, kind, id, rev)
	if err != nil || n > 0 {
		return err
	}
	was, err := s.documentOr(ctx, kind, id)
	if err != nil || was.Rev == 0 {
		return err
	}
	return bide.DocumentConflict(kind, id, was.Rev, rev)
}

// Documents implements bide.Documents. Those with the prefix follow each other.
func (s *Store) Documents(ctx context.Context, q bide.DocumentQuery) (*bide.DocumentPage, error) {
	limit := bide.PageLimit(q.Limit)
	found, err := collect(ctx, s, "list documents", rowToDocument, sqlDocuments, q.Kind, q.Prefix, q.After, limit+1)
	if err != nil {
		return nil, err
	}
	if end := slices.IndexFunc(found, func(d bide.Document) bool { return !strings.HasPrefix(d.ID, q.Prefix) }); end >= 0 {
		found = found[:end]
	}
	page := &bide.DocumentPage{Documents: found}
	if len(found) > limit {
		page.Documents, page.Next = found[:limit], found[limit-1].ID
	}
	return page, nil
}

// documentOr returns a document, or one with revision 0 when there is none.
func (s *Store) documentOr(ctx context.Context, kind, id string) (d bide.Document, err error) {
	if err := bide.CheckDocument(kind, id); err != nil {
		return d, err
	}
	found, err := collect(ctx, s, "read a document", rowToDocument, sqlDocument, kind, id)
	if len(found) > 0 {
		d = found[0]
	}
	return d, err
}

func rowToDocument(row pgx.CollectableRow) (d bide.Document, err error) {
	var updated int64
	var body string
	err = row.Scan(&d.Kind, &d.ID, &d.Rev, &body, &updated)
	d.Body, d.UpdatedAt = bide.JSON(body), time.UnixMicro(updated).UTC()
	return d, err
}
