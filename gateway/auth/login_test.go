package auth_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/auth/authtest"
	"github.com/bide-dev/bide/store/mem"
)

// site is a server that people log in to, and a browser that is there.
type site struct {
	*authtest.Provider
	server   *httptest.Server
	clock    *bidetest.Clock
	store    *mem.Store
	sessions *auth.Sessions
	guard    *auth.Guard
	down     atomic.Bool // the provider does not answer the server
}

// RoundTrip carries what the server asks the provider.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.down.Load() {
		return nil, errors.New("connection refused")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func newSite(t *testing.T) *site {
	s := &site{clock: bidetest.NewClock(noon), store: mem.New()}
	s.Provider = authtest.NewProvider(t, s.clock.Now)
	mux := http.NewServeMux()
	s.server = httptest.NewTLSServer(auth.Headers(mux))
	t.Cleanup(s.server.Close)
	s.sessions = auth.NewSessions(s.store, &auth.SessionOptions{Now: s.clock.Now})
	login, err := auth.NewLogin(s.sessions, auth.LoginOptions{Issuer: s.Provider.URL, ClientID: "bide", ClientSecret: "s", RedirectURL: s.server.URL + "/auth/callback", Client: &http.Client{Transport: s},
		Members: []auth.Membership{{Group: "ops", Roles: []auth.Role{auth.Approver}, Namespace: "acme"}, {Group: "all", Roles: []auth.Role{auth.Viewer}}}})
	if err != nil {
		t.Fatal(err)
	}
	s.guard = auth.New(s.store, &auth.Options{Sessions: s.sessions, Now: s.clock.Now})
	mux.Handle("/auth/", s.guard.SignIn(login))
	mux.Handle("/", s.guard.Protect(whoami))
	return s
}

// browser keeps cookies and follows redirects.
func (s *site) browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: s.server.Client().Transport, Jar: jar}
}

func get(t *testing.T, c *http.Client, method, at string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestAPersonLogsInStaysAndLeaves(t *testing.T) {
	s := newSite(t)
	s.Claims = map[string]any{"email": "ada@example.com", "email_verified": true, "groups": []string{"all", "ops"}}
	b := s.browser(t)
	res, body := get(t, b, "GET", s.server.URL+"/auth/oidc?return=/runs")
	if res.StatusCode != 200 || body != "user:ada@example.com" || res.Request.URL.Path != "/runs" {
		t.Fatalf("after the login: %d %q at %s", res.StatusCode, body, res.Request.URL)
	}
	if !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("headers %v", res.Header)
	}
	if s.Asked.Get("code_challenge_method") != "S256" || s.Asked.Get("nonce") == "" || s.Asked.Get("state") == "" {
		t.Errorf("the provider was asked with %v", s.Asked)
	}
	at, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	secret := ""
	for _, c := range b.Jar.Cookies(at) {
		if c.Name == "__Host-bide" {
			secret = c.Value
		}
	}
	page := bide.Must(s.store.Documents(t.Context(), bide.DocumentQuery{Kind: "login"}))
	if secret == "" || len(page.Documents) != 1 || strings.Contains(page.Documents[0].ID+string(page.Documents[0].Body), secret) {
		t.Errorf("cookie %q, kept %+v", secret, page.Documents)
	}
	if res, _ := get(t, b, "POST", s.server.URL+"/runs", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("a form on another page: %d", res.StatusCode)
	}
	if res, _ := get(t, b, "POST", s.server.URL+"/auth/logout", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("another page logs out: %d", res.StatusCode)
	}
	if res, _ := get(t, b, "POST", s.server.URL+"/auth/logout"); res.StatusCode != 204 {
		t.Errorf("logout: %d", res.StatusCode)
	}
	if res, _ := get(t, b, "GET", s.server.URL+"/runs", "Cookie", "__Host-bide="+secret); res.StatusCode != 401 {
		t.Errorf("the cookie after the logout: %d", res.StatusCode)
	}
}

