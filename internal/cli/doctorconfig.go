package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/mcp"
)

// files looks at the configuration, and who may read and write what it names.
func (x *examiner) files() {
	file, project := x.cfg.project.file, x.cfg.project
	shown := file
	if file == "" {
		shown = "defaults only"
	}
	x.add("configuration", verdictOK, "", "%s; project %s", shown, project.root)
	if file != "" {
		x.private("configuration", file, strings.Contains(x.cfg.get("store"), "@") && strings.HasPrefix(x.cfg.values["store"].from, file))
	}
	if len(x.cfg.strange) > 0 {
		x.add("environment", verdictNote, "bide help config", "no settings, and passed over: %s", strings.Join(x.cfg.strange, ", "))
	}
	for _, scheme := range []string{"sqlite:", "file:"} {
		if path, ok := strings.CutPrefix(x.cfg.get("store"), scheme); ok {
			x.private("store", path, true)
		}
	}
}

// private complains of a file that others may write, or that is secret and that others may read. One that is not there is nobody's.
func (x *examiner) private(check, path string, secret bool) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		x.add(check, verdictBad, "", "%v", err)
		return
	}
	mode := info.Mode().Perm()
	if folder, err := os.Stat(filepath.Dir(path)); err == nil && folder.Mode().Perm()&0o011 == 0 {
		mode &^= 0o077 // nobody else gets there
	}
	switch {
	case mode&0o022 != 0:
		x.add(check, verdictBad, "chmod go-w "+path, "others on this machine can write %s (%s)", path, mode)
	case secret && mode&0o044 != 0:
		x.add(check, verdictNote, "chmod go-rwx "+path, "others on this machine can read %s (%s), and what is secret in it", path, mode)
	}
}

// checkpoints looks whether somebody signs the ledgers.
func (x *examiner) checkpoints() {
	switch c, err := checkpoints(x.cfg); {
	case err != nil:
		p := explain(err)
		x.add("checkpoints", verdictBad, p.next, "%s", p.Error())
	case c == nil:
		x.add("checkpoints", verdictNote, "bide key NAME --private FILE, and checkpoint.key", "nobody signs the ledgers: who can write to the store can rewrite them")
	default:
		x.add("checkpoints", verdictOK, "", "signed by %s, every %s and at the end of runs", ledger.KeyName(c.Signers[0]), c.Every)
	}
}

func (x *examiner) flows() {
	lib := newLibrary(x.cfg)
	for _, name := range lib.names() {
		if err := lib.check(name); err != nil {
			x.add("flow "+name, verdictBad, "bide flow lint "+name, "%s", explain(err).Error())
		} else {
			x.add("flow "+name, verdictOK, "", "%s", lib.path(name))
		}
	}
}

// soon is how long before its end a certificate is told of.
const soon = 21 * 24 * time.Hour

