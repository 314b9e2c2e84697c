// Package web is the user interface: pages in the browser that see what runs wait
// for, act on it, and show what happened.
//
//	mux.Handle("/ui/", http.StripPrefix("/ui/", web.Handler()))
//
// The pages are static files that use the HTTP API one level above them and nothing
// else: no other host, no inline script or style. The package must not know the API's server,
// nor any other package of the module; its sources are in src, and dist holds
// what go generate makes of them.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:generate go run ./generate

//go:embed dist
var dist embed.FS

// policy lets the pages load nothing but themselves and speak to their own server only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; frame-src blob:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the pages: index.html at the root, and what it loads. It wants paths
// without the prefix that it is mounted at, which is one segment below the API's root. An unknown
// path is 404, a method other than GET and HEAD 405. Answers carry an ETag and are checked again on each load.
func Handler() http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the pages are only read", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if name == "" {
			name = "index.html"
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			http.Error(w, "there is no such page", http.StatusNotFound)
			return
		}
		sum := sha256.Sum256(body)
		h := w.Header()
		h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	})
}
