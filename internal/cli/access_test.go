package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide/gateway/auth/authtest"
)

// A flow's effect is carried out by a program in another language, and the run goes on with what it gives.
func TestARemoteWorkerServesAFlow(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is not installed; scripts/python does it")
	}
	dir := project(t)
	loud, err := filepath.Abs("../../examples/python-worker/loud.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BIDE_REMOTE_TYPES", "shout,divide")
	wants(t, dir, 2, []string{"run", loud, "--input", "text=hi"}, "remote workers carry out", "bide dev")
	token := wants(t, dir, 0, []string{"token", "create", "snake", "--role", "worker"})
	author := wants(t, dir, 0, []string{"token", "create", "ann", "--role", "author"})
	url, end := serving(t, dir, "serve")
	worker := exec.Command(python, "../../examples/python-worker/worker.py")
	worker.Env = append(os.Environ(), "BIDE_URL="+url, "BIDE_TOKEN="+token)
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait() // it was killed
	})
	t.Setenv("BIDE_TOKEN", author)
	wants(t, dir, 0, []string{"run", loud, "--input", "text=hi", "--server", url}, `"HI"`, "Nothing can be divided by 0", "Ledger verified")
	end()
}

func TestRemoteTypesThatCannotBeAreRefused(t *testing.T) {
	for types, want := range map[string]string{"http": "bide's own", "a b": "cannot be the type", "resize,resize": "twice"} {
		t.Setenv("BIDE_REMOTE_TYPES", types)
		wants(t, t.TempDir(), 2, []string{"dev"}, want, "remote.types")
	}
}

// certificateFor writes a certificate for this machine, and returns who trusts it.
func certificateFor(t *testing.T, dir string, serial int64) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	it := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "bide"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, it, it, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{RootCAs: pool}
}

// freePort is one that nobody listens on, and that the system gives nobody who does not ask for it: it takes those above.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		at := fmt.Sprint("127.0.0.1:", 20_000+mathrand.IntN(12_000))
		if l, err := net.Listen("tcp", at); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return at
		}
	}
	t.Fatal("no port is free")
	return ""
}

// browser keeps cookies and follows redirects, over https that trusts one certificate.
func browser(t *testing.T, trust *tls.Config) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{TLSClientConfig: trust}}
}

func fetched(t *testing.T) func(res *http.Response, err error) (int, string) {
	return func(res *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
}

// A server starts although the provider of its log-ins is down, and takes tokens.
func TestAServerStartsWhileTheProviderIsDown(t *testing.T) {
	dir := project(t)
	cfg := "login: {issuer: \"http://" + freePort(t) + "\", client_id: bide, redirect_url: \"https://bide.example.com/auth/callback\", members: [{group: ops, roles: [operator]}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "bide.yaml"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	token := wants(t, dir, 0, []string{"token", "create", "shop", "--role", "viewer"})
	url, _ := serving(t, dir, "serve")
	t.Setenv("BIDE_TOKEN", token)
	wants(t, dir, 0, []string{"ls", "--server", url})
	if code, page := fetched(t)(http.Get(url + "/auth/oidc")); code != 503 || !strings.Contains(page, "does not answer") {
		t.Errorf("a log-in while the provider is down: %d %s", code, page)
	}
}

// People sign in to a server over https: with the provider of the configuration, or with a token.
func TestPeopleSignInToAServer(t *testing.T) {
	dir, at := project(t), freePort(t)
	provider := authtest.NewProvider(t, time.Now)
	provider.Claims = map[string]any{"email": "ada@example.com", "email_verified": true, "groups": []string{"ops"}}
	trust := certificateFor(t, dir, 1)
	cfg := fmt.Sprintf("serve: {tls_cert: cert.pem, tls_key: key.pem, listen: %q}\nlogin:\n  issuer: %s\n  client_id: bide\n  client_secret: oidc\n  redirect_url: https://%s/auth/callback\n  members:\n    - {group: ops, roles: [operator]}\n", at, provider.URL, at)
	if err := os.WriteFile(filepath.Join(dir, "bide.yaml"), []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, 2, []string{"serve"}, "BIDE_SECRET_OIDC")
	t.Setenv("BIDE_SECRET_OIDC", "s")
	token := wants(t, dir, 0, []string{"token", "create", "shop", "--role", "viewer"})
	base, end := serving(t, dir, "serve", "--listen", at)
	got := fetched(t)
	b := browser(t, trust)
	if code, page := got(b.Get(base + "/auth/login?return=/v1/runs")); code != 200 || !strings.Contains(page, "oidc?return=%2fv1%2fruns") {
		t.Errorf("the page to sign in is %d %s", code, page)
	}
	if code, body := got(b.Get(base + "/auth/oidc?return=/v1/runs")); code != 200 || !strings.Contains(body, `"runs"`) {
		t.Fatalf("after the log-in: %d %s", code, body)
	}
	upload := func(b *http.Client) int {
		code, _ := got(b.Post(base+"/v1/workflows", "application/json", strings.NewReader(`{"source":"bide: 1\nflow: a\nsteps: [{say: hi}]"}`)))
		return code
	}
	code, body := got(b.Post(base+"/v1/events", "application/json", strings.NewReader(`{"scope":"session","scope_id":"s","name":"x"}`)))
	if code/100 != 2 {
		t.Errorf("an operator sends an event: %d %s", code, body)
	}
	if code := upload(b); code != 403 {
		t.Errorf("an operator publishes a flow: %d", code)
	}
	other := browser(t, trust)
	if code, body := got(other.PostForm(base+"/auth/token", url.Values{"token": {token}, "return": {"/v1/runs"}})); code != 200 || !strings.Contains(body, `"runs"`) {
		t.Fatalf("signed in with a token: %d %s", code, body)
	}
	var id struct {
		ID string `json:"token_id"`
	}
	if err := json.Unmarshal([]byte(strings.Split(wants(t, dir, 0, []string{"token", "list", "-o", "jsonl"}), "\n")[0]), &id); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, 0, []string{"token", "revoke", id.ID})
	if code, _ := got(other.Get(base + "/v1/runs")); code != 401 {
		t.Errorf("with a revoked token: %d", code)
	}
	if code, _ := got(b.Post(base+"/auth/logout", "", nil)); code != 204 {
		t.Errorf("log out: %d", code)
	}
	if code, _ := got(b.Get(base + "/v1/runs")); code != 401 {
		t.Errorf("after logging out: %d", code)
	}
	end()
}
