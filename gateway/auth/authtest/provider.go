package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"golang.org/x/oauth2"
)

// Provider is an OpenID provider on this machine that lets everybody in who asks.
type Provider struct {
	*httptest.Server
	Claims map[string]any // what it says of people, besides what must be said
	Asked  url.Values     // what it was asked with at the last login

	key *ecdsa.PrivateKey
	now func() time.Time
}

// NewProvider starts a provider, which ends with the test. It knows the client "bide" and takes any secret.
func NewProvider(t *testing.T, now func() time.Time) *Provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{key: key, now: now, Claims: map[string]any{}}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}}, Algorithms: []string{"ES256"}}
	mux := http.NewServeMux()
	mux.Handle("/", known)
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		p.Asked = r.URL.Query()
		back := p.Asked.Get("redirect_uri") + "?" + url.Values{"code": {"c"}, "state": {p.Asked.Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusSeeOther)
	})
	mux.HandleFunc("/token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	known.SetIssuer(p.URL)
	return p
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != p.Asked.Get("code_challenge") || r.FormValue("code") != "c" {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	claims := map[string]any{"iss": p.URL, "sub": "4711", "aud": "bide", "nonce": p.Asked.Get("nonce"), "iat": p.now().Unix(), "exp": p.now().Add(time.Minute).Unix()}
	for name, value := range p.Claims {
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
