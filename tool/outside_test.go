package tool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/tool"
)

func TestFetchReachesThePublicInternetOnly(t *testing.T) {
	served := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		fmt.Fprint(w, "inside")
	}))
	defer server.Close()
	fetch := tool.Fetch(nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	for _, url := range []string{server.URL, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://0.0.0.0:" + port, "http://[::1]:" + port} {
		res := one(t, nil, fetch, fmt.Sprintf(`{"url":%q}`, url))
		if res.Status != tool.StatusError || !strings.Contains(res.Text(), "not public") {
			t.Errorf("fetch of %s = %s %q", url, res.Status, res.Text())
		}
	}
	for _, url := range []string{"file:///etc/passwd", "gopher://x", "http://user:pw@example.com/", "http://"} {
		if res := one(t, nil, fetch, fmt.Sprintf(`{"url":%q}`, url)); res.Status != tool.StatusError || strings.Contains(res.Text(), "pw") {
			t.Errorf("fetch of %s = %s %q", url, res.Status, res.Text())
		}
	}
	if served != 0 {
		t.Errorf("%d requests came through", served)
	}
	if res := one(t, nil, tool.Fetch(&tool.FetchOptions{AllowPrivate: true}), fmt.Sprintf(`{"url":%q}`, server.URL)); res.Status != tool.StatusOK || res.Text() != "inside" {
		t.Errorf("fetch with leave = %s %q", res.Status, res.Text())
	}
}

func TestOneSecretThatBeginsWithAnotherIsHiddenWhole(t *testing.T) {
	values := map[string]string{"SHORT": "hunter2", "LONG": "hunter2-and-more"}
	secret := tool.Reveal(func(_ context.Context, name string) (string, error) { return values[name], nil })
	for _, name := range []string{"SHORT", "LONG"} {
		bide.Must(secret.Expand(t.Context(), "${secret:"+name+"}"))
	}
	if got := secret.Hide("hunter2 hunter2-and-more"); got != "${secret:SHORT} ${secret:LONG}" {
		t.Errorf("Hide = %q", got)
	}
}

func TestWhatIsNotPublic(t *testing.T) {
	for addr, public := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "172.32.0.1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "192.0.0.8": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00::1": false, "ff02::1": false, "fec0::1": false,
		"::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true, "::10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "2001::1": false, "2001:db8::1": false,
	} {
		if got := tool.PublicAddr(netip.MustParseAddr(addr)); got != public {
			t.Errorf("PublicAddr(%s) = %v, want %v", addr, got, public)
		}
	}
}

// shop is an HTTP server that tells what it was asked.
func shop(t *testing.T) *httptest.Server {
	t.Helper()
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
		case "/busy":
			if calls++; calls < 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fmt.Fprint(w, "open")
		case "/gone":
			http.Error(w, "no such order", http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "application/json")
			out := map[string]string{"method": r.Method, "uri": r.URL.RequestURI(), "body": string(body), "key": r.Header.Get("Idempotency-Key"), "auth": r.Header.Get("Authorization")}
			if err := json.NewEncoder(w).Encode(out); err != nil {
				t.Error(err)
			}
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestAnHTTPToolSendsItsArgumentsAndItsKey(t *testing.T) {
	server := shop(t)
	for _, c := range []struct {
		cfg  tool.HTTPTool
		args string
		want string
	}{
		{tool.HTTPTool{URL: "/orders/{id}?v=2"}, `{"id":"a/b ?","n":3,"q":"x&y"}`, `"method":"GET","uri":"/orders/a%2Fb%20%3F?n=3\u0026q=x%26y\u0026v=2"`},
		{tool.HTTPTool{URL: "/orders?id={id}&admin=no"}, `{"id":"1&admin=yes#x+y"}`, `"method":"GET","uri":"/orders?admin=no\u0026id=1%26admin%3Dyes%23x%2By"`},
		{tool.HTTPTool{URL: "/orders", Method: "post"}, `{"id":7}`, `{"auth":"","body":"{\"id\":7}","key":"r/1/0","method":"POST"`},
		{tool.HTTPTool{URL: "/orders/{id}"}, `{"id":".."}`, "leads out of the path"},
		{tool.HTTPTool{URL: "/orders?v=2"}, `{"v":"3"}`, "is fixed by the URL"},
		{tool.HTTPTool{URL: "/gone"}, `{}`, "no such order"},
		{tool.HTTPTool{URL: "/away"}, `{}`, "away from 127.0.0.1"},
		{tool.HTTPTool{URL: "/busy"}, `{}`, "503"},
	} {
		c.cfg.Name, c.cfg.URL = "shop", server.URL+c.cfg.URL
		res := one(t, nil, bide.Must(tool.HTTP(c.cfg, nil)), c.args)
		if !strings.Contains(res.Text(), c.want) || (res.Status == tool.StatusOK) != strings.Contains(c.want, "method") {
			t.Errorf("%s with %s = %s %s, want %s", c.cfg.URL, c.args, res.Status, res.Text(), c.want)
		}
	}
	for _, url := range []string{"ftp://x/", "http://{host}/", "/orders", "http://"} {
		if _, err := tool.HTTP(tool.HTTPTool{Name: "x", URL: url}, nil); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("HTTP(%s) = %v, want ErrInvalidInput", url, err)
		}
	}
}

