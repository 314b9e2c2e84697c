package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide/gateway/auth/authtest"
)

type verdict struct{ Check, Verdict, Text, Next string }

// examined runs bide doctor and returns what it finds.
func examined(t *testing.T, dir string, code int, args ...string) (out []verdict) {
	t.Helper()
	r := bide(t, dir, append([]string{"doctor", "-o", "json"}, args...)...)
	if err := json.Unmarshal(r.stdout.Bytes(), &out); err != nil || r.code != code {
		t.Fatalf("bide doctor = %d, want %d: %s%s (%v)", r.code, code, r.stdout.String(), r.stderr.String(), err)
	}
	return out
}

// finds wants a finding with its verdict, texts in it, and a way out unless all is well.
func finds(t *testing.T, all []verdict, check, is string, texts ...string) {
	t.Helper()
	var of []string
	for _, v := range all {
		if v.Verdict != "ok" && v.Next == "" {
			t.Errorf("%s finds %q and says nothing of what to do", v.Check, v.Text)
		}
		if v.Check != check {
			continue
		}
		of = append(of, v.Verdict+" "+v.Text)
		found := v.Verdict == is
		for _, text := range texts {
			found = found && strings.Contains(v.Text+" "+v.Next, text)
		}
		if found {
			return
		}
	}
	t.Errorf("%s is not %s with %q; it finds %q", check, is, texts, of)
}

func writeFile(t *testing.T, mode os.FileMode, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

// A configuration in which all is wrong: each fault is found, with the way out.
func TestDoctorFindsWhatIsWrongWithTheConfiguration(t *testing.T) {
	dir := project(t)
	certificateFor(t, dir, 1)
	if err := os.Chmod(filepath.Join(dir, "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	writeFile(t, 0o666, fmt.Sprintf(`
allow: {exec: ["*"]}
webhooks: {private: true}
models:
  providers:
    openai: {key: env:NO_SUCH_KEY}
    scripted: {file: replies.yaml}
tools:
  workspace: nowhere
  mcp: [{name: lost, command: [no-such-program]}]
serve: {tls_cert: cert.pem, tls_key: key.pem, proxies: [0.0.0.0/0], listen: %q}
login: {issuer: %q, client_id: bide, redirect_url: https://bide.example.com/auth/callback, members: [{group: "*", roles: [viewer]}]}
`, taken.Listener.Addr(), gone.URL), dir, "bide.yaml")
	writeFile(t, 0o600, "a: [{text: hi}]", dir, "replies.yaml")
	all := examined(t, dir, 1)
	finds(t, all, "configuration", "bad", "can write", "chmod go-w")
	finds(t, all, "certificate", "bad", "can read the key", "chmod go-rwx")
	finds(t, all, "certificate", "note", "ends at", "renew")
	finds(t, all, "proxies", "bad", "trusts everybody", "serve.proxies")
	finds(t, all, "exec", "note", "any program", "allow.exec")
	finds(t, all, "webhooks", "note", "this machine", "webhooks.private")
	finds(t, all, "model openai", "bad", "NO_SUCH_KEY")
	finds(t, all, "model scripted", "ok")
	finds(t, all, "workspace", "bad", "nowhere", "mkdir")
	finds(t, all, "tools of lost", "bad", "no-such-program")
	finds(t, all, "port", "note", "could not listen", "serve.listen")
	finds(t, all, "login", "bad", "people cannot log in")
	finds(t, all, "store", "note", "not there yet", "bide run")
}

// One in which all is well, on a store with a server at work.
func TestDoctorFindsThatAllIsWell(t *testing.T) {
	dir := project(t)
	provider := authtest.NewProvider(t, time.Now)
	writeFile(t, 0o600, "allow: {addresses: [127.0.0.0/8]}\nremote: {types: [resize]}\nlogin: {issuer: "+provider.URL+", client_id: bide, redirect_url: https://bide.example.com/auth/callback, members: [{group: ops, roles: [viewer]}]}\n", dir, "bide.yaml")
	wants(t, dir, 0, []string{"token", "create", "ops", "--role", "operator"})
	url, _ := serving(t, dir, "dev")
	at := strings.TrimPrefix(url, "http://")
	t.Setenv("BIDE_SERVE_LISTEN", at)
	all := examined(t, dir, 0)
	for _, check := range []string{"configuration", "login", "port", "remote workers", "store", "clock", "tokens", "set aside", "running", "due"} {
		finds(t, all, check, "ok")
	}
	finds(t, all, "port", "ok", "at work")
	for _, v := range all {
		if v.Verdict == "bad" || v.Check == "store" && v.Verdict != "ok" {
			t.Errorf("%s finds %s", v.Check, v.Text)
		}
	}
	for _, name := range []string{".bide", filepath.Join(".bide", "bide.db")} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	finds(t, examined(t, dir, 0), "store", "note", "can read", "chmod go-rwx")
	over := examined(t, dir, 0, "--server", url)
	finds(t, over, "clock", "ok", "agrees")
	finds(t, over, "token", "note", "BIDE_TOKEN")
}

// What is wrong with what a store holds is found there, and through a server.
func TestDoctorFindsWhatIsWrongInAStore(t *testing.T) {
	dir := project(t)
	wants(t, dir, 0, []string{"start", "ask"})
	all := examined(t, dir, 0)
	finds(t, all, "tokens", "note", "nobody in", "bide token create")
	wants(t, dir, 0, []string{"token", "create", "root", "--role", "admin"})
	finds(t, examined(t, dir, 0), "tokens", "note", "never ends", "bide token revoke")
	t.Setenv("BIDE_WEBHOOKS_PRIVATE", "true")
	wants(t, dir, 0, []string{"webhook", "add", "http://127.0.0.1:1/secret-path"})
	t.Setenv("BIDE_WEBHOOKS_PRIVATE", "false")
	id := strings.TrimPrefix(webhookCheck(t, dir), "webhook ")
	all = examined(t, dir, 1)
	finds(t, all, "webhook "+id, "bad", "not https", "bide webhook rm")
	for _, v := range all {
		if strings.Contains(v.Text, "secret-path") {
			t.Errorf("the address is shown: %s", v.Text)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	finds(t, examined(t, dir, 1, "--server", gone.URL), "server", "bad", "not ready")
	finds(t, examined(t, dir, 1, "--store", "postgres://127.0.0.1:1/none?connect_timeout=2"), "store", "bad", "reachable")
}

func webhookCheck(t *testing.T, dir string) string {
	t.Helper()
	for _, v := range examined(t, dir, 1) {
		if strings.HasPrefix(v.Check, "webhook ") {
			return v.Check
		}
	}
	t.Fatal("no webhook is looked at")
	return ""
}
