package sqlite

import (
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// The statements of documents, all by primary key.
const (
	sqlRevision       = `SELECT rev FROM documents WHERE kind = ?1 AND doc_id = ?2`
	sqlPutDocument    = `INSERT OR REPLACE INTO documents (kind, doc_id, rev, body, updated_at) VALUES (?, ?, ?, ?, ?)`
	sqlDeleteDocument = `DELETE FROM documents WHERE kind = ?1 AND doc_id = ?2`
	sqlDocument       = `SELECT doc_id, rev, body, updated_at FROM documents WHERE kind = ?1 AND doc_id = ?2`
	sqlDocuments      = `SELECT doc_id, rev, body, updated_at FROM documents
		WHERE kind = ?1 AND doc_id > ?2 AND doc_id >= ?3 AND doc_id < ?4 ORDER BY doc_id LIMIT ?5`
)

// PutDocument implements bide.Documents.
func (s *Store) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	if err := bide.CheckDocument(d.Kind, d.ID); err != nil {
		return 0, err
	}
	if err := s.request(ctx, putDocument{d}); err != nil {
		return 0, err
	}
	return d.Rev + 1, nil
}

// Document implements bide.Documents.
func (s *Store) Document(ctx context.Context, kind, id string) (out *bide.Document, err error) {
	if err := bide.CheckDocument(kind, id); err != nil {
		return nil, err
	}
	err = s.read(ctx, "read a document", func(r *reader) error {
		return r.query(sqlDocument).text(kind).text(id).rows(func(row *sqlite3.Stmt) error {
			out = scanDocument(row, kind)
			return row.Err()
		})
	})
	if err == nil && out == nil {
		err = bide.Errorf(bide.CodeNotFound, "there is no document %q of kind %s", id, kind)
	}
	return out, err
}

// Documents implements bide.Documents.
func (s *Store) Documents(ctx context.Context, q bide.DocumentQuery) (*bide.DocumentPage, error) {
	limit := bide.PageLimit(q.Limit)
	page := &bide.DocumentPage{}
	err := s.read(ctx, "list documents", func(r *reader) error {
		c := r.query(sqlDocuments).text(q.Kind).text(q.After).text(q.Prefix).text(prefixEnd(q.Prefix)).int(int64(limit) + 1)
		return c.rows(func(row *sqlite3.Stmt) error {
			page.Documents = append(page.Documents, *scanDocument(row, q.Kind))
			return row.Err()
		})
	})
	if err != nil {
		return nil, err
	}
	if len(page.Documents) > limit {
		page.Documents = page.Documents[:limit]
		page.Next = page.Documents[limit-1].ID
	}
	return page, nil
}

// prefixEnd is the first text, byte by byte, after all that begin with a prefix. No
// byte of UTF-8 is 0xFF.
func prefixEnd(prefix string) string {
	if prefix == "" {
		return "\xff"
	}
	last := len(prefix) - 1
	return prefix[:last] + string([]byte{prefix[last] + 1})
}

func scanDocument(row *sqlite3.Stmt, kind string) *bide.Document {
	return &bide.Document{Kind: kind, ID: row.ColumnText(0), Rev: row.ColumnInt64(1), Body: bide.JSON(row.ColumnBlob(2, nil)), UpdatedAt: columnTime(row, 3)}
}

// DeleteDocument implements bide.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, id string, rev int64) error {
	if err := bide.CheckDocument(kind, id); err != nil {
		return err
	}
	return s.request(ctx, deleteDocument{kind, id, rev})
}

type putDocument struct{ bide.Document }

func (p putDocument) apply(s *statements) (outcome, err error) {
	rev, err := s.revision(p.Kind, p.ID)
	switch {
	case err != nil:
		return nil, err
	case rev != p.Rev:
		return bide.DocumentConflict(p.Kind, p.ID, rev, p.Rev), nil
	}
	return nil, s.query(sqlPutDocument).text(p.Kind).text(p.ID).int(rev + 1).raw(p.Body).int(p.UpdatedAt.UnixMicro()).exec()
}

type deleteDocument struct {
	kind, id string
	rev      int64
}

func (d deleteDocument) apply(s *statements) (outcome, err error) {
	rev, err := s.revision(d.kind, d.id)
	switch {
	case err != nil || rev == 0:
		return nil, err
	case rev != d.rev:
		return bide.DocumentConflict(d.kind, d.id, rev, d.rev), nil
	}
	return nil, s.query(sqlDeleteDocument).text(d.kind).text(d.id).exec()
}

// revision is that of a document, 0 when there is none.
func (s *statements) revision(kind, id string) (rev int64, err error) {
	err = s.query(sqlRevision).text(kind).text(id).rows(func(row *sqlite3.Stmt) error {
		rev = row.ColumnInt64(0)
		return nil
	})
	return rev, err
}
