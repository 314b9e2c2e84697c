package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
)

// Loopback is an Options.Authenticate for a server that listens on a loopback address, for one person:
// every request from this machine is the administrator's. It refuses requests from elsewhere, those to
// another host name (DNS rebinding), and changes that a page of another origin makes a browser send.
func Loopback(actor string) func(http.Handler) http.Handler {
	p := &auth.Principal{Actor: actor, Roles: []auth.Role{auth.Administrator}}
	return func(next http.Handler) http.Handler {
		checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isLoopback(r.RemoteAddr) || !isLoopback(r.Host) {
				refuse(w, newProblem(bide.CodeForbidden, "this server is for this machine alone: use a loopback address such as 127.0.0.1"))
				return
			}
			next.ServeHTTP(w, r.WithContext(auth.With(r.Context(), p)))
		})
		cross := http.NewCrossOriginProtection()
		cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, newProblem(bide.CodeForbidden, "a page of another origin must not change anything here"))
		}))
		return cross.Handler(checked)
	}
}

// isLoopback reports whether a host, with or without port, is this machine by its name.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
