package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// Code is the kind of an error. Its text never changes; it is also the code of a failed LLM_CALL.
type Code string

// The codes of errors. Those marked "again" may pass: another attempt is worth while.
const (
	CodeInvalidRequest Code = "invalid_request"      // the request, or the configuration, cannot be used as it is
	CodeAuth           Code = "auth"                 // the key is missing, wrong, or may not do this
	CodeQuota          Code = "quota_exceeded"       // the account has nothing left
	CodeContextTooLong Code = "context_too_long"     // the messages do not fit into the model
	CodeContentFilter  Code = "content_filter"       // refused, or cut short, for what it says
	CodeRateLimited    Code = "rate_limited"         // again
	CodeOverloaded     Code = "overloaded"           // again: the provider has a fault or too much to do
	CodeUnavailable    Code = "unavailable"          // again: no connection
	CodeProtocol       Code = "protocol"             // again: the answer was cut, or is not what the protocol has
	CodeInvalidOutput  Code = "invalid_output"       // again: the answer does not fit Request.Output
	CodeCancelled      Code = "cancelled"            // the caller's context ended
	CodeConversation   Code = "conversation_changed" // the messages that the call refers to are not what they were
)

// Error is why there is no answer. Its JSON has all but Err.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Model   string `json:"model,omitempty"`       // provider/model
	Status  int    `json:"http_status,omitempty"` // 0 when there was none
	// RetryAfter is how long the provider asks to wait; zero when it does not say.
	RetryAfter bide.Duration `json:"retry_after,omitempty"`
	RequestID  string        `json:"request_id,omitempty"` // the provider's
	Err        error         `json:"-"`
}

// Errorf makes an Error; a %w verb sets its cause as well.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns model, code, status and message in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Model != "" {
		b.WriteString(e.Model + ": ")
	}
	b.WriteString(strings.ReplaceAll(string(e.Code), "_", " "))
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	b.WriteString(": " + e.Message)
	if e.Err != nil && !strings.Contains(e.Message, e.Err.Error()) {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error with the same code and no more said.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && *t == Error{Code: e.Code}
}

// Again reports whether another attempt may do better.
func (e *Error) Again() bool {
	switch e.Code {
	case CodeRateLimited, CodeOverloaded, CodeUnavailable, CodeProtocol, CodeInvalidOutput:
		return true
	}
	return false
}

// Transport makes an Error of what went wrong on the way: CodeCancelled when ctx has ended, else code.
func Transport(ctx context.Context, code Code, err error) *Error {
	if cause := context.Cause(ctx); cause != nil {
		return &Error{Code: CodeCancelled, Message: "the request was given up", Err: cause}
	}
	return &Error{Code: code, Message: err.Error(), Err: err}
}

// errorBody is what providers say of an error: the common core of their forms.
type errorBody struct {
	Type    string          `json:"type"`
	Code    json.RawMessage `json:"code"` // a string or a number
	Status  string          `json:"status"`
	Message string          `json:"message"`
	Details []struct {
		RetryDelay string `json:"retryDelay"`
	} `json:"details"`
}

// readErrorBody finds the error in {"error": {…}}, [{"error": {…}}], {"error": "…"}, {"message": "…"} or plain text.
func readErrorBody(body []byte) (e errorBody) {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var outer struct {
		Error json.RawMessage `json:"error"`
		errorBody
	}
	if json.Unmarshal(body, &outer) != nil {
		return errorBody{Message: strings.TrimSpace(string(body))}
	}
	e = outer.errorBody
	if len(outer.Error) > 0 && json.Unmarshal(outer.Error, &e) != nil {
		if json.Unmarshal(outer.Error, &e.Message) != nil {
			e.Message = string(outer.Error)
		}
	}
	return e
}

// Patterns of what providers say when they give no telling code or status.
var (
	tooLong  = regexp.MustCompile(`(?i)context[ _-]?(length|window|size)|maximum context|prompt is too long|too many (input )?tokens|input token count.*exceeds|input is too long`)
	filtered = regexp.MustCompile(`(?i)content[ _-]?(filter|policy|management)|responsibleai|prohibited_content|invalid_prompt`)
	noQuota  = regexp.MustCompile(`(?i)insufficient_quota|billing|credit balance|exceeded your current quota`)
	noAccess = regexp.MustCompile(`(?i)authentication|permission|unauthenticated|unauthorized`)
	badKey   = regexp.MustCompile(`(?i)api[ _-]?key`)
)

// Refused makes an Error of a provider's refusal: an HTTP status, which is 200 within a stream, the
// headers, and the body or event that says why.
func Refused(status int, header http.Header, body []byte) *Error {
	b := readErrorBody(body)
	code := strings.Trim(string(b.Code), `"`)
	if n, err := strconv.Atoi(code); err == nil && status == http.StatusOK {
		status = n // what would have been the status, had the stream not begun
	}
	e := &Error{Code: classify(status, b.Type+" "+code+" "+b.Status, b.Message), Message: clip(b.Message)}
	e.RetryAfter = bide.Duration(min(retryAfter(header, b), maxRetryAfter))
	if status != http.StatusOK {
		e.Status = status
	}
	for _, name := range []string{"X-Request-Id", "Request-Id"} {
		if id := header.Get(name); id != "" {
			e.RequestID = clip(id)
		}
	}
	if e.Message == "" {
		e.Message = "no reason given"
	}
	return e
}

// classify finds the code for a status, the names that a provider gives the error, and its message.
func classify(status int, names, message string) Code {
	says := func(p *regexp.Regexp) bool { return p.MatchString(names) || p.MatchString(message) }
	names = strings.ToLower(names)
	named := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(names, p) })
	}
	switch {
	case status == http.StatusRequestEntityTooLarge, status < 500 && status != http.StatusTooManyRequests && says(tooLong):
		return CodeContextTooLong
	case status == http.StatusUnauthorized, status == http.StatusForbidden && !filtered.MatchString(names):
		return CodeAuth
	case status < 500 && says(filtered):
		return CodeContentFilter
	case status == http.StatusPaymentRequired, noQuota.MatchString(names), status < 500 && status != http.StatusTooManyRequests && noQuota.MatchString(message):
		return CodeQuota
	case status == http.StatusTooManyRequests, named("rate_limit", "resource_exhausted"):
		return CodeRateLimited
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly:
		return CodeOverloaded
	case noAccess.MatchString(names), says(badKey):
		return CodeAuth
	case status >= 300, named("invalid_request", "not_found", "invalid_argument"):
		return CodeInvalidRequest
	}
	return CodeOverloaded // within a stream, without a telling name
}

// maxRetryAfter bounds what a provider can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads how long a provider asks to wait. A date is taken against the
// date of the answer itself, so no clock of ours is in it.
func retryAfter(h http.Header, b errorBody) time.Duration {
	for _, in := range []struct {
		name string
		unit time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} { // the finer one first
		if n, err := strconv.ParseFloat(h.Get(in.name), 64); err == nil && n > 0 {
			return time.Duration(min(n, float64(maxRetryAfter/in.unit)) * float64(in.unit))
		}
	}
	until, err := http.ParseTime(h.Get("Retry-After"))
	if now, nowErr := http.ParseTime(h.Get("Date")); err == nil && nowErr == nil && until.After(now) {
		return until.Sub(now)
	}
	for _, d := range b.Details {
		if wait, err := time.ParseDuration(d.RetryDelay); err == nil && wait > 0 {
			return wait
		}
	}
	return 0
}

// clip keeps what a server says to a size that a record can bear, and valid.
func clip(s string) string {
	const most = 2000
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
