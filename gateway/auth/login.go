package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/problem"
)

// personPrefix begins the actors of people who log in.
const personPrefix = "user:"

// Membership says what the members of a group may do.
type Membership struct {
	Group     string            `json:"group"` // as the provider names it; "*" is everybody who can log in
	Roles     []Role            `json:"roles"`
	Namespace string            `json:"namespace,omitempty"`
	Workflows []string          `json:"workflows,omitempty"` // as in Principal
	Labels    map[string]string `json:"labels,omitempty"`    // as in Principal
}

// LoginOptions says how people log in with OpenID Connect.
type LoginOptions struct {
	Issuer       string // the provider's URL
	ClientID     string
	ClientSecret string
	// RedirectURL is this server's /auth/callback, as the browser reaches it.
	RedirectURL string
	// Scopes asked for besides openid. Default to profile, email and groups.
	Scopes []string
	// GroupsClaim is the claim that lists a person's groups. Defaults to "groups".
	GroupsClaim string
	// Members say who may do what: the first that fits decides. Who fits none is refused.
	Members []Membership
	// Lasts is how long a login lasts. Defaults to 12h.
	Lasts time.Duration
	// Client makes the requests to the provider. Defaults to http.DefaultClient.
	Client *http.Client
	// Now is the source of time. Defaults to the system's.
	Now func() time.Time
}

// Login lets people log in. Logins are kept as documents of the kind "login" under the hash of what the browser
// holds, and end by themselves, by logging out, or when the document is deleted.
type Login struct {
	docs     bide.Documents
	opts     LoginOptions
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// The cookies. A name that begins with __Host- is accepted by browsers only when the cookie is secure and of this host alone.
const (
	loginCookie = "__Host-bide"
	stateCookie = "__Host-bide-login"
	loginKind   = "login"
	// loginTries is how long a person has at the provider.
	loginTries = 10 * time.Minute
)

// NewLogin asks the provider for its configuration. It fails with ErrInvalidInput when an option is missing, and when the provider does
// not answer.
func NewLogin(ctx context.Context, docs bide.Documents, opts LoginOptions) (*Login, error) {
	if opts.Issuer == "" || opts.ClientID == "" || opts.RedirectURL == "" || len(opts.Members) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "login needs issuer, client id, redirect URL and members")
	}
	for _, m := range opts.Members {
		if err := CheckNamespace(m.Namespace); err != nil {
			return nil, err
		}
		for _, r := range m.Roles {
			if !slices.Contains(Roles(), r) {
				return nil, bide.Errorf(bide.CodeInvalidInput, "group %q: %q is none of %v", m.Group, r, Roles())
			}
		}
	}
	if opts.Scopes == nil {
		opts.Scopes = []string{"profile", "email", "groups"}
	}
	if opts.GroupsClaim == "" {
		opts.GroupsClaim = "groups"
	}
	if opts.Lasts <= 0 {
		opts.Lasts = 12 * time.Hour
	}
	if opts.Client == nil {
		opts.Client = http.DefaultClient
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, opts.Client), opts.Issuer)
	if err != nil {
		return nil, fmt.Errorf("configuration of the provider %s: %w", opts.Issuer, err)
	}
	return &Login{docs: docs, opts: opts,
		oauth: oauth2.Config{ClientID: opts.ClientID, ClientSecret: opts.ClientSecret, RedirectURL: opts.RedirectURL,
			Endpoint: provider.Endpoint(), Scopes: append([]string{oidc.ScopeOpenID}, opts.Scopes...)},
		verifier: provider.Verifier(&oidc.Config{ClientID: opts.ClientID, Now: opts.Now})}, nil
}

// Handler serves GET /auth/login, GET /auth/callback and POST /auth/logout. It needs no credentials.
func (l *Login) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth/login", l.begin)
	mux.HandleFunc("GET /auth/callback", l.end)
	mux.HandleFunc("POST /auth/logout", l.logout)
	return http.NewCrossOriginProtection().Handler(mux)
}

// attempt is what the browser keeps between leaving for the provider and coming back.
type attempt struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // PKCE (RFC 7636)
	Return   string `json:"r"`
}

func (l *Login) begin(w http.ResponseWriter, r *http.Request) {
	a := attempt{State: random(secretBytes), Nonce: random(secretBytes), Verifier: oauth2.GenerateVerifier(), Return: here(r.URL.Query().Get("return"))}
	raw, err := json.Marshal(a)
	if err != nil {
		problem.Write(w, err)
		return
	}
	setCookie(w, stateCookie, base64.RawURLEncoding.EncodeToString(raw), loginTries)
	http.Redirect(w, r, l.oauth.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), http.StatusSeeOther)
}