func (x *examiner) certificate() {
	cert, key := x.cfg.path("serve.tls_cert", x.cfg.get("serve.tls_cert")), x.cfg.path("serve.tls_key", x.cfg.get("serve.tls_key"))
	if cert == "" && key == "" {
		return
	}
	const check = "certificate"
	if cert == "" || key == "" {
		x.add(check, verdictBad, "bide help config", "serve.tls_cert and serve.tls_key go together, and one of them is missing")
		return
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		x.add(check, verdictBad, "bide help config", "the certificate cannot be used: %v", err)
		return
	}
	if info, err := os.Stat(key); err == nil && info.Mode().Perm()&0o077 != 0 {
		x.add(check, verdictBad, "chmod go-rwx "+key, "others on this machine can read the key %s (%s)", key, info.Mode().Perm())
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	switch {
	case err != nil:
		x.add(check, verdictBad, "", "the certificate cannot be read: %v", err)
	case x.now.Before(leaf.NotBefore):
		x.add(check, verdictBad, "", "%s counts from %s on only; is the clock right?", cert, leaf.NotBefore.UTC().Format(time.RFC3339))
	case x.now.After(leaf.NotAfter):
		x.add(check, verdictBad, "renew it; bide serve reads it again by itself", "%s ended at %s", cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	case leaf.NotAfter.Sub(x.now) < soon:
		x.add(check, verdictNote, "renew it; bide serve reads it again by itself", "%s ends at %s", cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	default:
		x.add(check, verdictOK, "", "%s, until %s", cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}

// proxies looks at who is believed to say where requests come from, and who may be reached.
func (x *examiner) proxies() {
	trusted, err := networks(x.cfg.list("serve.proxies"))
	if err != nil {
		x.add("proxies", verdictBad, "bide help config", "%v", err)
	}
	for _, p := range trusted {
		if p.Bits() == 0 {
			x.add("proxies", verdictBad, "name the networks of your proxies in serve.proxies", "serve.proxies trusts everybody (%s): whoever guesses tokens can pretend to be at any address", p)
		}
	}
	if slices.Contains(x.cfg.list("allow.exec"), "*") {
		x.add("exec", verdictNote, "name the programs in allow.exec", "flows may start any program: whoever may publish a flow has the rights of bide on this machine")
	}
	if x.cfg.get("webhooks.private") == "true" {
		x.add("webhooks", verdictNote, "leave webhooks.private false where it is not needed", "webhooks may go to this machine and its networks: whoever may make one can reach what is there")
	}
	if types := x.cfg.list("remote.types"); len(types) > 0 {
		x.add("remote workers", verdictOK, "", "they carry out %s; bide token create NAME --role worker lets one in", strings.Join(types, ", "))
	}
}

func (x *examiner) models() {
	if _, err := openModels(x.cfg, nil); err != nil {
		x.add("models", verdictBad, "bide help config", "%v", err)
		return
	}
	c, err := llm.ParseConfig([]byte(x.cfg.get("models")))
	if err != nil {
		x.add("models", verdictBad, "bide help config", "%v", err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		if known, ok := llm.WellKnown()[name]; ok && p.Key == "" && p.BaseURL == "" {
			p.Key = known.Key
		}
		variable, has := strings.CutPrefix(p.Key, "env:")
		switch {
		case has && x.a.getenv(variable) == "":
			x.add("model "+name, verdictBad, "set "+variable, "there is no key: %s is not set, or empty", variable)
		case p.File != "":
			x.add("model "+name, verdictOK, "", "answers from %s", p.File)
		default:
			x.add("model "+name, verdictOK, "", "is configured; it was not asked")
		}
	}
}

// tools starts or reaches the servers of tools, and asks which they have.
func (x *examiner) tools() {
	box, err := parseTools(x.cfg.get("tools"))
	if err != nil {
		x.add("tools", verdictBad, "bide help config", "%v", err)
		return
	}
	if box.Workspace != "" {
		folder := x.cfg.path("tools", box.Workspace)
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			x.add("workspace", verdictBad, "mkdir -p "+folder, "the workspace of tools, %s, is no folder", folder)
		} else {
			x.add("workspace", verdictOK, "", "%s", folder)
		}
	}
	for _, server := range box.MCP {
		check := "tools of " + server.Name
		server.Dir = x.cfg.path("tools", server.Dir)
		if n, err := x.listed(server); err != nil {
			x.add(check, verdictBad, "bide help config", "%v", err)
		} else {
			x.add(check, verdictOK, "", "%s", plural(n, "tool"))
		}
	}
}

// listed is how many tools a server says that it has.
func (x *examiner) listed(server mcp.Server) (int, error) {
	c, err := mcp.New(server, &mcp.Options{Secrets: secrets(x.cfg.secrets).Secret})
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithTimeout(x.cmd.Context(), patience)
	defer stop()
	tools, err := c.Tools(ctx)
	return len(tools), errors.Join(err, c.Close())
}

// port tries whether bide serve could listen.
func (x *examiner) port() {
	at := x.cfg.get("serve.listen")
	l, err := net.Listen("tcp", at)
	if err == nil {
		err = l.Close()
		x.add("port", verdictOK, "", "%s is free", at)
		if host, _, serr := net.SplitHostPort(at); serr == nil && !isLoopback(host) && x.cfg.get("serve.tls_cert") == "" {
			x.add("port", verdictNote, "set serve.tls_cert and serve.tls_key, or listen on 127.0.0.1 behind a proxy", "bide serve would listen on %s without https: tokens would travel in the clear", at)
		}
	}
	if err == nil {
		return
	}
	for _, scheme := range []string{"http://", "https://"} {
		if _, serr := x.health(scheme + at); serr == nil {
			x.add("port", verdictOK, "", "a server of bide is at work at %s%s", scheme, at)
			return
		}
	}
	x.add("port", verdictNote, "set serve.listen to another, or end who has it", "bide serve could not listen on %s: %v", at, err)
}

func isLoopback(host string) bool {
	at := net.ParseIP(host)
	return host == "localhost" || at != nil && at.IsLoopback()
}

// health asks a server how it is, and returns the time of its clock. Whose certificate it has does not matter here: nothing is told to it.
func (x *examiner) health(base string) (time.Time, error) {
	ctx, stop := context.WithTimeout(x.cmd.Context(), patience)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+"/healthz", nil)
	if err != nil {
		return time.Time{}, err
	}
	res, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}}).Do(req)
	if err != nil {
		return time.Time{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		return time.Time{}, fmt.Errorf("%s answers %s, which is not how a server of bide does", base, res.Status)
	}
	return http.ParseTime(res.Header.Get("Date"))
}

// login asks the provider for its configuration.
func (x *examiner) login() {
	if x.cfg.get("login") == "" {
		return
	}
	ctx, stop := context.WithTimeout(x.cmd.Context(), patience)
	defer stop()
	login, err := x.cfg.login(ctx, auth.NewSessions(nil, nil), nil)
	if err == nil {
		err = login.Discover(ctx)
	}
	if err != nil {
		x.add("login", verdictBad, "bide help config", "people cannot log in: %s", explain(err).Error())
		return
	}
	s, err := parseLogin(x.cfg.get("login"))
	if err != nil {
		x.add("login", verdictBad, "bide help config", "%v", err)
		return
	}
	x.add("login", verdictOK, "", "%s answers; people come back to %s", s.Issuer, s.RedirectURL)
}