func TestWhatCrossedTheBoundaryIsKept(t *testing.T) {
	server := shop(t)
	keep := bide.Must(artifact.OpenDir(t.TempDir()))
	defer keep.Close()
	res := one(t, &tool.Options{Artifacts: keep}, bide.Must(tool.HTTP(tool.HTTPTool{Name: "shop", Method: "POST", URL: server.URL + "/orders"}, nil)), `{"id":7}`)
	if len(res.Evidence) != 2 {
		t.Fatalf("evidence = %+v, want a request and a response", res.Evidence)
	}
	for i, want := range []string{"POST /orders HTTP/1.1", "200 OK"} {
		r := bide.Must(keep.Open(ctx, res.Evidence[i].SHA256))
		body := bide.Must(io.ReadAll(r))
		if !strings.Contains(string(body), want) || !strings.Contains(string(body), "id") || int64(len(body)) != res.Evidence[i].Bytes {
			t.Errorf("evidence %s = %s, want %q", res.Evidence[i].Name, body, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if res := one(t, nil, tool.Fetch(&tool.FetchOptions{AllowPrivate: true}), fmt.Sprintf(`{"url":%q}`, server.URL)); len(res.Evidence) != 2 || !res.Evidence[0].Lost || res.Evidence[0].SHA256 == "" {
		t.Errorf("evidence without a place to keep it = %+v, want hashes", res.Evidence)
	}
}

// broken keeps nothing.
type broken struct{ tool.Artifacts }

func (broken) Put(context.Context, io.Reader) (string, int64, error) {
	return "", 0, errors.New("disk full")
}

func TestNothingIsSentWhenItsEvidenceCannotBeKept(t *testing.T) {
	served := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
	defer server.Close()
	res := one(t, &tool.Options{Artifacts: broken{}}, bide.Must(tool.HTTP(tool.HTTPTool{Name: "shop", URL: server.URL}, nil)), "")
	if served || res.Status != tool.StatusError || !strings.Contains(res.Text(), "disk full") {
		t.Errorf("served = %v, result = %s %q", served, res.Status, res.Text())
	}
}

func TestASecretAppearsNowhere(t *testing.T) {
	const value = `pa"ss w/ord+42`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+value {
			t.Errorf("Authorization = %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		if r.URL.Path == "/fail" {
			w.WriteHeader(http.StatusBadGateway)
		}
		if err := json.NewEncoder(w).Encode(map[string]string{"auth": r.Header.Get("Authorization")}); err != nil {
			t.Error(err)
		}
	}))
	dir := t.TempDir()
	keep := bide.Must(artifact.OpenDir(dir))
	defer keep.Close()
	var log bytes.Buffer
	var mu sync.Mutex
	secrets := func(_ context.Context, name string) (string, error) {
		if name != "KEY" {
			return "", errors.New("there is none")
		}
		return value, nil
	}
	shop := func(name, url, header string) tool.Tool {
		return bide.Must(tool.HTTP(tool.HTTPTool{Name: name, URL: url, Header: map[string]string{"Authorization": header}, Timeout: bide.Duration(10 * time.Second)}, secrets))
	}
	d := newDesk(t, &tool.Options{Policy: auto(), Artifacts: keep, Logger: slog.New(slog.NewTextHandler(locked{&mu, &log}, nil))},
		shop("json", server.URL+"/?type=application/json", "Bearer ${secret:KEY}"),
		shop("text", server.URL+"/", "Bearer ${secret:KEY}"),
		shop("fail", server.URL+"/fail", "Bearer ${secret:KEY}"),
		shop("none", server.URL+"/", "Bearer ${secret:OTHER}"),
		shop("down", "http://127.0.0.1:1/?key=${secret:KEY}", ""))
	var calls []tool.Call
	for _, name := range d.set.Names() {
		calls = append(calls, tool.Call{ID: name, Name: name, Args: `{"x":"${secret:KEY}"}`})
	}
	results := d.results(d.start(nil, calls...))
	server.Close()
	var all strings.Builder
	for rec, err := range d.rt.Ledger(ctx, "r", 1) {
		if err != nil {
			t.Fatal(err)
		}
		all.Write(rec.Raw)
	}
	mu.Lock()
	all.WriteString(log.String())
	mu.Unlock()
	kept := 0
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		kept++
		raw, err := os.ReadFile(name)
		all.Write(raw)
		return err
	})
	if err != nil || kept < 6 {
		t.Errorf("%d artifacts, %v", kept, err)
	}
	for _, part := range []string{"ss w/ord", `ss+w%2Ford`, `ss%20w`} {
		if i := strings.Index(all.String(), part); i >= 0 {
			t.Errorf("%q is in what is kept: …%s…", part, all.String()[max(i-80, 0):i+40])
		}
	}
	for _, res := range results {
		want := map[string]string{"json": "Bearer ${secret:KEY}", "text": "Bearer ${secret:KEY}", "fail": "502", "none": `secret "OTHER": there is none`, "down": "refused"}[res.Name]
		if !strings.Contains(res.Text(), want) {
			t.Errorf("%s = %q, want %q", res.Name, res.Text(), want)
		}
	}
}

// locked is a buffer for many writers.
type locked struct {
	mu  *sync.Mutex
	buf *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}
