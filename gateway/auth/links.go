package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

const (
	// LinkActor begins the actors of those who answer by a link.
	LinkActor = "link:"
	// LinkPath begins the paths of links below the address of a server; the text of the link follows.
	LinkPath = "/links/"
	// LinkTime is how long a link lasts that nobody gave a time.
	LinkTime = 24 * time.Hour
	// MaxLink is the longest that a link may last.
	MaxLink = 30 * 24 * time.Hour
)

// Link is leave to answer one wait without credentials. Who has it may look at that wait and answer it, until it expires
// or is revoked.
type Link struct {
	ID    string `json:"id"`    // the wait, a dot and some random letters: nothing that opens anything
	Wait  string `json:"-"`     // which the id begins with
	Actor string `json:"actor"` // as it will stand in the ledger; begins with LinkActor
	By    string `json:"by"`    // who made it
	// Groups are those of whoever made it, with their own name: a link answers what its maker may answer.
	Groups    []string  `json:"groups,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// KeptLink is what is kept of a link: with it alone nobody can answer.
type KeptLink = api.KeptLink

var (
	// ErrBadLink is returned by Open for what no Links of the store has signed.
	ErrBadLink = errors.New("the link is not valid")
	// ErrRevokedLink is returned by Open for a link that was taken back.
	ErrRevokedLink = errors.New("the link was revoked")
)

// Links signs links with a key that is kept as the document "link_key" of the store and shared by all its servers. Of each
// link its id, whom it is for and when it ends are kept as a document of the kind "link". One ends when its wait does, when it
// expires, when it is revoked, or, with all others, when the key is deleted.
type Links struct {
	docs bide.Documents
	now  func() time.Time
}

// NewLinks returns the links of a store. Now defaults to the system's time.
func NewLinks(docs bide.Documents, now func() time.Time) *Links {
	if now == nil {
		now = time.Now
	}
	return &Links{docs, now}
}

const (
	linkKeyKind = "link_key"
	linkKeyID   = "1"
	linkKind    = "link"
	linkBytes   = 5 // of randomness in an id, to tell the links to a wait apart
	// linkDomain keeps signatures of links from being those of anything else.
	linkDomain = "bide link v1\n"
)

// Make returns a link to a wait for somebody, by default its maker, and its text. It fails with ErrInvalidInput when it would
// last longer than MaxLink or not at all; lasts defaults to LinkTime. Whether the maker may answer the wait is for the caller to check.
func (l *Links) Make(ctx context.Context, wait string, maker *Principal, recipient string, lasts time.Duration) (Link, string, error) {
	if lasts == 0 {
		lasts = LinkTime
	}
	if recipient == "" {
		recipient = maker.Actor
	}
	now := l.now().UTC().Truncate(time.Microsecond)
	link := Link{ID: wait + "." + random(linkBytes), Wait: wait, Actor: LinkActor + recipient, By: maker.Actor, Groups: append([]string{maker.Actor}, maker.Groups...),
		ExpiresAt: now.Add(lasts).Truncate(time.Second)}
	text, err := l.sign(ctx, link)
	if err != nil {
		return Link{}, "", err
	}
	kept := KeptLink{ID: link.ID, Wait: wait, Actor: link.Actor, By: link.By, CreatedAt: now, ExpiresAt: link.ExpiresAt}
	if err := l.put(ctx, 0, &kept); err != nil {
		return Link{}, "", fmt.Errorf("keep link: %w", err)
	}
	return link, text, nil
}

// List returns what is kept of the links to a wait, those that have expired or were revoked included, by id.
func (l *Links) List(ctx context.Context, wait string) (out []KeptLink, err error) {
	for q := (bide.DocumentQuery{Kind: linkKind, Prefix: wait + ".", Limit: 1000}); ; {
		page, err := l.docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Documents {
			k, err := readLink(&page.Documents[i])
			if err != nil {
				return nil, err
			}
			if k.Wait == wait { // an id with dots may begin with another one
				out = append(out, *k)
			}
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

// Revoke ends a link at once. One that is revoked stays so. It fails with ErrNotFound when there is none.
func (l *Links) Revoke(ctx context.Context, id, by string) (*KeptLink, error) {
	k, rev, err := l.kept(ctx, id)
	if err != nil || !k.RevokedAt.IsZero() {
		return k, err
	}
	k.RevokedAt, k.RevokedBy = l.now().UTC().Truncate(time.Microsecond), by
	if err = l.put(ctx, rev, k); errors.Is(err, bide.ErrConflict) { // only another revocation changes it
		k, _, err = l.kept(ctx, id)
	}
	return k, err
}

// LinkWait returns the wait that the id of a link begins with.
func LinkWait(id string) (wait string, ok bool) {
	i := strings.LastIndexByte(id, '.')
	if i <= 0 || !isText(id[i+1:], linkBytes) {
		return "", false
	}
	return id[:i], true
}

// kept returns what is kept of a link, with its revision, or ErrNotFound.
func (l *Links) kept(ctx context.Context, id string) (*KeptLink, int64, error) {
	if _, ok := LinkWait(id); !ok {
		return nil, 0, bide.Errorf(bide.CodeNotFound, "there is no link %q", id)
	}
	doc, err := l.docs.Document(ctx, linkKind, id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, 0, bide.Errorf(bide.CodeNotFound, "there is no link %q", id)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look for link: %w", err)
	}
	k, err := readLink(doc)
	return k, doc.Rev, err
}

func readLink(doc *bide.Document) (*KeptLink, error) {
	k := &KeptLink{}
	if err := json.Unmarshal(doc.Body, k); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "link %s: %w", doc.ID, err)
	}
	return k, nil
}

func (l *Links) put(ctx context.Context, rev int64, k *KeptLink) error {
	body, err := json.Marshal(k)
	if err != nil {
		return err
	}
	_, err = l.docs.PutDocument(ctx, bide.Document{Kind: linkKind, ID: k.ID, Rev: rev, Body: body, UpdatedAt: l.now().UTC().Truncate(time.Microsecond)})
	return err
}

// sign returns a link as text, for an address.
func (l *Links) sign(ctx context.Context, link Link) (string, error) {
	if lasts := link.ExpiresAt.Sub(l.now()); lasts <= 0 || lasts > MaxLink {
		return "", bide.Errorf(bide.CodeInvalidInput, "a link lasts more than nothing and at most %s, not %s", MaxLink, lasts.Round(time.Minute))
	}
	if !strings.HasPrefix(link.Actor, LinkActor) || len(link.Actor) > 200 {
		return "", bide.Errorf(bide.CodeInvalidInput, "%q is not the actor of a link: it begins with %q and has at most 200 bytes", link.Actor, LinkActor)
	}
	key, err := l.key(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(link)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(signLink(key, body)), nil
}

// Open returns the link of a text. It fails with ErrBadLink, with bide.ErrExpired, with ErrRevokedLink, or as the store does.
func (l *Links) Open(ctx context.Context, text string) (Link, error) {
	head, tail, ok := strings.Cut(text, ".")
	body, err := base64.RawURLEncoding.Strict().DecodeString(head)
	sum, serr := base64.RawURLEncoding.Strict().DecodeString(tail)
	if !ok || err != nil || serr != nil || len(text) > 4000 {
		return Link{}, ErrBadLink
	}
	key, err := l.key(ctx)
	if err != nil {
		return Link{}, err
	}
	if !hmac.Equal(sum, signLink(key, body)) {
		return Link{}, ErrBadLink
	}
	var link Link
	if err := json.Unmarshal(body, &link); err != nil {
		return Link{}, ErrBadLink
	}
	if link.Wait, ok = LinkWait(link.ID); !ok {
		return Link{}, ErrBadLink
	}
	if !l.now().Before(link.ExpiresAt) {
		return link, &bide.Error{Code: bide.CodeExpired, Message: "the link expired at " + link.ExpiresAt.UTC().Format(time.RFC3339), Wait: link.Wait}
	}
	kept, _, err := l.kept(ctx, link.ID)
	switch {
	case errors.Is(err, bide.ErrNotFound):
		return Link{}, ErrBadLink
	case err != nil:
		return Link{}, err
	case !kept.RevokedAt.IsZero():
		return link, ErrRevokedLink
	}
	return link, nil
}

func signLink(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(linkDomain))
	mac.Write(body)
	return mac.Sum(nil)
}

// key returns the key of the store, and makes it the first time.
func (l *Links) key(ctx context.Context) ([]byte, error) {
	doc, err := l.docs.Document(ctx, linkKeyKind, linkKeyID)
	if errors.Is(err, bide.ErrNotFound) {
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh) // it never fails
		body, merr := json.Marshal(map[string][]byte{"key": fresh})
		if merr != nil {
			return nil, merr
		}
		if _, err = l.docs.PutDocument(ctx, bide.Document{Kind: linkKeyKind, ID: linkKeyID, Body: body, UpdatedAt: l.now().UTC()}); err == nil {
			return fresh, nil
		}
		if !errors.Is(err, bide.ErrConflict) { // else another has made it
			return nil, fmt.Errorf("keep the key of links: %w", err)
		}
		doc, err = l.docs.Document(ctx, linkKeyKind, linkKeyID)
	}
	if err != nil {
		return nil, fmt.Errorf("key of links: %w", err)
	}
	var kept struct {
		Key []byte `json:"key"`
	}
	if err := json.Unmarshal(doc.Body, &kept); err != nil || len(kept.Key) < 32 {
		return nil, bide.Errorf(bide.CodeCorrupt, "the document %s/%s holds no key", linkKeyKind, linkKeyID)
	}
	return kept.Key, nil
}