// here is a path of this server, never of another.
func here(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func (l *Login) end(w http.ResponseWriter, r *http.Request) {
	a, err := readAttempt(r)
	setCookie(w, stateCookie, "", -1)
	if err == nil {
		err = l.enter(w, r, a)
	}
	if err != nil {
		problem.Write(w, err)
		return
	}
	http.Redirect(w, r, a.Return, http.StatusSeeOther)
}

func readAttempt(r *http.Request) (a attempt, err error) {
	c, err := r.Cookie(stateCookie)
	if err != nil {
		return a, unauthenticated("the login was not begun in this browser, or took too long; begin again")
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err == nil {
		err = json.Unmarshal(raw, &a)
	}
	if err != nil || a.State == "" || subtle.ConstantTimeCompare([]byte(a.State), []byte(r.URL.Query().Get("state"))) != 1 {
		return a, unauthenticated("the login is not the one that was begun in this browser; begin again")
	}
	a.Return = here(a.Return)
	return a, nil
}

// enter exchanges the provider's code for who the person is, and opens a login for them.
func (l *Login) enter(w http.ResponseWriter, r *http.Request, a attempt) error {
	q := r.URL.Query()
	if q.Get("error") != "" {
		return unauthenticated("the provider refused the login")
	}
	ctx := oidc.ClientContext(r.Context(), l.opts.Client)
	tok, err := l.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return unauthenticated("the provider does not accept the login; begin again")
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := l.verifier.Verify(ctx, raw)
	if err != nil || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1 {
		return unauthenticated("what the provider says cannot be trusted; begin again")
	}
	p, err := l.person(id)
	if err != nil {
		return err
	}
	secret := random(secretBytes)
	if err := l.keep(r.Context(), secret, p); err != nil {
		return fmt.Errorf("keep login: %w", err)
	}
	setCookie(w, loginCookie, secret, l.opts.Lasts)
	return nil
}

// person makes a principal of a checked ID token.
func (l *Login) person(id *oidc.IDToken) (*Principal, error) {
	var who struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	claims := map[string]json.RawMessage{}
	if err := errors.Join(id.Claims(&who), id.Claims(&claims)); err != nil {
		return nil, unauthenticated("the provider's claims cannot be read")
	}
	var groups []string
	if raw := claims[l.opts.GroupsClaim]; raw != nil {
		if err := json.Unmarshal(raw, &groups); err != nil {
			return nil, unauthenticated("the provider's claim " + l.opts.GroupsClaim + " is not a list of names")
		}
	}
	actor := personPrefix + id.Subject
	if who.Verified && who.Email != "" {
		actor = personPrefix + who.Email
	}
	i := slices.IndexFunc(l.opts.Members, func(m Membership) bool { return m.Group == "*" || slices.Contains(groups, m.Group) })
	if i < 0 {
		return nil, bide.Errorf(bide.CodeForbidden, "%s is in no group that may use this server", actor)
	}
	m := l.opts.Members[i]
	p := &Principal{Actor: actor, Roles: m.Roles, Namespace: m.Namespace, Workflows: m.Workflows, Labels: m.Labels}
	for _, g := range groups {
		p.Groups = append(p.Groups, "group:"+g)
	}
	return p, nil
}

// loginDoc is a login as it is kept.
type loginDoc struct {
	Principal Principal `json:"principal"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (l *Login) keep(ctx context.Context, secret string, p *Principal) error {
	now := l.opts.Now().UTC().Truncate(time.Microsecond)
	body, err := json.Marshal(loginDoc{*p, now.Add(l.opts.Lasts)})
	if err != nil {
		return err
	}
	_, err = l.docs.PutDocument(ctx, bide.Document{Kind: loginKind, ID: digest(secret), Body: body, UpdatedAt: now})
	return err
}

// principal returns who is logged in, or nil.
func (l *Login) principal(r *http.Request) (*Principal, error) {
	c, err := r.Cookie(loginCookie)
	if err != nil || c.Value == "" {
		return nil, nil
	}
	doc, err := l.docs.Document(r.Context(), loginKind, digest(c.Value))
	if errors.Is(err, bide.ErrNotFound) {
		return nil, unauthenticated("the login has ended; log in again")
	}
	if err != nil {
		return nil, fmt.Errorf("look for login: %w", err)
	}
	var d loginDoc
	if err := json.Unmarshal(doc.Body, &d); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "login %s: %w", doc.ID, err)
	}
	if !l.opts.Now().Before(d.ExpiresAt) {
		return nil, unauthenticated("the login has ended; log in again")
	}
	return &d.Principal, nil
}

func (l *Login) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(loginCookie); err == nil {
		doc, err := l.docs.Document(r.Context(), loginKind, digest(c.Value))
		if err == nil {
			err = l.docs.DeleteDocument(r.Context(), loginKind, doc.ID, doc.Rev)
		}
		if err != nil && !errors.Is(err, bide.ErrNotFound) {
			problem.Write(w, err)
			return
		}
	}
	setCookie(w, loginCookie, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// Run removes logins that have ended, once an hour, until ctx ends.
func (l *Login) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := l.Sweep(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Sweep removes logins that have ended.
func (l *Login) Sweep(ctx context.Context) error {
	now := l.opts.Now()
	for q := (bide.DocumentQuery{Kind: loginKind, Limit: 1000}); ; {
		page, err := l.docs.Documents(ctx, q)
		if err != nil {
			return err
		}
		for _, doc := range page.Documents {
			var d loginDoc
			if json.Unmarshal(doc.Body, &d) == nil && now.Before(d.ExpiresAt) {
				continue
			}
			if err := l.docs.DeleteDocument(ctx, loginKind, doc.ID, doc.Rev); err != nil && !errors.Is(err, bide.ErrConflict) {
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
