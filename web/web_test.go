package web_test

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bide-dev/bide/web"
)

func TestWhatIsCheckedInIsMadeOfTheSources(t *testing.T) {
	out := t.TempDir()
	if text, err := exec.Command("go", "run", "./generate", "-out", out).CombinedOutput(); err != nil {
		t.Fatalf("go run ./generate = %v\n%s", err, text)
	}
	made := 0
	check(t, filepath.WalkDir(out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		made++
		name, err := filepath.Rel(out, path)
		check(t, err)
		want, err := os.ReadFile(path)
		check(t, err)
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("web/%s is not what its sources give (%v); run go generate ./web", name, err)
		}
		return nil
	}))
	if made < 5 {
		t.Errorf("generate made %d files, want the types, the script, the styles, the page and the icon", made)
	}
}

// The bundler passes over types: what the pages make of the API's types is looked at here.
func TestTypesOfThePagesFit(t *testing.T) {
	if text, err := exec.Command("npm", "run", "--silent", "check").CombinedOutput(); err != nil {
		t.Errorf("npm run check = %v; scripts/node installs what it needs\n%s", err, text)
	}
}

func TestTheScriptIsSmall(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(get(t, "main.js").Body.Bytes())
	check(t, err)
	check(t, z.Close())
	if limit := 150_000; b.Len() > limit {
		t.Errorf("main.js has %d bytes with gzip, more than %d", b.Len(), limit)
	}
}

func TestPagesAreServedSafely(t *testing.T) {
	for path, kind := range map[string]string{"": "text/html", "main.js": "text/javascript", "main.css": "text/css", "icon.svg": "image/svg+xml"} {
		w := get(t, path)
		h := w.Header()
		if w.Code != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), kind) {
			t.Errorf("GET /%s = %d %s, want 200 %s", path, w.Code, h.Get("Content-Type"), kind)
		}
		policy := h.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("GET /%s: the policy %q lacks %s", path, policy, rule)
			}
		}
		if strings.Contains(policy, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET /%s: the policy %q allows too much, or the type may be guessed", path, policy)
		}
	}
}

func TestPagesAskForNothingElsewhere(t *testing.T) {
	// What is not a namespace of SVG or a link in a comment would be an address that is loaded.
	address := regexp.MustCompile(`(?:src|href|url\(|import\(|fetch\()\s*=?\s*["'(]?(?:https?:)?//[^"')\s]+`)
	for _, path := range []string{"", "main.js", "main.css"} {
		if found := address.FindString(get(t, path).Body.String()); found != "" {
			t.Errorf("/%s asks for %s", path, found)
		}
	}
	if body := get(t, "").Body.String(); strings.Contains(body, `="/`) {
		t.Error("index.html has an absolute address; it must work below any prefix")
	}
}

func TestHandlerRefuses(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "missing.js", http.StatusNotFound},
		{http.MethodGet, "../web.go", http.StatusNotFound},
		{http.MethodPost, "", http.StatusMethodNotAllowed},
	} {
		w := httptest.NewRecorder()
		web.Handler().ServeHTTP(w, httptest.NewRequest(c.method, "/"+c.path, nil))
		if w.Code != c.status {
			t.Errorf("%s /%s = %d, want %d", c.method, c.path, w.Code, c.status)
		}
	}
	first := get(t, "main.js")
	r := httptest.NewRequest(http.MethodGet, "/main.js", nil)
	r.Header.Set("If-None-Match", first.Header().Get("ETag"))
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusNotModified {
		t.Errorf("GET /main.js with its ETag = %d, want 304", w.Code)
	}
}

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+path, nil))
	return w
}
