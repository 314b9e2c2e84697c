package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/auth/authtest"
	"github.com/bide-dev/bide/store/mem"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// whoami answers with the actor.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(auth.From(r.Context()).Actor))
})

func request(method, target, token, from string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.RemoteAddr = from
	return r
}

func answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestATokenIsShownOnceAndKeptAsAHash(t *testing.T) {
	store, clock := mem.New(), bidetest.NewClock(noon)
	tokens := auth.NewTokens(store, clock.Now)
	spec := auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Operator}, Namespace: "acme", Workflows: []string{"refund"}, ExpiresAt: noon.Add(time.Hour)}
	text, tok, err := tokens.Create(t.Context(), spec, "user:a")
	if err != nil {
		t.Fatal(err)
	}
	page := bide.Must(store.Documents(t.Context(), bide.DocumentQuery{Kind: "token"}))
	secret := text[strings.LastIndex(text, "_")+1:]
	if len(secret) < 50 || len(page.Documents) != 1 || strings.Contains(string(page.Documents[0].Body), secret) {
		t.Fatalf("the store has %s", page.Documents[0].Body)
	}
	p, err := tokens.Verify(t.Context(), text)
	want := &auth.Principal{Actor: "token:ci", Roles: spec.Roles, Namespace: "acme", Workflows: spec.Workflows}
	if diff := cmp.Diff(want, p); diff != "" || err != nil {
		t.Errorf("Verify: %v, %s", err, diff)
	}
	clock.Advance(30 * time.Second)
	bide.Must(tokens.Verify(t.Context(), text))
	if list := bide.Must(tokens.List(t.Context(), "acme")); len(list) != 1 || !list[0].LastUsedAt.Equal(noon) || list[0].ID != tok.ID || list[0].CreatedBy != "user:a" {
		t.Errorf("listed %+v", list)
	}
	if list := bide.Must(tokens.List(t.Context(), "other")); len(list) != 0 {
		t.Errorf("another namespace lists %+v", list)
	}
	other := text[:len(text)-1] + map[bool]string{true: "b", false: "a"}[text[len(text)-1] == 'a']
	for name, bad := range map[string]string{"none": "", "other secret": other, "cut": text[:20], "no text": "bide_\x00\xff" + text[7:], "unknown id": strings.Replace(text, tok.ID, strings.Repeat("a", len(tok.ID)), 1)} {
		if _, err := tokens.Verify(t.Context(), bad); !errors.Is(err, auth.ErrBadToken) {
			t.Errorf("%s: %v, want ErrBadToken", name, err)
		}
	}
	clock.Set(noon.Add(time.Hour))
	if _, err := tokens.Verify(t.Context(), text); !errors.Is(err, auth.ErrBadToken) {
		t.Errorf("expired: %v", err)
	}
}

