package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
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
	Issuer       string `json:"issuer"` // the provider's URL
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"-"`
	// RedirectURL is this server's /auth/callback, as the browser reaches it.
	RedirectURL string `json:"redirect_url"`
	// Scopes asked for besides openid. Default to profile, email and groups.
	Scopes []string `json:"scopes,omitempty"`
	// GroupsClaim is the claim that lists a person's groups. Defaults to "groups".
	GroupsClaim string `json:"groups_claim,omitempty"`
	// Members say who may do what: the first that fits decides. Who fits none is refused.
	Members []Membership `json:"members"`
	// Client makes the requests to the provider. Defaults to one that gives up after 30s.
	Client *http.Client `json:"-"`
	// Logger is told when the provider does not answer. Defaults to none.
	Logger *slog.Logger `json:"-"`
}

// Login lets people log in with a provider: it begins their sessions. Guard.SignIn serves it.
type Login struct {
	sessions *Sessions
	opts     LoginOptions

	asking   chan struct{} // holds a token while somebody asks the provider; it guards what follows
	provider *provider     // nil until it has answered
}

// provider is what is known of the provider once it has answered.
type provider struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// loginTries is how long a person has at the provider.
const loginTries = 10 * time.Minute

// discoverTime is how long the provider has to say how it is configured.
const discoverTime = 10 * time.Second

// NewLogin returns a login. The provider is asked for its configuration when somebody first logs in, and again
// until it answers; Discover does so before. It fails with ErrInvalidInput when an option is missing.
func NewLogin(sessions *Sessions, opts LoginOptions) (*Login, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if opts.Scopes == nil {
		opts.Scopes = []string{"profile", "email", "groups"}
	}
	if opts.GroupsClaim == "" {
		opts.GroupsClaim = "groups"
	}
	if opts.Client == nil {
		opts.Client = &http.Client{Timeout: 30 * time.Second}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Login{sessions: sessions, opts: opts, asking: make(chan struct{}, 1)}, nil
}

// Discover asks the provider for its configuration, unless it has answered before. It fails when the provider
// does not answer within 10s, or not with one.
func (l *Login) Discover(ctx context.Context) error {
	_, err := l.discover(ctx)
	return err
}

func (l *Login) discover(ctx context.Context) (*provider, error) {
	ctx, stop := context.WithTimeout(ctx, discoverTime)
	defer stop()
	select {
	case l.asking <- struct{}{}:
		defer func() { <-l.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if l.provider != nil {
		return l.provider, nil
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, l.opts.Client), l.opts.Issuer)
	if err != nil {
		return nil, fmt.Errorf("configuration of the provider %s: %w", l.opts.Issuer, err)
	}
	l.provider = &provider{
		oauth: oauth2.Config{ClientID: l.opts.ClientID, ClientSecret: l.opts.ClientSecret, RedirectURL: l.opts.RedirectURL,
			Endpoint: found.Endpoint(), Scopes: append([]string{oidc.ScopeOpenID}, l.opts.Scopes...)},
		verifier: found.Verifier(&oidc.Config{ClientID: l.opts.ClientID, Now: l.sessions.opts.Now})}
	return l.provider, nil
}

// reach returns the provider, or shows the page to sign in with why that does not work now.
func (l *Login) reach(w http.ResponseWriter, r *http.Request, to string) *provider {
	p, err := l.discover(r.Context())
	if err != nil {
		l.opts.Logger.WarnContext(r.Context(), "the provider of logins does not answer", "issuer", l.opts.Issuer, "err", err)
		showSignIn(w, http.StatusServiceUnavailable, signIn{Provider: l.name(), Return: to,
			Fault: l.name() + " does not answer, so nobody can sign in with it at the moment. Try again in a while, or sign in with a token."})
	}
	return p
}

// Check fails with ErrInvalidInput, listing every fault, when people cannot log in with the options.
func (o *LoginOptions) Check() error {
	var faults []bide.Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	for path, value := range map[string]string{"/issuer": o.Issuer, "/redirect_url": o.RedirectURL} {
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			add(path, "%q is no address that begins with https:// (or http:// on this machine)", value)
		}
	}
	if u, err := url.Parse(o.RedirectURL); err == nil && u.Host != "" && u.Path != "/auth/callback" {
		add("/redirect_url", "%q does not end with /auth/callback, the page that people come back to", o.RedirectURL)
	}
	if o.ClientID == "" {
		add("/client_id", "is empty")
	}
	if len(o.Members) == 0 {
		add("/members", "there are none, so nobody could log in")
	}
	for i, m := range o.Members {
		at := fmt.Sprintf("/members/%d", i)
		if m.Group == "" {
			add(at+"/group", "is empty; * is everybody")
		}
		if len(m.Roles) == 0 {
			add(at+"/roles", "there are none; give some of %v", Roles())
		}
		for _, r := range m.Roles {
			if !slices.Contains(Roles(), r) {
				add(at+"/roles", "%q is none of %v", r, Roles())
			}
		}
		if err := CheckNamespace(m.Namespace); err != nil {
			add(at+"/namespace", "%v", err)
		}
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b bide.Fault) int { return strings.Compare(a.Path, b.Path) })
		return &bide.Error{Code: bide.CodeInvalidInput, Message: "people cannot log in like this", Faults: faults}
	}
	return nil
}

func loopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.IsLoopback()
}

// name is what people know the provider by.
func (l *Login) name() string {
	u, err := url.Parse(l.opts.Issuer)
	if err != nil {
		return l.opts.Issuer
	}
	return u.Host
}

// attempt is what the browser keeps between leaving for the provider and coming back.
type attempt struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // PKCE (RFC 7636)
	Return   string `json:"r"`
}

func (l *Login) begin(w http.ResponseWriter, r *http.Request) {
	p := l.reach(w, r, here(r.URL.Query().Get("return")))
	if p == nil {
		return
	}
	a := attempt{State: random(secretBytes), Nonce: random(secretBytes), Verifier: oauth2.GenerateVerifier(), Return: here(r.URL.Query().Get("return"))}
	raw, err := json.Marshal(a)
	if err != nil {
		problem.Write(w, err)
		return
	}
	setCookie(w, stateCookie, base64.RawURLEncoding.EncodeToString(raw), loginTries)
	http.Redirect(w, r, p.oauth.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), http.StatusSeeOther)
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
		p := l.reach(w, r, a.Return)
		if p == nil {
			return
		}
		err = l.enter(w, r, p, a)
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
func (l *Login) enter(w http.ResponseWriter, r *http.Request, p *provider, a attempt) error {
	q := r.URL.Query()
	if q.Get("error") != "" {
		return unauthenticated("the provider refused the login")
	}
	ctx := oidc.ClientContext(r.Context(), l.opts.Client)
	tok, err := p.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return unauthenticated("the provider does not accept the login; begin again")
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1 {
		return unauthenticated("what the provider says cannot be trusted; begin again")
	}
	who, err := l.person(id)
	if err != nil {
		return err
	}
	return l.sessions.begin(r.Context(), w, session{Principal: who})
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
