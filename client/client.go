// Package client talks to a gateway, with the types of the runtime: what a program does with
// a *bide.Runtime in its own process, it does here with a server.
//
//	c, err := client.New("https://bide.example.com", &client.Options{Token: token})
//	run, err := c.Start(ctx, api.StartRun{Workflow: "refund", Input: input, Key: "order-42"}, "")
//	for rec, err := range c.Watch(ctx, run.ID, 0) { … }
//
// Changes carry an Idempotency-Key, a fresh one when none is given, and what fails on the way
// is sent again: it is made once. Streams go on where they were cut off. Errors are of type *bide.Error, as
// the runtime's; the codes of package api are those that only a server has.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// Options refines a client. Nil means the defaults.
type Options struct {
	// Token is sent with every request. Defaults to none.
	Token string
	// HTTP makes the requests. Defaults to a client without a timeout of its own; the context of a call ends it.
	HTTP *http.Client
	// Tries is how often a request is made that fails on the way or that the server cannot
	// serve for the moment, and how often in a row a stream is opened without hearing anything. Defaults to 5.
	Tries int
	// Pause is how long to wait before the second try; it doubles each time. Defaults to 100ms.
	Pause time.Duration
	// Quiet is how long a stream may say nothing before it is opened anew. Defaults to 1m.
	Quiet time.Duration
}

// Client talks to one server. It may be used from many goroutines.
type Client struct {
	base string
	opts Options
}

// New returns a client of the server at an http or https address. It makes no request. It fails with
// bide.ErrInvalidInput when the address cannot be used.
func New(address string, opts *Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, bide.Errorf(bide.CodeInvalidInput, "%q is not the address of a server; it is like https://bide.example.com or http://127.0.0.1:7878", address)
	}
	c := &Client{base: strings.TrimRight(u.String(), "/")}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.HTTP == nil {
		c.opts.HTTP = &http.Client{}
	}
	if c.opts.Tries <= 0 {
		c.opts.Tries = 5
	}
	if c.opts.Pause <= 0 {
		c.opts.Pause = 100 * time.Millisecond
	}
	if c.opts.Quiet <= 0 {
		c.opts.Quiet = time.Minute
	}
	return c, nil
}

// maxAnswer bounds the answers that are read into memory.
const maxAnswer = 256 << 20

// call is a request to be made.
type call struct {
	method, path string
	query        url.Values
	key          string // Idempotency-Key of a change
	body         any    // sent as JSON; nil sends none
}

// plain is an answer that is not JSON.
type plain string

// do makes a call, again while it fails on the way, and reads the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, what call, out any) error {
	var body []byte
	var err error
	if what.body != nil {
		if body, err = encode(what.body); err != nil {
			return bide.Errorf(bide.CodeInvalidInput, "the request cannot be written as JSON: %w", err)
		}
	}
	if what.method != http.MethodGet && what.key == "" {
		what.key = uuid.NewString()
	}
	for try := 1; ; try++ {
		var again bool
		if again, err = c.once(ctx, what, body, out); err == nil || !again || try == c.opts.Tries {
			return err
		}
		if werr := c.wait(ctx, try); werr != nil {
			return errors.Join(err, werr)
		}
	}
}

// wait waits before the next try.
func (c *Client) wait(ctx context.Context, try int) error {
	timer := time.NewTimer(c.opts.Pause << min(try-1, 10))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// once makes a call once; again says that another try can help.
func (c *Client) once(ctx context.Context, what call, body []byte, out any) (again bool, err error) {
	resp, err := c.send(ctx, what, bytes.NewReader(body), body != nil)
	if err != nil {
		return ctx.Err() == nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return ctx.Err() == nil, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if err := refusal(resp, raw); err != nil {
		return resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusBadGateway, err
	}
	if text, ok := out.(*plain); ok {
		*text = plain(raw)
		return false, nil
	}
	if out == nil {
		return false, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return false, fmt.Errorf("%s does not answer as a bide server does: %w", c.base, err)
	}
	return false, nil
}

// send makes a request. The body of the answer is the caller's to close.
func (c *Client) send(ctx context.Context, what call, body io.Reader, has bool) (*http.Response, error) {
	target := c.base + what.path
	if len(what.query) > 0 {
		target += "?" + what.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, what.method, target, body)
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the request cannot be made: %w", err)
	}
	if has {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	if c.opts.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Token)
	}
	if what.key != "" {
		req.Header.Set("Idempotency-Key", what.key)
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return nil, c.unreached(err)
	}
	return resp, nil
}

// unreached is the error of a request that got no answer, without the request itself.
func (c *Client) unreached(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("reach the server %s: %w", c.base, err)
}

// refusal is the error that an answer is, or nil.
func refusal(resp *http.Response, raw []byte) error {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	var p api.Problem
	if err := json.Unmarshal(raw, &p); err != nil || p.Code == "" {
		return fmt.Errorf("%s answers %s, which is not how a bide server refuses", resp.Request.URL.Host, resp.Status)
	}
	return p.Err()
}

// encode writes JSON as it is, without escapes for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// path joins parts of a path, escaped.
func path(parts ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// values makes a query of pairs, without those that are empty.
func values(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Add(pairs[i], pairs[i+1])
		}
	}
	return q
}

// number writes a number for a query; 0 is empty.
func number[N int | int64](n N) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return ""
}

// get makes a reading call.
func get[T any](ctx context.Context, c *Client, q url.Values, parts ...string) (*T, error) {
	out := new(T)
	if err := c.do(ctx, call{method: http.MethodGet, path: path(parts...), query: q}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// change makes a changing call.
func change[T any](ctx context.Context, c *Client, method, key string, body any, parts ...string) (*T, error) {
	out := new(T)
	if err := c.do(ctx, call{method: method, path: path(parts...), key: key, body: body}, out); err != nil {
		return nil, err
	}
	return out, nil
}