func TestARevokedTokenEndsAtOnceAndOnlyForItsNamespace(t *testing.T) {
	tokens := auth.NewTokens(mem.New(), nil)
	text, tok, err := tokens.Create(t.Context(), auth.TokenSpec{Name: "x", Roles: []auth.Role{auth.Viewer}, Namespace: "acme"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Revoke(t.Context(), "other", tok.ID, "user:b"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("revoke from another namespace: %v", err)
	}
	bide.Must(tokens.Verify(t.Context(), text))
	if got, err := tokens.Revoke(t.Context(), "acme", tok.ID, "user:a"); err != nil || got.RevokedBy != "user:a" {
		t.Errorf("revoke: %+v, %v", got, err)
	}
	if got, err := tokens.Revoke(t.Context(), "", tok.ID, "user:c"); err != nil || got.RevokedBy != "user:a" {
		t.Errorf("revoke again: %+v, %v", got, err)
	}
	if _, err := tokens.Verify(t.Context(), text); !errors.Is(err, auth.ErrBadToken) {
		t.Errorf("after it was revoked: %v", err)
	}
}

func TestATokenThatMakesNoSenseIsRefusedWithEveryFault(t *testing.T) {
	_, _, err := auth.NewTokens(mem.New(), nil).Create(t.Context(), auth.TokenSpec{Actor: "user:boss", Roles: []auth.Role{"king"}, Namespace: "A",
		Labels: map[string]string{"bide.x": "y"}, ExpiresAt: noon.AddDate(-10, 0, 0)}, "")
	var e *bide.Error
	if !errors.As(err, &e) || e.Code != bide.CodeInvalidInput || len(e.Faults) != 6 {
		t.Errorf("err = %v", err)
	}
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	limited := &auth.Principal{Actor: "token:a", Roles: []auth.Role{auth.Administrator}, Namespace: "acme", Workflows: []string{"w"}, Labels: map[string]string{"l": "1"}}
	good := auth.TokenSpec{Name: "x", Roles: []auth.Role{auth.Viewer}, Namespace: "acme", Workflows: []string{"w"}, Labels: map[string]string{"l": "1", "m": "2"}}
	if err := limited.MayGive(&good); err != nil {
		t.Errorf("a narrower token: %v", err)
	}
	for name, change := range map[string]func(*auth.TokenSpec){
		"namespace":     func(s *auth.TokenSpec) { s.Namespace = "" },
		"workflow":      func(s *auth.TokenSpec) { s.Workflows = []string{"v"} },
		"all workflows": func(s *auth.TokenSpec) { s.Workflows = nil },
		"label":         func(s *auth.TokenSpec) { s.Labels = nil },
	} {
		spec := good
		change(&spec)
		if err := limited.MayGive(&spec); !errors.Is(err, bide.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&auth.Principal{Roles: []auth.Role{auth.Operator}}).MayGive(&auth.TokenSpec{Roles: []auth.Role{auth.Approver}}); !errors.Is(err, bide.ErrForbidden) {
		t.Errorf("a right that it has not: %v", err)
	}
	root := &auth.Principal{Actor: "token:root", Roles: []auth.Role{auth.Administrator}}
	if err := root.MayGive(&good); err != nil {
		t.Errorf("the default namespace for another: %v", err)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	store, clock := mem.New(), bidetest.NewClock(noon)
	g := auth.New(store, &auth.Options{Now: clock.Now, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	text, _, err := g.Tokens().Create(t.Context(), auth.TokenSpec{Name: "a", Roles: []auth.Role{auth.Viewer}}, "")
	if err != nil {
		t.Fatal(err)
	}
	wrong := text[:len(text)-8] + "22222222"
	h := g.Protect(whoami)
	const owner, thief, third = "192.0.2.1:1", "198.51.100.7:9", "203.0.113.5:2"
	if rec := answer(h, request("GET", "/", text, owner)); rec.Code != 200 {
		t.Fatalf("the owner: %d %s", rec.Code, rec.Body)
	}
	for i := range 5 {
		if rec := answer(h, request("GET", "/", wrong, thief)); rec.Code != http.StatusUnauthorized {
			t.Fatalf("attempt %d: %d", i+1, rec.Code)
		}
	}
	for name, c := range map[string]struct {
		token, from string
		status      int
	}{
		"the thief's next attempt":                     {wrong, thief, 429},
		"the right token from there":                   {text, thief, 429},
		"the token from an address that never used it": {wrong, third, 429},
		"the owner": {text, owner, 200},
	} {
		rec := answer(h, request("GET", "/", c.token, c.from))
		if rec.Code != c.status || c.status == 429 && rec.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q", name, rec.Code, rec.Header().Get("Retry-After"))
		}
	}
	clock.Advance(time.Second)
	if rec := answer(h, request("GET", "/", wrong, thief)); rec.Code != 401 {
		t.Errorf("after the pause: %d", rec.Code)
	}
	if rec := answer(h, request("GET", "/", wrong, thief)); rec.Header().Get("Retry-After") != "2" {
		t.Errorf("the next pause is %q, want twice as long", rec.Header().Get("Retry-After"))
	}
	behind := request("GET", "/", wrong, "10.0.0.1:4")
	behind.Header.Set("X-Forwarded-For", "192.0.2.1, 198.51.100.7")
	if rec := answer(h, behind); rec.Code != 429 {
		t.Errorf("the thief behind a trusted proxy: %d", rec.Code)
	}
	lies := request("GET", "/", text, owner)
	lies.Header.Set("X-Forwarded-For", "198.51.100.7")
	if rec := answer(h, lies); rec.Code != 200 {
		t.Errorf("what a stranger says of addresses counts: %d", rec.Code)
	}
}

func TestOnePrincipalCannotTakeAllTheServersTime(t *testing.T) {
	clock := bidetest.NewClock(noon)
	g := auth.New(mem.New(), &auth.Options{Now: clock.Now, Rate: 2, Burst: 3})
	one, _, _ := g.Tokens().Create(t.Context(), auth.TokenSpec{Name: "one", Roles: []auth.Role{auth.Viewer}}, "")
	two, _, _ := g.Tokens().Create(t.Context(), auth.TokenSpec{Name: "two", Roles: []auth.Role{auth.Viewer}}, "")
	h := g.Protect(whoami)
	for i, want := range []int{200, 200, 200, 429} {
		if rec := answer(h, request("GET", "/", one, "192.0.2.1:1")); rec.Code != want {
			t.Errorf("request %d = %d, want %d", i+1, rec.Code, want)
		}
	}
	if rec := answer(h, request("GET", "/", two, "192.0.2.1:1")); rec.Code != 200 {
		t.Errorf("another principal: %d", rec.Code)
	}
	clock.Advance(time.Second)
	if rec := answer(h, request("GET", "/", one, "192.0.2.1:1")); rec.Code != 200 {
		t.Errorf("a second later: %d", rec.Code)
	}
}

func TestAnonymousRequestsCountOnlyOnThisMachine(t *testing.T) {
	anyone := &auth.Principal{Actor: "anonymous", Roles: []auth.Role{auth.Administrator}}
	dev := auth.New(mem.New(), &auth.Options{Anonymous: anyone}).Protect(whoami)
	strict := auth.New(mem.New(), nil).Protect(whoami)
	for _, c := range []struct {
		name, url, from, header string
		dev                     int
	}{
		{"by address", "http://127.0.0.1:8080/", "127.0.0.1:5", "", 200},
		{"by name", "http://localhost:8080/", "127.0.0.1:5", "", 200},
		{"IPv6", "http://[::1]:8080/", "[::1]:5", "", 200},
		{"from outside", "http://localhost/", "192.0.2.1:5", "", 401},
		{"a name that was made to resolve here", "http://evil.example/", "127.0.0.1:5", "", 401},
		{"through a proxy", "http://localhost/", "127.0.0.1:5", "X-Forwarded-For", 401},
	} {
		r := request("GET", c.url, "", c.from)
		if c.header != "" {
			r.Header.Set(c.header, "192.0.2.1")
		}
		if rec := answer(dev, r); rec.Code != c.dev {
			t.Errorf("dev, %s: %d, want %d", c.name, rec.Code, c.dev)
		}
		if rec := answer(strict, r); rec.Code != 401 {
			t.Errorf("serve, %s: %d, want 401", c.name, rec.Code)
		}
	}
	page := request("POST", "http://localhost/", "", "127.0.0.1:5")
	page.Header.Set("Sec-Fetch-Site", "cross-site")
	if rec := answer(dev, page); rec.Code != 403 {
		t.Errorf("a page of another origin changes something: %d", rec.Code)
	}
	basic := request("GET", "http://localhost/", "", "127.0.0.1:5")
	basic.Header.Set("Authorization", "Basic eDp5")
	if rec := answer(dev, basic); rec.Code != 401 {
		t.Errorf("credentials of another kind: %d", rec.Code)
	}
}

// things is a small server: what it knows belongs to the namespace authtest.Own.
func things(g *auth.Guard) http.Handler {
	mux := http.NewServeMux()
	for path, right := range map[string]auth.Right{"/view": auth.View, "/decide": auth.Decide, "/admin": auth.Admin} {
		mux.Handle(path, auth.Need(right, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if auth.From(r.Context()).Namespace != authtest.Own && path != "/admin" {
				w.WriteHeader(http.StatusNotFound)
			}
		})))
	}
	return g.Protect(mux)
}

func TestEveryOperationIsTriedByEveryRole(t *testing.T) {
	g := auth.New(mem.New(), nil)
	h := things(g)
	authtest.Matrix(t, []authtest.Operation{
		{Name: "/view", Right: auth.View, OfNamespace: true},
		{Name: "/decide", Right: auth.Decide, OfNamespace: true},
		{Name: "/admin", Right: auth.Admin},
	}, func(t *testing.T, op authtest.Operation, as *auth.Principal) int {
		token := ""
		if as != nil {
			var err error
			spec := auth.TokenSpec{Name: "x", Actor: as.Actor, Roles: as.Roles, Namespace: as.Namespace}
			if token, _, err = g.Tokens().Create(context.Background(), spec, ""); err != nil {
				t.Fatal(err)
			}
		}
		return answer(h, request("GET", op.Name, token, "192.0.2.1:1")).Code
	})
}
