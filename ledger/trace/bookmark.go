package trace

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// BookmarkKind is the kind of document in which a bookmark is kept; its id is the bookmark's name.
const BookmarkKind = "bookmark"

// Bookmark is a point of a run that somebody marked, to come back to, compare or fork from.
type Bookmark struct {
	Name  string    `json:"name"` // unique; 1 to 200 bytes
	RunID string    `json:"run_id"`
	Seq   int64     `json:"seq"`
	Head  bide.Hash `json:"head"` // hash of the record: what was marked can be told from what is there
	Tags  []string  `json:"tags,omitempty"`
	Note  string    `json:"note,omitempty"`
	Actor string    `json:"actor,omitempty"`
	At    time.Time `json:"at"`
}

// Mark keeps a bookmark at a record of a run; its Head and At are filled in. It fails with ErrNotFound when there is no such run or
// record, and ErrConflict when the name is taken.
func Mark(ctx context.Context, rt *bide.Runtime, docs bide.Documents, b Bookmark, now time.Time) (*Bookmark, error) {
	at, err := rt.StateAt(ctx, b.RunID, b.Seq)
	if err != nil {
		return nil, err
	}
	b.Head, b.At = at.Head, now.UTC().Truncate(time.Microsecond)
	body, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	_, err = docs.PutDocument(ctx, bide.Document{Kind: BookmarkKind, ID: b.Name, Body: body, UpdatedAt: b.At})
	return &b, err
}

// Find lists bookmarks by name: those with the tag, if any, and the text in name, note or run, if any.
func Find(ctx context.Context, docs bide.Documents, tag, text string) (out []Bookmark, err error) {
	for q := (bide.DocumentQuery{Kind: BookmarkKind, Limit: 1000}); ; {
		page, err := docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Documents {
			var b Bookmark
			if err := json.Unmarshal(d.Body, &b); err != nil {
				return nil, bide.Errorf(bide.CodeCorrupt, "bookmark %q: %w", d.ID, err)
			}
			if (tag == "" || slices.Contains(b.Tags, tag)) && strings.Contains(b.Name+"\n"+b.Note+"\n"+b.RunID, text) {
				out = append(out, b)
			}
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

// Lookup returns a bookmark by its name, or ErrNotFound.
func Lookup(ctx context.Context, docs bide.Documents, name string) (*Bookmark, error) {
	d, err := docs.Document(ctx, BookmarkKind, name)
	if err != nil {
		return nil, err
	}
	b := &Bookmark{}
	if err := json.Unmarshal(d.Body, b); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "bookmark %q: %w", name, err)
	}
	return b, nil
}

// Unmark removes a bookmark. It does nothing when there is none.
func Unmark(ctx context.Context, docs bide.Documents, name string) error {
	d, err := docs.Document(ctx, BookmarkKind, name)
	if err != nil {
		if bide.ErrNotFound.Is(err) {
			return nil
		}
		return err
	}
	return docs.DeleteDocument(ctx, BookmarkKind, name, d.Rev)
}
