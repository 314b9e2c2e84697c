// Package problem says in HTTP what went wrong: bodies of the form of RFC 9457, with
// types that clients can branch on. It must not know any operation.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/bide-dev/bide"
)

// Problem is the body of an answer that is not a success.
type Problem struct {
	Type   string `json:"type"` // urn:bide:problem: and a code, such as not_found
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Code is the last part of Type.
	Code     string         `json:"code"`
	Run      string         `json:"run_id,omitempty"`
	Wait     string         `json:"wait_id,omitempty"`
	Faults   []bide.Fault   `json:"faults,omitempty"`
	Decision *bide.Decision `json:"decision,omitempty"` // with already_decided: who answered, when and what
	// RetryAfter, when not zero, goes into the header of that name, in whole seconds.
	RetryAfter time.Duration `json:"-"`
}

// Codes of problems that the kernel has none for.
const (
	Unauthenticated = "unauthenticated" // no credentials, or none that count
	TooManyRequests = "too_many_requests"
	TooLarge        = "too_large"
	Stale           = "stale" // what the request is about is no longer the caller's
	Internal        = "internal"
)

const typePrefix = "urn:bide:problem:"

// New makes a problem of a status, a code and a sentence for people.
func New(status int, code, detail string) *Problem {
	return &Problem{Type: typePrefix + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

var statuses = map[bide.Code]int{
	bide.CodeNotFound:        http.StatusNotFound,
	bide.CodeExists:          http.StatusConflict,
	bide.CodeConflict:        http.StatusConflict,
	bide.CodeFenced:          http.StatusConflict,
	bide.CodeKeyReused:       http.StatusConflict,
	bide.CodeCommandReused:   http.StatusConflict,
	bide.CodeAlreadyDecided:  http.StatusConflict,
	bide.CodeWrongStatus:     http.StatusConflict,
	bide.CodeDiverged:        http.StatusConflict,
	bide.CodeExpired:         http.StatusGone,
	bide.CodeArgsChanged:     http.StatusPreconditionFailed,
	bide.CodeForbidden:       http.StatusForbidden,
	bide.CodeInvalidInput:    http.StatusUnprocessableEntity,
	bide.CodeInvalidAnswer:   http.StatusUnprocessableEntity,
	bide.CodeInvalidWorkflow: http.StatusUnprocessableEntity,
	bide.CodeUnknownWorkflow: http.StatusNotFound,
	bide.CodeStoreLocked:     http.StatusServiceUnavailable,
	bide.CodeStoreReadOnly:   http.StatusServiceUnavailable,
	bide.CodeStoreFull:       http.StatusInsufficientStorage,
	bide.CodeStoreClosed:     http.StatusServiceUnavailable,
}

// Of makes a problem of any error: a Problem is itself, a bide.Error has the status of its code,
// and everything else is an internal error of which the client learns nothing more.
func Of(err error) *Problem {
	var p *Problem
	var large *http.MaxBytesError
	var e *bide.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &large):
		return New(http.StatusRequestEntityTooLarge, TooLarge, "the body has more than "+strconv.FormatInt(large.Limit, 10)+" bytes")
	case !errors.As(err, &e):
		return New(http.StatusInternalServerError, Internal, "something went wrong here; the server's log says what")
	}
	status := statuses[e.Code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	out := New(status, string(e.Code), e.Message)
	out.Run, out.Wait, out.Faults, out.Decision = e.Run, e.Wait, e.Faults, e.Decision
	if out.Detail == "" || e.Err != nil && status < http.StatusInternalServerError {
		out.Detail = e.Error()
	}
	return out
}

// Write answers a request with the problem of err.
func Write(w http.ResponseWriter, err error) {
	p := Of(err)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"urn:bide:problem:internal","code":"internal","status":500}`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that is gone reads nothing
}

// Reply answers a request with a value as JSON.
func Reply(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // as above
}

// Read decodes a request's JSON body of at most limit bytes into a value. Members that are not known are a fault.
func Read(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return New(http.StatusBadRequest, string(bide.CodeInvalidInput), "the body is not the JSON that is expected here: "+err.Error())
	}
	if dec.More() {
		return New(http.StatusBadRequest, string(bide.CodeInvalidInput), "the body goes on after the JSON value")
	}
	return nil
}
