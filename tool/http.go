package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// HTTPTool is a tool that sends one request. URL and the values of Header may
// refer to secrets as ${secret:NAME}; arguments never do.
type HTTPTool struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Schema      bide.JSON `json:"schema,omitempty"` // of the arguments
	Method      string    `json:"method,omitempty"` // defaults to GET
	// URL is where it goes. {name} stands for an argument, escaped. The arguments that
	// are not in it go into the query of GET, HEAD and DELETE, and else, as JSON, into the body.
	URL    string            `json:"url"`
	Header map[string]string `json:"header,omitempty"`
	// Safety defaults to that of the method: GET and HEAD are read-only, PUT and DELETE idempotent.
	Safety  Safety            `json:"safety,omitempty"`
	Timeout bide.Duration     `json:"timeout,omitempty"`
	AtOnce  int               `json:"at_once,omitempty"`
	Retry   *bide.RetryPolicy `json:"retry,omitempty"`
}

// maxBody bounds what is read of an answer.
const maxBody = 8 << 20

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_]+)\}`)

// HTTP makes a tool of an HTTP request. The key of the call goes along as the
// header Idempotency-Key. Redirects are followed to the same host only. It fails when the URL or method cannot be used.
func HTTP(c HTTPTool, secrets Secrets) (Tool, error) {
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	method := strings.ToUpper(c.Method)
	at, err := url.Parse(placeholder.ReplaceAllString(secretRef.ReplaceAllString(c.URL, "x"), "x"))
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return Tool{}, bide.Errorf(bide.CodeInvalidInput, "tool %q: %q is not the URL of an HTTP server", c.Name, c.URL)
	}
	host, _, _ := strings.Cut(strings.SplitN(c.URL, "://", 2)[1], "/")
	if placeholder.MatchString(host) {
		return Tool{}, bide.Errorf(bide.CodeInvalidInput, "tool %q: an argument cannot be part of the host", c.Name)
	}
	if c.Safety == Once {
		switch method {
		case http.MethodGet, http.MethodHead:
			c.Safety = ReadOnly
		case http.MethodPut, http.MethodDelete:
			c.Safety = Idempotent
		}
	}
	h := &httpCaller{HTTPTool: c, method: method, secrets: secrets, client: &http.Client{Transport: NewTransport(true), CheckRedirect: sameHost}}
	return Tool{Name: c.Name, Description: c.Description, Schema: c.Schema, Safety: c.Safety, Outside: true,
		Source: bide.ToolSource{Kind: "http", Server: at.Host}, Timeout: time.Duration(c.Timeout), AtOnce: c.AtOnce, Retry: c.Retry, Run: h.run}, nil
}

func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return fmt.Errorf("a redirect leads to %s, away from %s", req.URL.Host, via[0].URL.Host)
	}
	return nil
}

type httpCaller struct {
	HTTPTool
	method  string
	secrets Secrets
	client  *http.Client
}

func (h *httpCaller) run(ctx context.Context, req *Request) (Reply, error) {
	secret := Reveal(h.secrets)
	reply, err := h.exchange(ctx, req, secret)
	return reply, secret.HideIn(err)
}

func (h *httpCaller) exchange(ctx context.Context, req *Request, secret *Revealed) (Reply, error) {
	out, body, err := h.request(ctx, req, secret)
	if err != nil {
		return Reply{}, err
	}
	head, err := httputil.DumpRequestOut(out, false)
	if err != nil {
		return Reply{}, err
	}
	if err := req.Keep(ctx, "request", []byte(secret.Hide(string(head)+string(body)))); err != nil {
		return Reply{}, err
	}
	return exchange(ctx, h.client, out, req, secret)
}

// exchange sends a request, keeps the answer as evidence, and makes a reply of it.
func exchange(ctx context.Context, client *http.Client, out *http.Request, req *Request, secret *Revealed) (Reply, error) {
	in, err := client.Do(out)
	if err != nil {
		if errors.Is(err, ErrNotPublic) {
			return Reply{}, err
		}
		return Reply{}, Transient(err)
	}
	defer in.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(in.Body, maxBody+1))
	if err != nil {
		return Reply{}, Transient(fmt.Errorf("%s, and then: %w", in.Status, err))
	}
	cut := len(raw) > maxBody
	raw = []byte(secret.Hide(string(raw[:min(len(raw), maxBody)])))
	head, err := httputil.DumpResponse(in, false)
	if err != nil {
		return Reply{}, err
	}
	// The exchange has happened: what is lost of its evidence is marked there.
	lost := req.Keep(ctx, "response", append([]byte(secret.Hide(string(head))), raw...))
	switch {
	case in.StatusCode == http.StatusTooManyRequests || in.StatusCode >= 500:
		return Reply{}, errors.Join(Transient(fmt.Errorf("%s: %s", in.Status, firstOf(raw))), lost)
	case cut:
		return Reply{}, errors.Join(fmt.Errorf("the answer has more than %d bytes", maxBody), lost)
	}
	return Reply{Content: content(in.Header.Get("Content-Type"), raw), IsError: in.StatusCode >= 400}, nil
}

// request builds the request of a call, and returns its body as well.
func (h *httpCaller) request(ctx context.Context, req *Request, secret *Revealed) (*http.Request, []byte, error) {
	var args map[string]json.RawMessage
	if err := json.Unmarshal(req.Args, &args); err != nil {
		return nil, nil, err
	}
	at, err := secret.ExpandURL(ctx, h.URL)
	if err != nil {
		return nil, nil, err
	}
	at = placeholder.ReplaceAllStringFunc(at, func(name string) string {
		name = strings.Trim(name, "{}")
		value := text(args[name])
		delete(args, name)
		return escape(value)
	})
	to, err := url.Parse(at)
	if err != nil {
		return nil, nil, err
	}
	if slices.Contains(strings.Split(to.Path, "/"), "..") {
		return nil, nil, errors.New("an argument leads out of the path of the URL")
	}
	var body []byte
	switch h.method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		query := to.Query()
		for name, value := range args {
			if query.Has(name) {
				return nil, nil, fmt.Errorf("the argument %q is fixed by the URL", name)
			}
			query.Set(name, text(value))
		}
		to.RawQuery = query.Encode()
	default:
		if body, err = json.Marshal(args); err != nil {
			return nil, nil, err
		}
	}
	out, err := http.NewRequestWithContext(ctx, h.method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != nil {
		out.Header.Set("Content-Type", "application/json")
	}
	out.Header.Set("Idempotency-Key", req.Key)
	for name, value := range h.Header {
		if value, err = secret.Expand(ctx, value); err != nil {
			return nil, nil, err
		}
		out.Header.Set(name, value)
	}
	return out, body, nil
}

// text is an argument as part of a URL: a string as it is, anything else as JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// content is a body as a model reads it: JSON as JSON, everything else as text.
func content(contentType string, raw []byte) any {
	kind, _, err := mime.ParseMediaType(contentType)
	if err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) && json.Valid(raw) {
		return json.RawMessage(raw)
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}

func firstOf(raw []byte) string {
	return strings.ToValidUTF8(string(raw[:min(len(raw), 500)]), "\uFFFD")
}
