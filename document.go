package bide

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// Documents is what a store offers besides runs: small JSON documents by kind and
// id, for what belongs to an installation and not to a run, such as flows, grants and tokens.
type Documents interface {
	// PutDocument stores a document. d.Rev is the revision that it replaces, 0 when it
	// must not be there yet; the next revision is returned. It fails with ErrConflict
	// when that is not the document's revision, and with ErrInvalidInput when the kind or id
	// cannot be used. It is durable when it returns.
	PutDocument(ctx context.Context, d Document) (rev int64, err error)
	// Document returns a document, or ErrNotFound.
	Document(ctx context.Context, kind, id string) (*Document, error)
	// Documents lists the documents of a kind by id, upwards.
	Documents(ctx context.Context, q DocumentQuery) (*DocumentPage, error)
	// DeleteDocument removes a document at a revision. It does nothing when there
	// is none, and fails with ErrConflict when its revision is another one.
	DeleteDocument(ctx context.Context, kind, id string, rev int64) error
}

// Documents returns the documents of the runtime's store, or nil when it keeps none.
func (rt *Runtime) Documents() Documents {
	docs, _ := rt.store.(Documents)
	return docs
}

// Document is a small JSON document.
type Document struct {
	Kind string `json:"kind"` // letters, digits, - and _
	ID   string `json:"id"`   // within its kind; any text of 1 to 200 bytes without NUL
	Rev  int64  `json:"rev"`  // from 1; a document that is deleted and stored again begins at 1 again
	Body JSON   `json:"body"`
	// UpdatedAt is the writer's time, to the microsecond.
	UpdatedAt time.Time `json:"updated_at"`
}

// DocumentQuery selects documents.
type DocumentQuery struct {
	Kind   string
	Prefix string // that ids begin with; empty for all
	After  string // the id to go on after, from DocumentPage.Next
	Limit  int    // as in RunQuery
}

// DocumentPage is one page of documents.
type DocumentPage struct {
	Documents []Document
	Next      string // for DocumentQuery.After; empty at the end
}

const documentKindChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// CheckDocument returns ErrInvalidInput when no document can have the kind or id.
// It is for stores, so that all of them take the same.
func CheckDocument(kind, id string) error {
	if kind == "" || strings.Trim(kind, documentKindChars) != "" {
		return Errorf(CodeInvalidInput, "%q is not a kind of documents: it consists of letters, digits, - and _", kind)
	}
	if id == "" || len(id) > 200 || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return Errorf(CodeInvalidInput, "%q is not an id of a document: it is a text of 1 to 200 bytes without NUL", id)
	}
	return nil
}

// DocumentConflict is the error of a change that names another revision of a
// document than the one that is there. It is for stores.
func DocumentConflict(kind, id string, is, want int64) error {
	return Errorf(CodeConflict, "document %q of kind %s is at revision %d, not %d; read it again", id, kind, is, want)
}
