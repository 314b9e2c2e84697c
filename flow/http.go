package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/bide-dev/bide"
)

// Bounds of http steps.
const (
	maxHTTPBytes     = 64 << 20 // of a response, at most
	defaultHTTPBytes = 1 << 20
	maxRedirects     = 5
)

// request is the payload of an http step.
type request struct {
	Method   string          `json:"method"`
	URL      string          `json:"url"`
	Headers  map[string]any  `json:"headers"`
	Query    map[string]any  `json:"query"`
	JSON     json.RawMessage `json:"json"`
	Form     map[string]any  `json:"form"`
	Body     *string         `json:"body"`
	Accept   []int           `json:"accept"`
	MaxBytes int             `json:"max_bytes"`
}

// Response is the result of an http step.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"` // names in lower case
	// JSON is the body when the response says that it is JSON, and Body when it is other text.
	JSON json.RawMessage `json:"json,omitempty"`
	Body string          `json:"body,omitempty"`
}

// http carries out an http step. A status below 400, or one that the step accepts, is a result;
// others are failures with code "http_" and the status. Those that may pass are tried again if the step says so.
func (o *Handlers) http(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	u, err := o.unseal(ctx, call.Payload)
	if err != nil {
		return bide.Outcome{}, err
	}
	var in request
	dec := json.NewDecoder(bytes.NewReader(u.payload))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		return bide.Outcome{}, bide.Permanent(u.failure(err))
	}
	ctx, cancel := o.within(ctx, call)
	defer cancel()
	req, err := in.build(ctx, call.Key)
	if err != nil {
		return bide.Outcome{}, bide.Permanent(u.failure(err))
	}
	resp, err := o.HTTP.Do(req)
	if err != nil {
		if errors.Is(err, errPrivate) {
			return bide.Outcome{}, u.failure(&bide.Failure{Code: "http_address", Permanent: true, Message: err.Error()})
		}
		return bide.Outcome{}, u.failure(late(ctx, err))
	}
	defer resp.Body.Close()
	out, err := in.read(resp, u)
	if err != nil {
		return bide.Outcome{}, u.failure(late(ctx, err))
	}
	o.Logger.Info("http", "run", call.Run, "node", call.Node, "status", out.Status)
	if out.Status < 400 || slices.Contains(in.Accept, out.Status) {
		return bide.Completed(out), nil
	}
	return bide.Outcome{}, out.failure(resp.Header)
}

// build makes the request.
func (in *request) build(ctx context.Context, key string) (*http.Request, error) {
	method := in.Method
	if method == "" {
		method = http.MethodGet
	}
	u, err := url.Parse(in.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the URL %q does not begin with https:// or http:// and a host", in.URL)
	}
	if len(in.Query) > 0 {
		q := u.Query()
		for _, name := range sortedNames(in.Query) {
			q.Set(name, plain(in.Query[name]))
		}
		u.RawQuery = q.Encode()
	}
	body, kind := []byte(nil), ""
	switch {
	case in.JSON != nil:
		body, kind = in.JSON, "application/json"
	case in.Form != nil:
		form := url.Values{}
		for _, name := range sortedNames(in.Form) {
			form.Set(name, plain(in.Form[name]))
		}
		body, kind = []byte(form.Encode()), "application/x-www-form-urlencoded"
	case in.Body != nil:
		body, kind = []byte(*in.Body), "text/plain; charset=utf-8"
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if method != http.MethodGet && method != http.MethodHead {
		req.Header.Set("Idempotency-Key", key)
	}
	req.Header.Set("User-Agent", "bide")
	for _, name := range sortedNames(in.Headers) {
		req.Header.Set(name, plain(in.Headers[name]))
	}
	return req, nil
}

// plain is how a value stands in a header, a query or a form, and among the arguments of a program.
func plain(v any) string {
	if n, ok := v.(json.Number); ok {
		return string(n)
	}
	s, err := text(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return s
}

// read takes the response in, without the values of secrets.
func (in *request) read(resp *http.Response, u *unsealed) (*Response, error) {
	limit := in.MaxBytes
	if limit <= 0 {
		limit = defaultHTTPBytes
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, &bide.Failure{Code: "http_too_large", Permanent: true, Message: fmt.Sprintf("the response has more than %d bytes; raise max_bytes if that is meant", limit)}
	}
	out := &Response{Status: resp.StatusCode, Headers: map[string]string{}}
	for name, values := range resp.Header {
		out.Headers[strings.ToLower(name)] = u.scrub(strings.Join(values, ", "))
	}
	switch kind := strings.ToLower(resp.Header.Get("Content-Type")); {
	case len(body) == 0:
	case strings.Contains(kind, "json") && json.Valid(body):
		out.JSON = json.RawMessage(u.scrub(string(body)))
	case utf8.Valid(body):
		out.Body = u.scrub(string(body))
	default:
		return nil, &bide.Failure{Code: "http_not_text", Permanent: true, Message: fmt.Sprintf("the response is neither JSON nor text but %q", resp.Header.Get("Content-Type"))}
	}
	return out, nil
}

// failure is a status that is not a result. Another attempt may help with 408, 425, 429 and 5xx.
func (r *Response) failure(header http.Header) error {
	detail := r.Body
	if r.JSON != nil {
		detail = string(r.JSON)
	}
	f := &bide.Failure{Code: "http_" + strconv.Itoa(r.Status), Message: strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Status, http.StatusText(r.Status), shorten(detail)))}
	f.Permanent = r.Status < 500 && r.Status != 408 && r.Status != 425 && r.Status != 429
	if s, err := strconv.Atoi(header.Get("Retry-After")); err == nil && s > 0 && !f.Permanent {
		return bide.RetryAfter(f, time.Duration(min(s, 86400))*time.Second)
	}
	return f
}

// errPrivate refuses an address that is not public.
var errPrivate = errors.New("the address is not public; allow its network in the configuration if it is meant")

// guardedClient is a client that connects to public addresses and those allowed, whatever names and
// redirects say: the address is checked when the connection is made.
func guardedClient(allowed []netip.Prefix) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if addr := ap.Addr().Unmap(); !public(addr) && !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return fmt.Errorf("%s: %w", addr, errPrivate)
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}
}

// special are networks that are not for the public besides those that netip knows: this network, shared addresses,
// documentation, benchmarks, reserved, translation from IPv4.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() &&
		!slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}
