// Package problem answers requests with what went wrong (api.Problem), for the handlers beside the operations of
// the API. It must not know any of them.
package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// Stale is the code of a problem with what is no longer the caller's.
const Stale bide.Code = "stale"

// Later is a problem that ends by itself.
type Later struct {
	*api.Problem
	// After is when to try again; it goes into the header Retry-After, in whole seconds.
	After time.Duration
}

// Unwrap returns the problem.
func (l *Later) Unwrap() error { return l.Problem }

// New makes a problem of a code and a sentence for people. A code without a status of its own is an internal error.
func New(code bide.Code, detail string) *api.Problem {
	status := statuses[code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return api.NewProblem(status, code, detail)
}

var statuses = map[bide.Code]int{
	bide.CodeNotFound:         http.StatusNotFound,
	bide.CodeExists:           http.StatusConflict,
	bide.CodeConflict:         http.StatusConflict,
	bide.CodeFenced:           http.StatusConflict,
	bide.CodeKeyReused:        http.StatusConflict,
	bide.CodeCommandReused:    http.StatusUnprocessableEntity,
	bide.CodeAlreadyDecided:   http.StatusConflict,
	bide.CodeWrongStatus:      http.StatusConflict,
	bide.CodeDiverged:         http.StatusConflict,
	bide.CodeExpired:          http.StatusGone,
	bide.CodeArgsChanged:      http.StatusPreconditionFailed,
	bide.CodeForbidden:        http.StatusForbidden,
	bide.CodeInvalidInput:     http.StatusUnprocessableEntity,
	bide.CodeInvalidAnswer:    http.StatusUnprocessableEntity,
	bide.CodeInvalidWorkflow:  http.StatusUnprocessableEntity,
	bide.CodeUnknownWorkflow:  http.StatusNotFound,
	bide.CodeShredded:         http.StatusGone,
	bide.CodeSealed:           http.StatusServiceUnavailable,
	bide.CodeStoreLocked:      http.StatusServiceUnavailable,
	bide.CodeStoreReadOnly:    http.StatusServiceUnavailable,
	bide.CodeStoreFull:        http.StatusInsufficientStorage,
	bide.CodeStoreClosed:      http.StatusServiceUnavailable,
	bide.CodeStoreUnavailable: http.StatusServiceUnavailable,

	api.CodeBadRequest:      http.StatusBadRequest,
	api.CodeUnauthenticated: http.StatusUnauthorized,
	api.CodeTooLarge:        http.StatusRequestEntityTooLarge,
	api.CodeTooMany:         http.StatusTooManyRequests,
	api.CodeNoRoute:         http.StatusNotFound,
	api.CodeMethod:          http.StatusMethodNotAllowed,
	api.CodeTimeout:         http.StatusServiceUnavailable,
	api.CodeUnavailable:     http.StatusServiceUnavailable,
	Stale:                   http.StatusConflict,
}

// Of makes a problem of any error: a problem is itself, a bide.Error has the status of its code,
// and of everything else the client learns no more than that it is an internal error.
func Of(err error) *api.Problem {
	var p *api.Problem
	var large *http.MaxBytesError
	var e *bide.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &large):
		return New(api.CodeTooLarge, "the body has more than "+strconv.FormatInt(large.Limit, 10)+" bytes")
	case !errors.As(err, &e):
		return New(api.CodeInternal, "something went wrong in the server; its log says what")
	}
	p = New(e.Code, e.Message)
	p.Run, p.Wait, p.Faults, p.Decision = e.Run, e.Wait, e.Faults, e.Decision
	if e.Err != nil && p.Status < http.StatusInternalServerError {
		p.Detail = strings.TrimPrefix(p.Detail+": "+e.Err.Error(), ": ")
	}
	return p
}

// Write answers a request with the problem of err.
func Write(w http.ResponseWriter, err error) {
	p := Of(err)
	h := w.Header()
	h.Set("Content-Type", p.ContentType(""))
	h.Set("Cache-Control", "no-store")
	var later *Later
	if errors.As(err, &later) {
		h.Set("Retry-After", strconv.FormatInt(int64((later.After+time.Second-1)/time.Second), 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"` + api.ProblemType + `internal","code":"internal","status":500}`)
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

// bodyTime is how long a client may take to send a body.
const bodyTime = 30 * time.Second

// Body reads a request's body of at most limit bytes, and gives up on a client that takes longer than 30s to send it.
func Body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	conn := http.NewResponseController(w)
	if err := conn.SetReadDeadline(time.Now().Add(bodyTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, err
	case err != nil:
		return nil, New(api.CodeBadRequest, "the body cannot be read to its end")
	}
	// The deadline would end the request too, which may wait for something now.
	if err := conn.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	return body, nil
}

// Read decodes a request's JSON body, as Body reads it, into a value. Members that are not known are a fault.
func Read(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	body, err := Body(w, r, limit)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return New(api.CodeBadRequest, "the body is not the JSON that is expected here: "+err.Error())
	}
	if dec.More() {
		return New(api.CodeBadRequest, "the body goes on after the JSON value")
	}
	return nil
}
