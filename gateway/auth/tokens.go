package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// TokenSpec is what a token is made for.
type TokenSpec = api.TokenSpec

// Token is what is kept of a token: all but the secret, of which only a hash is.
type Token = api.Token

// ErrBadToken is returned by Verify for a token that does not count, without saying why: it is none,
// or has expired, or was revoked.
var ErrBadToken = errors.New("the token is not valid")

// Tokens keeps tokens as documents of the kind "token". A token is 256 random bits: nobody can guess one, so
// a plain SHA-256 is enough to keep it by. Slow hashes are for passwords, which people choose.
type Tokens struct {
	docs bide.Documents
	now  func() time.Time
}

// NewTokens returns the tokens of a store. Now defaults to the system's time.
func NewTokens(docs bide.Documents, now func() time.Time) *Tokens {
	if now == nil {
		now = time.Now
	}
	return &Tokens{docs, now}
}

const (
	tokenKind   = "token"
	tokenPrefix = "bide_"
	idBytes     = 8
	secretBytes = 32
)

// tokenText has only letters and digits, in one case, so that a double click takes all of it.
var tokenText = base32.StdEncoding.WithPadding(base32.NoPadding)

type tokenDoc struct {
	Token
	SHA256 string `json:"sha256"` // of the secret part, in hex
}

// Create makes a token and returns its text, which cannot be had again, and what is kept of it. It fails
// with ErrInvalidInput, listing every fault, when the spec cannot be used.
func (t *Tokens) Create(ctx context.Context, spec TokenSpec, by string) (text string, tok Token, err error) {
	if spec.Actor == "" {
		spec.Actor = "token:" + spec.Name
	}
	now := t.now().UTC().Truncate(time.Microsecond)
	if err := checkSpec(&spec, now); err != nil {
		return "", tok, err
	}
	id, secret := random(idBytes), random(secretBytes)
	tok = Token{ID: id, TokenSpec: spec, CreatedAt: now, CreatedBy: by}
	if err := t.put(ctx, 0, tokenDoc{tok, digest(secret)}); err != nil {
		return "", Token{}, fmt.Errorf("keep token: %w", err)
	}
	return tokenPrefix + id + "_" + secret, tok, nil
}

