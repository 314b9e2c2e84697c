package file

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// storedDocument is a document as its file has it, or why that cannot be read.
type storedDocument struct {
	bide.Document
	damage error
}

// documentPath is the path of a document's file, or why there can be none.
func (s *Store) documentPath(kind, id string) (string, error) {
	if err := bide.CheckDocument(kind, id); err != nil {
		return "", err
	}
	dir, err := folder(kind)
	if err != nil {
		return "", bide.Errorf(bide.CodeInvalidInput, "%q is too long for a kind of documents", kind)
	}
	return filepath.Join(s.dir, documentsDir, dir, documentName(id)), nil
}

const (
	documentSuffix = ".json"
	longName       = 200 // a longer name is cut, and ends in a hash of the id
)

// documentName is the name of a document's file: its id, as in the name of a run's folder.
func documentName(id string) string {
	name := encodeName(id)
	if len(name) > longName {
		sum := sha256.Sum256([]byte(id))
		name = name[:longName/2] + "~" + hex.EncodeToString(sum[:16])
	}
	return name + documentSuffix
}

// PutDocument implements bide.Documents. The file is replaced as a whole, and flushed.
func (s *Store) PutDocument(ctx context.Context, d bide.Document) (rev int64, err error) {
	err = s.changeDocument(ctx, d.Kind, d.ID, func(path string, was *storedDocument) error {
		if was.Rev != d.Rev {
			return bide.DocumentConflict(d.Kind, d.ID, was.Rev, d.Rev)
		}
		d.Rev++
		d.UpdatedAt = d.UpdatedAt.UTC()
		text, err := documentText(&d)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		for _, dir := range []string{filepath.Dir(dir), dir} {
			if err := errors.Join(s.disk.MakeDir(dir), s.disk.SyncDir(filepath.Dir(dir))); err != nil {
				return explain("store a document", path, err)
			}
		}
		if err := replaceFile(s.disk, path, text, true); err != nil {
			return explain("store a document", path, err)
		}
		if err := s.disk.SyncDir(dir); err != nil {
			return explain("store a document", path, err)
		}
		s.setDocument(path, &storedDocument{Document: d})
		rev = d.Rev
		return nil
	})
	return rev, err
}

// DeleteDocument implements bide.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, id string, rev int64) error {
	return s.changeDocument(ctx, kind, id, func(path string, was *storedDocument) error {
		switch was.Rev {
		case 0:
			return nil
		case rev:
		default:
			return bide.DocumentConflict(kind, id, was.Rev, rev)
		}
		if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain("delete a document", path, err)
		}
		if err := s.disk.SyncDir(filepath.Dir(path)); err != nil {
			return explain("delete a document", path, err)
		}
		s.setDocument(path, nil)
		return nil
	})
}

// changeDocument lets do change a document, one at a time. One that is not there has revision 0.
func (s *Store) changeDocument(ctx context.Context, kind, id string, do func(path string, was *storedDocument) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	path, was, err := s.document(ctx, kind, id)
	if err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return s.errReadOnly()
	}
	return do(path, was)
}

// document looks a document up; one that is not there has revision 0.
func (s *Store) document(ctx context.Context, kind, id string) (path string, d *storedDocument, err error) {
	if err := s.usable(ctx); err != nil {
		return "", nil, err
	}
	if path, err = s.documentPath(kind, id); err != nil {
		return "", nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d = s.docs[path]; d == nil {
		d = &storedDocument{}
	}
	return path, d, d.damage
}

func (s *Store) setDocument(path string, d *storedDocument) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d == nil {
		delete(s.docs, path)
	} else {
		s.docs[path] = d
	}
}

// Document implements bide.Documents.
func (s *Store) Document(ctx context.Context, kind, id string) (*bide.Document, error) {
	_, d, err := s.document(ctx, kind, id)
	switch {
	case err != nil:
		return nil, err
	case d.Rev == 0:
		return nil, bide.Errorf(bide.CodeNotFound, "there is no document %q of kind %s", id, kind)
	}
	out := d.Document
	return &out, nil
}

// Documents implements bide.Documents. Those whose files cannot be read are left out.
func (s *Store) Documents(ctx context.Context, q bide.DocumentQuery) (*bide.DocumentPage, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	page := &bide.DocumentPage{}
	s.mu.RLock()
	for _, d := range s.docs {
		if d.damage == nil && d.Kind == q.Kind && strings.HasPrefix(d.ID, q.Prefix) && d.ID > q.After {
			page.Documents = append(page.Documents, d.Document)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(page.Documents, func(a, b bide.Document) int { return cmp.Compare(a.ID, b.ID) })
	if n := bide.PageLimit(q.Limit); len(page.Documents) > n {
		page.Documents, page.Next = page.Documents[:n], page.Documents[n-1].ID
	}
	return page, nil
}

// documentText is the text of a document's file: a member per line, the body as it came.
func documentText(d *bide.Document) ([]byte, error) {
	body := d.Body
	head := *d
	head.Body = bide.JSON("null")
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(struct {
		bide.Document
		Body *struct{} `json:"body,omitempty"` // hides the other
	}{Document: head}); err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "document %q of kind %s cannot be written as JSON: %w", d.ID, d.Kind, err)
	}
	if !json.Valid(body) {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the body of document %q of kind %s is not JSON", d.ID, d.Kind)
	}
	text := append(bytes.TrimSuffix(b.Bytes(), []byte("\n}\n")), ",\n  \"body\": "...)
	return append(append(text, body...), "\n}\n"...), nil
}

// readDocuments reads all documents. One that cannot be read does not keep the others from it.
func (s *Store) readDocuments() error {
	dir := filepath.Join(s.dir, documentsDir)
	kinds, err := s.disk.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, kind := range kinds {
		if !kind.dir {
			continue
		}
		entries, err := s.disk.ReadDir(filepath.Join(dir, kind.name))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasSuffix(e.name, documentSuffix) && !e.dir {
				path := filepath.Join(dir, kind.name, e.name)
				s.docs[path] = s.readDocument(path)
			}
		}
	}
	return nil
}

func (s *Store) readDocument(path string) *storedDocument {
	d := &storedDocument{}
	text, err := readFile(s.disk, path)
	if err == nil {
		err = json.Unmarshal(text, &d.Document)
	}
	if err == nil {
		var own string
		if own, err = s.documentPath(d.Kind, d.ID); err == nil && own != path || d.Rev < 1 {
			err = errors.New("it is of another document")
		}
	}
	if err != nil {
		d.damage = bide.Errorf(bide.CodeCorrupt, "%s cannot be read (%v); other documents are not concerned; restore the file from a backup, or remove it", path, err)
		s.log.Error("a document is damaged", "file", path, "error", err)
	}
	return d
}
