package tool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bide-dev/bide"
)

// GrantBook keeps grants as documents of a store, of the kind "grant". One that
// was revoked stays there, marked, and cannot be given again.
type GrantBook struct {
	docs bide.Documents
	now  func() time.Time
}

var _ Grants = (*GrantBook)(nil)

// NewGrantBook returns a book over the documents of a store. Now defaults to the system's time.
func NewGrantBook(docs bide.Documents, now func() time.Time) *GrantBook {
	if now == nil {
		now = time.Now
	}
	return &GrantBook{docs, now}
}

const grantKind = "grant"

// grantDoc is the body of a document.
type grantDoc struct {
	Grant     bide.Grant `json:"grant"`
	Of        string     `json:"of"` // the session or workflow
	RevokedBy string     `json:"revoked_by,omitempty"`
	RevokedAt time.Time  `json:"revoked_at,omitzero"`
}

// grantPrefix begins the ids of the grants of a scope, whose name may be too long for an id.
func grantPrefix(scope bide.GrantScope, of string) string {
	sum := sha256.Sum256([]byte(of))
	return string(scope) + ":" + hex.EncodeToString(sum[:16]) + ":"
}

// Grants implements Grants.
func (b *GrantBook) Grants(ctx context.Context, scope bide.GrantScope, of string) (grants []bide.Grant, err error) {
	q := bide.DocumentQuery{Kind: grantKind, Prefix: grantPrefix(scope, of)}
	for {
		page, err := b.docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Documents {
			var g grantDoc
			if err := json.Unmarshal(d.Body, &g); err != nil {
				return nil, bide.Errorf(bide.CodeCorrupt, "grant %s: %w", d.ID, err)
			}
			if g.RevokedAt.IsZero() {
				grants = append(grants, g.Grant)
			}
		}
		if q.After = page.Next; q.After == "" {
			return grants, nil
		}
	}
}

// Kept is a grant of a book.
type Kept struct {
	bide.Grant
	Of string `json:"of"` // the session or workflow that it counts for
}

// List returns a page of the grants that count, by scope, and where to go on; empty is the beginning, and the end. A page
// may be shorter than the limit and not be the last. limit is as in bide.RunQuery.
func (b *GrantBook) List(ctx context.Context, after string, limit int) (grants []Kept, next string, err error) {
	page, err := b.docs.Documents(ctx, bide.DocumentQuery{Kind: grantKind, After: after, Limit: limit})
	if err != nil {
		return nil, "", err
	}
	for _, d := range page.Documents {
		var g grantDoc
		if err := json.Unmarshal(d.Body, &g); err != nil {
			return nil, "", bide.Errorf(bide.CodeCorrupt, "grant %s: %w", d.ID, err)
		}
		if g.RevokedAt.IsZero() {
			grants = append(grants, Kept{g.Grant, g.Of})
		}
	}
	return grants, page.Next, nil
}

// AddGrant implements Grants.
func (b *GrantBook) AddGrant(ctx context.Context, scope bide.GrantScope, of string, g bide.Grant) error {
	err := b.put(ctx, scope, 0, grantDoc{Grant: g, Of: of})
	if errors.Is(err, bide.ErrConflict) { // it is there, or was and is revoked
		return nil
	}
	return err
}

// RevokeGrant ends a grant for whoever acts; one that has ended stays as it is. It fails with bide.ErrNotFound
// when the scope never had it.
func (b *GrantBook) RevokeGrant(ctx context.Context, scope bide.GrantScope, of, id, actor string) error {
	d, err := b.docs.Document(ctx, grantKind, grantPrefix(scope, of)+id)
	if err != nil {
		return fmt.Errorf("revoke grant %s of %s %q: %w", id, scope, of, err)
	}
	var g grantDoc
	if err := json.Unmarshal(d.Body, &g); err != nil {
		return bide.Errorf(bide.CodeCorrupt, "grant %s: %w", d.ID, err)
	}
	if !g.RevokedAt.IsZero() {
		return nil
	}
	g.RevokedBy, g.RevokedAt = actor, b.now().UTC().Truncate(time.Microsecond)
	return b.put(ctx, scope, d.Rev, g)
}

// End ends a grant that an answer gave, also when the call that it was given for has not kept it yet: it cannot be given again.
func (b *GrantBook) End(ctx context.Context, g bide.Grant, of, actor string) error {
	if err := b.AddGrant(ctx, g.Scope, of, g); err != nil {
		return err
	}
	return b.RevokeGrant(ctx, g.Scope, of, g.ID, actor)
}

func (b *GrantBook) put(ctx context.Context, scope bide.GrantScope, rev int64, g grantDoc) error {
	body, err := json.Marshal(g)
	if err != nil {
		return err
	}
	_, err = b.docs.PutDocument(ctx, bide.Document{Kind: grantKind, ID: grantPrefix(scope, g.Of) + g.Grant.ID, Rev: rev, Body: body,
		UpdatedAt: b.now().UTC().Truncate(time.Microsecond)})
	return err
}
