package auth

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/problem"
)

// Options refines a guard. Nil means tokens only.
type Options struct {
	// Anonymous, when not nil, is who makes requests without credentials. It counts only for
	// requests from this machine to a name of this machine, with no proxy between: for development.
	Anonymous *Principal
	// Sessions lets browsers in that signed in; nil lets none.
	Sessions *Sessions
	// TrustedProxies are the networks of reverse proxies whose X-Forwarded-For counts. Defaults to none.
	TrustedProxies []netip.Prefix
	// Rate is how many requests a second one principal may make, and Burst how many at once. Default to 100 and 200.
	Rate  float64
	Burst int
	// Now is the source of time. Defaults to the system's.
	Now func() time.Time
	// Logger receives refused logins and failures of the store; never credentials. Defaults to none.
	Logger *slog.Logger
}

// Guard finds out who makes a request, and lets nobody else pass.
type Guard struct {
	tokens *Tokens
	opts   Options
	slow   *backoff
	known  *bounded[string, bool] // pairs of token and address that were used with success
	rates  *bounded[string, *rate.Limiter]
	cross  *http.CrossOriginProtection
}

// New returns a guard over the tokens of a store.
func New(docs bide.Documents, opts *Options) *Guard {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Rate <= 0 {
		o.Rate = 100
	}
	if o.Burst <= 0 {
		o.Burst = 200
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Guard{tokens: NewTokens(docs, o.Now), opts: o, slow: newBackoff(o.Now), known: newBounded[string, bool](20_000),
		rates: newBounded[string, *rate.Limiter](10_000), cross: http.NewCrossOriginProtection()}
	g.cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(bide.CodeForbidden, "the request comes from a page of another origin"))
	}))
	return g
}

// Tokens returns the tokens that count.
func (g *Guard) Tokens() *Tokens { return g.tokens }

// Protect answers requests without valid credentials with 401, those that come too often with 429, those from pages of
// other origins that change something with 403, and passes the rest on with their Principal; see From.
func (g *Guard) Protect(next http.Handler) http.Handler {
	return g.cross.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := g.principal(r)
		if err == nil {
			err = g.paced(p)
		}
		if err != nil {
			if problem.Of(err).Status >= http.StatusInternalServerError {
				g.opts.Logger.Error("credentials cannot be checked", "err", err)
			}
			problem.Write(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), p)))
	}))
}

// Need lets only principals with a right pass. It goes behind Protect.
func Need(right Right, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := Check(r.Context(), right); err != nil {
			problem.Write(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Check returns a problem when the principal of a request has not a right.
func Check(ctx context.Context, right Right) error {
	p := From(ctx)
	switch {
	case p == nil:
		return unauthenticated("the request has no credentials")
	case p.May(right, nil):
		return nil
	case right == Decide && p.Agent():
		return bide.Errorf(bide.CodeForbidden, "%s is a program: it can ask, but not decide", p.Actor)
	}
	return bide.Errorf(bide.CodeForbidden, "these credentials lack the right %q", right)
}

func unauthenticated(detail string) error {
	return problem.New(api.CodeUnauthenticated, detail)
}

func tooMany(detail string, after time.Duration) error {
	return &problem.Later{Problem: problem.New(api.CodeTooMany, detail), After: after}
}

// principal finds out who makes a request.
func (g *Guard) principal(r *http.Request) (*Principal, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, text, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, unauthenticated("the credentials are not a bearer token")
		}
		return g.byToken(r, strings.TrimSpace(text))
	}
	if g.opts.Sessions != nil {
		if p, err := g.opts.Sessions.principal(r); p != nil || err != nil {
			return p, err
		}
	}
	if g.opts.Anonymous != nil && local(r) {
		return g.opts.Anonymous, nil
	}
	return nil, unauthenticated("the request has no credentials; send a token as Authorization: Bearer …")
}

// byToken checks a token. Those who fail are slowed down by their address and by the id of the token they try;
// an address that has used the token with success is not slowed down by others who try it.
func (g *Guard) byToken(r *http.Request, text string) (*Principal, error) {
	address := "address " + g.address(r)
	id, _, ok := splitToken(text)
	token, both := "token "+id, address+" "+id
	if pause := g.slow.pause(address); pause > 0 {
		return nil, tooMany("too many failed attempts from this address", pause)
	}
	if known, _ := g.known.get(both); ok && !known {
		if pause := g.slow.pause(token); pause > 0 {
			return nil, tooMany("too many failed attempts with this token", pause)
		}
	}
	p, err := g.tokens.Verify(r.Context(), text)
	switch {
	case err == nil:
		g.known.change(both, func(bool) bool { return true })
		return p, nil
	case !errors.Is(err, ErrBadToken):
		return nil, err
	}
	g.slow.failed(address)
	if ok {
		g.slow.failed(token)
	}
	g.opts.Logger.Warn("token refused", "address", address, "token", id)
	return nil, unauthenticated("the token is not valid, has expired or was revoked")
}

// paced holds a principal to its rate.
func (g *Guard) paced(p *Principal) error {
	limiter := g.rates.change(p.Namespace+"/"+p.Actor, func(l *rate.Limiter) *rate.Limiter {
		if l == nil {
			l = rate.NewLimiter(rate.Limit(g.opts.Rate), g.opts.Burst)
		}
		return l
	})
	now := g.opts.Now()
	if limiter.AllowN(now, 1) {
		return nil
	}
	return tooMany("too many requests by "+p.Actor, time.Duration(float64(time.Second)/g.opts.Rate))
}

// address is where a request comes from; of IPv6 the network, as a machine has all addresses of one.
func (g *Guard) address(r *http.Request) string {
	at := remote(r)
	if !at.IsValid() {
		return "unknown"
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && g.trusted(at); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		at = hop.Unmap()
	}
	if at.Is6() {
		if net, err := at.WithZone("").Prefix(64); err == nil {
			return net.String()
		}
	}
	return at.String()
}

func (g *Guard) trusted(at netip.Addr) bool {
	for _, p := range g.opts.TrustedProxies {
		if p.Contains(at) {
			return true
		}
	}
	return false
}

func remote(r *http.Request) netip.Addr {
	to, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return to.Addr().Unmap()
}

// local reports whether a request was made on this machine to a name of this machine. A page of a stranger whose name
// was made to resolve to this machine sends that name as its host; a proxy says for whom it asks.
func local(r *http.Request) bool {
	if !remote(r).IsLoopback() {
		return false
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	at, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && at.IsLoopback()
}

// Headers sets what browsers need to know on every page: no framing, no guessing of types, no
// content but the server's own.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