func TestCookiesAreForThisHostAndNotForScripts(t *testing.T) {
	s := newSite(t)
	c := s.browser(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, _ := get(t, c, "GET", s.server.URL+"/auth/oidc")
	cookies := res.Cookies()
	if len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Domain != "" || cookies[0].Path != "/" {
		t.Errorf("cookies %v", cookies)
	}
}

// A server starts while its provider is down; tokens count, people are told, and can log in as soon as it is up.
func TestTheProviderIsAskedWhenSomebodyLogsIn(t *testing.T) {
	s := newSite(t)
	s.Claims = map[string]any{"groups": []string{"all"}}
	text, _, err := s.guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "shop", Roles: []auth.Role{auth.Viewer}}, "")
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser(t)
	s.down.Store(true)
	for range 2 {
		res, page := get(t, b, "GET", s.server.URL+"/auth/oidc?return=/runs")
		if res.StatusCode != 503 || !strings.Contains(page, "does not answer") || !strings.Contains(page, `href="oidc?return=%2fruns"`) || !strings.Contains(page, `action="token"`) {
			t.Errorf("while the provider is down: %d %s", res.StatusCode, page)
		}
	}
	if res, body := get(t, b, "GET", s.server.URL+"/runs", "Authorization", "Bearer "+text); res.StatusCode != 200 || body != "token:shop" {
		t.Errorf("with a token: %d %s", res.StatusCode, body)
	}
	s.down.Store(false)
	if res, body := get(t, b, "GET", s.server.URL+"/auth/oidc?return=/runs"); res.StatusCode != 200 || body != "user:4711" {
		t.Errorf("when it is up again: %d %s", res.StatusCode, body)
	}
}

func TestALoginEndsByItself(t *testing.T) {
	s := newSite(t)
	s.Claims = map[string]any{"groups": []string{"all"}}
	b := s.browser(t)
	if _, body := get(t, b, "GET", s.server.URL+"/auth/oidc"); body != "user:4711" {
		t.Fatalf("logged in as %q: an address that is not verified must not count", body)
	}
	s.clock.Advance(12 * time.Hour)
	if res, _ := get(t, b, "GET", s.server.URL+"/"); res.StatusCode != 401 {
		t.Errorf("after 12 hours: %d", res.StatusCode)
	}
	if err := s.sessions.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page := bide.Must(s.store.Documents(t.Context(), bide.DocumentQuery{Kind: "login"})); len(page.Documents) != 0 {
		t.Errorf("kept %+v", page.Documents)
	}
}

func TestLoginsThatCannotBeTrustedAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		status int
	}{
		"no group":            {map[string]any{"groups": []string{"guests"}}, 403},
		"groups of no sense":  {map[string]any{"groups": 5}, 401},
		"for somebody else":   {map[string]any{"aud": "another"}, 401},
		"of another login":    {map[string]any{"nonce": "x"}, 401},
		"of another provider": {map[string]any{"iss": "https://evil.example"}, 401},
		"too old":             {map[string]any{"exp": noon.Add(-time.Minute).Unix()}, 401},
	} {
		s := newSite(t)
		s.Claims = c.claims
		if res, body := get(t, s.browser(t), "GET", s.server.URL+"/auth/oidc"); res.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, c.status)
		}
	}
	s := newSite(t)
	if res, _ := get(t, s.browser(t), "GET", s.server.URL+"/auth/callback?code=c&state=x"); res.StatusCode != 401 {
		t.Errorf("a callback that no login began: %d", res.StatusCode)
	}
}

func TestALoginNeverLeadsElsewhere(t *testing.T) {
	for _, to := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "javascript:alert(1)"} {
		s := newSite(t)
		s.Claims = map[string]any{"groups": []string{"all"}}
		res, _ := get(t, s.browser(t), "GET", s.server.URL+"/auth/oidc?return="+url.QueryEscape(to))
		if got := res.Request.URL.String(); got != s.server.URL+"/" {
			t.Errorf("return=%s leads to %s", to, got)
		}
	}
}

