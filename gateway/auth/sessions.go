package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/problem"
)

// SessionOptions refines sessions. Nil means the defaults.
type SessionOptions struct {
	// Lasts is how long a session lasts. Defaults to 12h.
	Lasts time.Duration
	// Now is the source of time. Defaults to the system's.
	Now func() time.Time
}

// Sessions let browsers in that hold a cookie. They are kept as documents of the kind "login" under the hash of what the browser
// holds, and end by themselves, by logging out, with the token that they were begun with, or when the document is deleted.
type Sessions struct {
	docs   bide.Documents
	tokens *Tokens
	opts   SessionOptions
}

// NewSessions returns the sessions of a store.
func NewSessions(docs bide.Documents, opts *SessionOptions) *Sessions {
	var o SessionOptions
	if opts != nil {
		o = *opts
	}
	if o.Lasts <= 0 {
		o.Lasts = 12 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Sessions{docs: docs, tokens: NewTokens(docs, o.Now), opts: o}
}

// The cookies. A name that begins with __Host- is accepted by browsers only when the cookie is secure and of this host alone.
const (
	loginCookie = "__Host-bide"
	stateCookie = "__Host-bide-login"
	loginKind   = "login"
)

// session is a session as it is kept: of a person who logged in, or of a token, whose rights are looked up each time.
type session struct {
	Principal *Principal `json:"principal,omitempty"`
	Token     string     `json:"token_id,omitempty"`
	ExpiresAt time.Time  `json:"expires_at"`
}

// begin keeps a session and gives the browser its cookie.
func (s *Sessions) begin(ctx context.Context, w http.ResponseWriter, as session) error {
	secret := random(secretBytes)
	now := s.opts.Now().UTC().Truncate(time.Microsecond)
	as.ExpiresAt = now.Add(s.opts.Lasts)
	body, err := json.Marshal(as)
	if err != nil {
		return err
	}
	if _, err = s.docs.PutDocument(ctx, bide.Document{Kind: loginKind, ID: digest(secret), Body: body, UpdatedAt: now}); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	setCookie(w, loginCookie, secret, s.opts.Lasts)
	return nil
}

// principal returns whose session a request is of, or nil when it is of none.
func (s *Sessions) principal(r *http.Request) (*Principal, error) {
	c, err := r.Cookie(loginCookie)
	if err != nil || c.Value == "" {
		return nil, nil
	}
	doc, err := s.docs.Document(r.Context(), loginKind, digest(c.Value))
	if errors.Is(err, bide.ErrNotFound) {
		return nil, errEnded()
	}
	if err != nil {
		return nil, fmt.Errorf("look for session: %w", err)
	}
	var d session
	if err := json.Unmarshal(doc.Body, &d); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "session %s: %w", doc.ID, err)
	}
	if !s.opts.Now().Before(d.ExpiresAt) || d.Principal == nil && d.Token == "" {
		return nil, errEnded()
	}
	p, err := s.holder(r.Context(), &d)
	if errors.Is(err, ErrBadToken) {
		return nil, errEnded()
	}
	return p, err
}

// InSession reports whether a request comes with the cookie of a session, which a browser can end.
func InSession(r *http.Request) bool {
	_, err := r.Cookie(loginCookie)
	return err == nil && r.Header.Get("Authorization") == ""
}

func errEnded() error { return unauthenticated("the session has ended; log in again") }

// logout ends the session of a request.
func (s *Sessions) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(loginCookie); err == nil {
		if err := s.End(r.Context(), digest(c.Value)); err != nil {
			problem.Write(w, err)
			return
		}
	}
	setCookie(w, loginCookie, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// Session is one of a browser that is let in.
type Session = api.Session

// List returns the sessions that count, by id, each with what it is let in as.
func (s *Sessions) List(ctx context.Context) (out []Session, err error) {
	now := s.opts.Now()
	for q := (bide.DocumentQuery{Kind: loginKind, Limit: 1000}); ; {
		page, err := s.docs.Documents(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, doc := range page.Documents {
			var d session
			if err := json.Unmarshal(doc.Body, &d); err != nil {
				return nil, bide.Errorf(bide.CodeCorrupt, "session %s: %w", doc.ID, err)
			}
			p, err := s.holder(ctx, &d)
			if errors.Is(err, ErrBadToken) || err == nil && (p == nil || !now.Before(d.ExpiresAt)) {
				continue
			}
			if err != nil {
				return nil, err
			}
			out = append(out, Session{ID: doc.ID, Token: d.Token, Actor: p.Actor, Groups: p.Groups, Roles: p.Roles, Namespace: p.Namespace,
				Workflows: p.Workflows, Labels: p.Labels, CreatedAt: doc.UpdatedAt, ExpiresAt: d.ExpiresAt})
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

// End ends a session by its id, as logging out does. It does nothing when there is none.
func (s *Sessions) End(ctx context.Context, id string) error {
	doc, err := s.docs.Document(ctx, loginKind, id)
	if err == nil {
		err = s.docs.DeleteDocument(ctx, loginKind, doc.ID, doc.Rev)
	}
	if errors.Is(err, bide.ErrNotFound) {
		return nil
	}
	return err
}

// holder is whose a session is; nil when it is nobody's.
func (s *Sessions) holder(ctx context.Context, d *session) (*Principal, error) {
	if d.Token == "" {
		return d.Principal, nil
	}
	return s.tokens.principal(ctx, d.Token)
}

// SessionID is the id of the session that a request comes with, or nothing. The cookie cannot be made of it.
func SessionID(r *http.Request) string {
	if !InSession(r) {
		return ""
	}
	c, _ := r.Cookie(loginCookie) // it is there
	return digest(c.Value)
}

// Run removes sessions that have ended, and links, once an hour, until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep removes sessions that have ended, and what is kept of links that have expired.
func (s *Sessions) Sweep(ctx context.Context) error {
	return errors.Join(s.sweep(ctx, loginKind), s.sweep(ctx, linkKind))
}

// sweep removes the documents of a kind that say that their time has passed, or cannot be read.
func (s *Sessions) sweep(ctx context.Context, kind string) error {
	now := s.opts.Now()
	for q := (bide.DocumentQuery{Kind: kind, Limit: 1000}); ; {
		page, err := s.docs.Documents(ctx, q)
		if err != nil {
			return err
		}
		for _, doc := range page.Documents {
			var d struct {
				ExpiresAt time.Time `json:"expires_at"`
			}
			if json.Unmarshal(doc.Body, &d) == nil && now.Before(d.ExpiresAt) {
				continue
			}
			if err := s.docs.DeleteDocument(ctx, kind, doc.ID, doc.Rev); err != nil && !errors.Is(err, bide.ErrConflict) && !errors.Is(err, bide.ErrNotFound) {
				return err
			}
		}
		if q.After = page.Next; q.After == "" {
			return nil
		}
	}
}

// setCookie sets a cookie for this host alone; lasts below zero removes it.
func setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	age := int(lasts / time.Second)
	if lasts < 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
