package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"golang.org/x/oauth2"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/store/mem"
)

// provider is an OpenID provider that lets everybody in who asks.
type provider struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	claims map[string]any
	now    func() time.Time
	asked  url.Values // of the last login
}

func newProvider(t *testing.T, now func() time.Time) *provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, now: now, claims: map[string]any{}}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}}, Algorithms: []string{"ES256"}}
	mux := http.NewServeMux()
	mux.Handle("/", known)
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		p.asked = r.URL.Query()
		back := p.asked.Get("redirect_uri") + "?" + url.Values{"code": {"c"}, "state": {p.asked.Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusSeeOther)
	})
	mux.HandleFunc("/token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	known.SetIssuer(p.URL)
	return p
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	if oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != p.asked.Get("code_challenge") || r.FormValue("code") != "c" {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	claims := map[string]any{"iss": p.URL, "sub": "4711", "aud": "bide", "nonce": p.asked.Get("nonce"), "iat": p.now().Unix(), "exp": p.now().Add(time.Minute).Unix()}
	for name, value := range p.claims {
		claims[name] = value
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	reply, err := json.Marshal(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": oidctest.SignIDToken(p.key, "k", "ES256", string(raw))})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(reply)
}

// site is a server that people log in to, and a browser that is there.
type site struct {
	*provider
	server *httptest.Server
	clock  *bidetest.Clock
	store  *mem.Store
	login  *auth.Login
}

func newSite(t *testing.T) *site {
	s := &site{clock: bidetest.NewClock(noon), store: mem.New()}
	s.provider = newProvider(t, s.clock.Now)
	mux := http.NewServeMux()
	s.server = httptest.NewTLSServer(auth.Headers(mux))
	t.Cleanup(s.server.Close)
	var err error
	s.login, err = auth.NewLogin(t.Context(), s.store, auth.LoginOptions{Issuer: s.provider.URL, ClientID: "bide", ClientSecret: "s", RedirectURL: s.server.URL + "/auth/callback",
		Now: s.clock.Now, Members: []auth.Membership{{Group: "ops", Roles: []auth.Role{auth.Approver}, Namespace: "acme"}, {Group: "all", Roles: []auth.Role{auth.Viewer}}}})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/auth/", s.login.Handler())
	mux.Handle("/", auth.New(s.store, &auth.Options{Login: s.login, Now: s.clock.Now}).Protect(whoami))
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
	s.claims = map[string]any{"email": "ada@example.com", "email_verified": true, "groups": []string{"all", "ops"}}
	b := s.browser(t)
	res, body := get(t, b, "GET", s.server.URL+"/auth/login?return=/runs")
	if res.StatusCode != 200 || body != "user:ada@example.com" || res.Request.URL.Path != "/runs" {
		t.Fatalf("after the login: %d %q at %s", res.StatusCode, body, res.Request.URL)
	}
	if !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("headers %v", res.Header)
	}
	if s.asked.Get("code_challenge_method") != "S256" || s.asked.Get("nonce") == "" || s.asked.Get("state") == "" {
		t.Errorf("the provider was asked with %v", s.asked)
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
	res, _ := get(t, c, "GET", s.server.URL+"/auth/login")
	cookies := res.Cookies()
	if len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Domain != "" || cookies[0].Path != "/" {
		t.Errorf("cookies %v", cookies)
	}
}

func TestALoginEndsByItself(t *testing.T) {
	s := newSite(t)
	s.claims = map[string]any{"groups": []string{"all"}}
	b := s.browser(t)
	if _, body := get(t, b, "GET", s.server.URL+"/auth/login"); body != "user:4711" {
		t.Fatalf("logged in as %q: an address that is not verified must not count", body)
	}
	s.clock.Advance(12 * time.Hour)
	if res, _ := get(t, b, "GET", s.server.URL+"/"); res.StatusCode != 401 {
		t.Errorf("after 12 hours: %d", res.StatusCode)
	}
	if err := s.login.Sweep(t.Context()); err != nil {
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
		s.claims = c.claims
		if res, body := get(t, s.browser(t), "GET", s.server.URL+"/auth/login"); res.StatusCode != c.status {
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
		s.claims = map[string]any{"groups": []string{"all"}}
		res, _ := get(t, s.browser(t), "GET", s.server.URL+"/auth/login?return="+url.QueryEscape(to))
		if got := res.Request.URL.String(); got != s.server.URL+"/" {
			t.Errorf("return=%s leads to %s", to, got)
		}
	}
}

func TestALoginThatIsMissingSomethingIsRefused(t *testing.T) {
	_, err := auth.NewLogin(t.Context(), mem.New(), auth.LoginOptions{Issuer: "https://example.com"})
	if !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("err = %v", err)
	}
}