func checkSpec(s *TokenSpec, now time.Time) error {
	var faults []bide.Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if s.Name == "" || len(s.Name) > 100 {
		add("/name", "has 1 to 100 bytes")
	}
	if len(s.Actor) > 200 {
		add("/actor", "has at most 200 bytes")
	}
	if strings.HasPrefix(s.Actor, personPrefix) {
		add("/actor", "%q begins as those of people who log in", s.Actor)
	}
	if len(s.Roles) == 0 {
		add("/roles", "there are none; give some of %v", Roles())
	}
	for i, r := range s.Roles {
		if !slices.Contains(Roles(), r) {
			add(fmt.Sprintf("/roles/%d", i), "%q is none of %v", r, Roles())
		}
	}
	for name := range s.Labels {
		if strings.HasPrefix(name, ReservedLabels) {
			add("/labels", "%q is reserved", name)
		}
	}
	if err := CheckNamespace(s.Namespace); err != nil {
		add("/namespace", "%v", err)
	}
	if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now) {
		add("/expires_at", "%s is past", s.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if len(faults) == 0 {
		return nil
	}
	return &bide.Error{Code: bide.CodeInvalidInput, Message: "the token cannot be made", Faults: faults}
}

// MayGive fails with ErrForbidden when a token would be able to do more than the principal that makes it: have other
// rights, be of another namespace (the default one makes tokens for all), or see more.
func (p *Principal) MayGive(spec *TokenSpec) error {
	refuse := func(what string) error {
		return bide.Errorf(bide.CodeForbidden, "%s cannot make a token that %s", p.Actor, what)
	}
	if p.Namespace != "" && spec.Namespace != p.Namespace {
		return refuse("is of another namespace")
	}
	for _, role := range spec.Roles {
		for _, right := range Rights(role) {
			if right == Installation && spec.Namespace != "" {
				continue // nobody has it there
			}
			if !p.May(right, nil) {
				return refuse("has the right " + string(right))
			}
		}
	}
	for _, w := range spec.Workflows {
		if len(p.Workflows) > 0 && !slices.Contains(p.Workflows, w) {
			return refuse("is for workflow " + w)
		}
	}
	if len(p.Workflows) > 0 && len(spec.Workflows) == 0 {
		return refuse("is for all workflows")
	}
	for name, value := range p.Labels {
		if spec.Labels[name] != value {
			return refuse("is not limited to the label " + name)
		}
	}
	return nil
}

// Verify returns the principal of a token's text, and notes its use. It fails with ErrBadToken, or as the store does.
func (t *Tokens) Verify(ctx context.Context, text string) (*Principal, error) {
	id, secret, ok := splitToken(text)
	if !ok {
		return nil, ErrBadToken
	}
	d, rev, err := t.get(ctx, id)
	if errors.Is(err, bide.ErrNotFound) {
		d, err = &tokenDoc{}, nil // and compare all the same
	}
	if err != nil {
		return nil, fmt.Errorf("look for token: %w", err)
	}
	now := t.now().UTC().Truncate(time.Microsecond)
	same := subtle.ConstantTimeCompare([]byte(digest(secret)), []byte(d.SHA256)) == 1
	if !same || !d.counts(now) {
		return nil, ErrBadToken
	}
	if now.Sub(d.LastUsedAt) >= time.Minute {
		d.LastUsedAt = now
		// Somebody else notes the same, or has just revoked it: that one counts.
		if err := t.put(ctx, rev, *d); err != nil && !errors.Is(err, bide.ErrConflict) && !errors.Is(err, bide.ErrStoreReadOnly) {
			return nil, fmt.Errorf("note the use of token %s: %w", id, err)
		}
	}
	return d.principal(), nil
}

func (d *tokenDoc) principal() *Principal {
	return &Principal{Actor: d.Actor, Groups: d.Groups, Roles: d.Roles, Namespace: d.Namespace, Workflows: d.Workflows, Labels: d.Labels}
}

// counts reports whether a token neither has expired nor was revoked.
func (d *tokenDoc) counts(now time.Time) bool {
	return d.RevokedAt.IsZero() && (d.ExpiresAt.IsZero() || now.Before(d.ExpiresAt))
}

// principal returns the principal of a token whose text was verified before, or ErrBadToken when it counts no more.
func (t *Tokens) principal(ctx context.Context, id string) (*Principal, error) {
	d, _, err := t.get(ctx, id)
	if errors.Is(err, bide.ErrNotFound) {
		return nil, ErrBadToken
	}
	if err != nil {
		return nil, fmt.Errorf("look for token: %w", err)
	}
	if !d.counts(t.now()) {
		return nil, ErrBadToken
	}
	return d.principal(), nil
}

// Revoke ends a token at once. One that is revoked stays so. It fails with ErrNotFound when the namespace
// has no such token; the default namespace has those of all.
func (t *Tokens) Revoke(ctx context.Context, namespace, id, by string) (Token, error) {
	for {
		d, rev, err := t.get(ctx, id)
		if err != nil || namespace != "" && d.Namespace != namespace {
			return Token{}, errors.Join(err, noToken(err, id))
		}
		if !d.RevokedAt.IsZero() {
			return d.Token, nil
		}
		d.RevokedAt, d.RevokedBy = t.now().UTC().Truncate(time.Microsecond), by
		if err = t.put(ctx, rev, *d); !errors.Is(err, bide.ErrConflict) {
			return d.Token, err
		}
	}
}

func noToken(err error, id string) error {
	if err != nil {
		return nil
	}
	return bide.Errorf(bide.CodeNotFound, "there is no token %q", id)
}

// List returns the tokens of a namespace, revoked ones included; for the default one those of all.
func (t *Tokens) List(ctx context.Context, namespace string) (out []Token, err error) {
	for q := (bide.DocumentQuery{Kind: tokenKind, Limit: 1000}); ; {
		page, err := t.docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Documents {
			d, err := readToken(&page.Documents[i])
			if err != nil {
				return nil, err
			}
			if namespace == "" || d.Namespace == namespace {
				out = append(out, d.Token)
			}
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

func (t *Tokens) get(ctx context.Context, id string) (*tokenDoc, int64, error) {
	if !isText(id, idBytes) {
		return nil, 0, bide.Errorf(bide.CodeNotFound, "there is no token %q", id)
	}
	doc, err := t.docs.Document(ctx, tokenKind, id)
	if err != nil {
		return nil, 0, err
	}
	d, err := readToken(doc)
	return d, doc.Rev, err
}

func readToken(doc *bide.Document) (*tokenDoc, error) {
	var d tokenDoc
	if err := json.Unmarshal(doc.Body, &d); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "token %s: %w", doc.ID, err)
	}
	return &d, nil
}

func (t *Tokens) put(ctx context.Context, rev int64, d tokenDoc) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = t.docs.PutDocument(ctx, bide.Document{Kind: tokenKind, ID: d.ID, Rev: rev, Body: body, UpdatedAt: t.now().UTC().Truncate(time.Microsecond)})
	return err
}

// splitToken takes a token's text apart. Its id is short enough to be a document's, and what is kept in memory of it.
func splitToken(text string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	id, secret, ok2 := strings.Cut(rest, "_")
	return id, secret, ok && ok2 && isText(id, idBytes) && isText(secret, secretBytes)
}

// isText reports whether s could be what random(n) gives: nothing else is looked for.
func isText(s string, n int) bool {
	return len(s) == tokenText.EncodedLen(n) && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func random(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails: crypto/rand ends the program when the system has no randomness
	return strings.ToLower(tokenText.EncodeToString(raw))
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