func TestALoginThatCannotWorkIsRefusedWithEveryFault(t *testing.T) {
	_, err := auth.NewLogin(auth.NewSessions(mem.New(), nil), auth.LoginOptions{Issuer: "http://example.com", RedirectURL: "https://bide.example.com/back",
		Members: []auth.Membership{{Group: "ops", Roles: []auth.Role{"king"}, Namespace: "A"}, {}}})
	var e *bide.Error
	if !errors.As(err, &e) || e.Code != bide.CodeInvalidInput {
		t.Fatalf("err = %v", err)
	}
	var paths []string
	for _, f := range e.Faults {
		paths = append(paths, f.Path)
	}
	if got := strings.Join(paths, " "); got != "/client_id /issuer /members/0/namespace /members/0/roles /members/1/group /members/1/roles /redirect_url" {
		t.Errorf("faults at %s", got)
	}
}

// form posts a form as a browser does.
func form(t *testing.T, c *http.Client, at string, values url.Values, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, at, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestATokenSignsABrowserInUntilItIsRevoked(t *testing.T) {
	s := newSite(t)
	text, tok, err := s.guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "shop", Roles: []auth.Role{auth.Viewer}}, "")
	if err != nil {
		t.Fatal(err)
	}
	b := s.browser(t)
	_, page := get(t, b, "GET", s.server.URL+"/auth/login?return=/runs%22%3E%3Cscript")
	at, err := url.Parse(s.Provider.URL)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, `action="token"`) || !strings.Contains(page, "Sign in with "+at.Host) || strings.Contains(page, "<script") {
		t.Errorf("the page is %s", page)
	}
	if res, body := form(t, b, s.server.URL+"/auth/token", url.Values{"token": {text + "x"}, "return": {"/runs"}}); res.StatusCode != 401 || !strings.Contains(body, "not valid") || !strings.Contains(body, `value="/runs"`) || strings.Contains(body, text) {
		t.Errorf("another token: %d %s", res.StatusCode, body)
	}
	if res, _ := form(t, b, s.server.URL+"/auth/token", url.Values{"token": {text}}, "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("a form on another page: %d", res.StatusCode)
	}
	if res, _ := form(t, b, s.server.URL+"/auth/token", url.Values{"token": {strings.Repeat("x", 5<<10)}}); res.StatusCode != 413 {
		t.Errorf("a large form: %d", res.StatusCode)
	}
	res, body := form(t, b, s.server.URL+"/auth/token", url.Values{"token": {text}, "return": {"/runs"}}, "Sec-Fetch-Site", "same-origin")
	if res.StatusCode != 200 || body != "token:shop" || res.Request.URL.Path != "/runs" {
		t.Fatalf("signed in: %d %q at %s", res.StatusCode, body, res.Request.URL)
	}
	for _, doc := range bide.Must(s.store.Documents(t.Context(), bide.DocumentQuery{Kind: "login"})).Documents {
		if strings.Contains(string(doc.Body), text) {
			t.Errorf("the token is kept: %s", doc.Body)
		}
	}
	if _, err := s.guard.Tokens().Revoke(t.Context(), "", tok.ID, ""); err != nil {
		t.Fatal(err)
	}
	if res, _ := get(t, b, "GET", s.server.URL+"/runs"); res.StatusCode != 401 {
		t.Errorf("with a revoked token: %d", res.StatusCode)
	}
}

func TestWhoeverGuessesTokensInAFormIsSlowedDown(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	for i := range 6 {
		res, _ := form(t, b, s.server.URL+"/auth/token", url.Values{"token": {"guess"}})
		if want := map[bool]int{false: 401, true: 429}[i == 5]; res.StatusCode != want {
			t.Errorf("guess %d: %d, want %d", i, res.StatusCode, want)
		}
	}
}
